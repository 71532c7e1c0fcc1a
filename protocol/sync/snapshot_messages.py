"""The messages by which a node that begins fetches a snapshot: offers, the chain of epochs, chunks.

Wire: the canonical array `(version, kind, field, ...)`. Nothing is signed: what is offered stands on
certificates, and a chunk on the state root. An answer repeats what it answers, as any may be lost.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final, TypeAlias, assert_never

from protocol import codec
from protocol.chain.block import HEADER_BYTES_MAX, Header, decode_header
from protocol.chain.certificate import CERTIFICATE_BYTES_MAX, Certificate, read_certificate
from protocol.chain.validators import EPOCH_BYTES_MAX
from protocol.codec import Reader, Value
from protocol.params import INT64_MAX, UINT32_MAX
from protocol.sync.snapshot import (
    CHUNK_BYTES_MAX,
    MANIFEST_BYTES_MAX,
    Manifest,
    Seal,
    decode_manifest,
    read_seal,
)
from protocol.types import EpochNumber, Hash32, Height

SNAPSHOT_WIRE_VERSION: Final = 1

EPOCHS_A_PAGE_MAX: Final = 32
"""Seals of one answer; 1 to 2 KiB each while there are few validators."""

SNAPSHOT_MESSAGE_BYTES_MAX: Final = 1_024 + max(
    MANIFEST_BYTES_MAX + HEADER_BYTES_MAX + CERTIFICATE_BYTES_MAX,
    EPOCHS_A_PAGE_MAX * (HEADER_BYTES_MAX + CERTIFICATE_BYTES_MAX + EPOCH_BYTES_MAX),
    CHUNK_BYTES_MAX,
)


class SnapshotKind(IntEnum):
    """The second field of every message."""

    GET_OFFER = 1
    OFFER = 2
    GET_EPOCHS = 3
    EPOCHS = 4
    GET_CHUNK = 5
    CHUNK = 6


@dataclass(frozen=True, slots=True)
class GetOffer:
    """Ask for the newest snapshot that a peer has."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A snapshot that we have, with the header that certifies it."""

    manifest: Manifest
    header: Header
    certificate: Certificate


@dataclass(frozen=True, slots=True)
class NoOffer:
    """We have no snapshot."""


@dataclass(frozen=True, slots=True)
class GetEpochs:
    """Ask for the seals that lead to an epoch >= 1 and those behind it."""

    first: EpochNumber


@dataclass(frozen=True, slots=True)
class Epochs:
    """Answer `GetEpochs`: seals in order, at most `EPOCHS_A_PAGE_MAX`; none at the end."""

    first: EpochNumber
    seals: tuple[Seal, ...]


@dataclass(frozen=True, slots=True)
class GetChunk:
    """Ask for a chunk of the snapshot of a height."""

    height: Height
    digest: Hash32


@dataclass(frozen=True, slots=True)
class Chunk:
    """Answer `GetChunk`; no data when we do not have it, or no longer."""

    digest: Hash32
    data: bytes | None


SnapshotMessage: TypeAlias = GetOffer | Offer | NoOffer | GetEpochs | Epochs | GetChunk | Chunk


def encode_snapshot_message(message: SnapshotMessage) -> bytes:
    """Encode a message."""
    fields: tuple[Value, ...]
    match message:
        case GetOffer():
            fields = (int(SnapshotKind.GET_OFFER),)
        case Offer(manifest, header, certificate):
            fields = (
                int(SnapshotKind.OFFER),
                manifest.encode(),
                header.encode(),
                certificate.to_value(),
            )
        case NoOffer():
            fields = (int(SnapshotKind.OFFER), None, None, None)
        case GetEpochs(first):
            fields = (int(SnapshotKind.GET_EPOCHS), first)
        case Epochs(first, seals):
            fields = (int(SnapshotKind.EPOCHS), first, tuple([seal.to_value() for seal in seals]))
        case GetChunk(height, digest):
            fields = (int(SnapshotKind.GET_CHUNK), height, digest)
        case Chunk(digest, data):
            fields = (int(SnapshotKind.CHUNK), digest, data)
        case _:
            assert_never(message)
    return codec.encode((SNAPSHOT_WIRE_VERSION, *fields))


def decode_snapshot_message(data: bytes) -> SnapshotMessage:
    """Decode a message; nothing of what it claims is checked.

    Raises:
        Rejected: `TOO_LARGE`, `MALFORMED`, `NOT_CANONICAL`.
    """
    fields = Reader(codec.decode(data, SNAPSHOT_MESSAGE_BYTES_MAX), "snapshot message")
    fields.integer(SNAPSHOT_WIRE_VERSION, SNAPSHOT_WIRE_VERSION)
    message = _read(SnapshotKind(fields.integer(SnapshotKind.GET_OFFER, SnapshotKind.CHUNK)), fields)
    fields.end()
    return message


def _read(kind: SnapshotKind, fields: Reader) -> SnapshotMessage:
    match kind:
        case SnapshotKind.GET_OFFER:
            return GetOffer()
        case SnapshotKind.OFFER:
            return _read_offer(fields.any(), fields.any(), fields.any())
        case SnapshotKind.GET_EPOCHS:
            return GetEpochs(EpochNumber(fields.integer(1, UINT32_MAX)))
        case SnapshotKind.EPOCHS:
            return Epochs(
                EpochNumber(fields.integer(1, UINT32_MAX)), fields.records(EPOCHS_A_PAGE_MAX, read_seal)
            )
        case SnapshotKind.GET_CHUNK:
            return GetChunk(Height(fields.integer(1, INT64_MAX)), Hash32(fields.data(32)))
        case SnapshotKind.CHUNK:
            digest, data = Hash32(fields.data(32)), fields.any()
            found = None if data is None else Reader((data,), "chunk", 1).data_up_to(CHUNK_BYTES_MAX)
            return Chunk(digest, found)
        case _:
            assert_never(kind)


def _read_offer(manifest: Value, header: Value, certificate: Value) -> Offer | NoOffer:
    if manifest is header is certificate is None:
        return NoOffer()
    fields = Reader((manifest, header), "offer", 2)
    return Offer(
        decode_manifest(fields.data_up_to(MANIFEST_BYTES_MAX)),
        decode_header(fields.data_up_to(HEADER_BYTES_MAX)),
        read_certificate(certificate),
    )
