"""Limits of the records of a chain: bytes, items, names, each at the limit and one above; and that the
largest record of each sort fits into its bytes."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from protocol import codec
from protocol.chain.block import HEADER_BYTES_MAX, Header, decode_header
from protocol.chain.certificate import CERTIFICATE_BYTES_MAX, Certificate, VoteKind, decode_certificate
from protocol.chain.evidence import EVIDENCE_BYTES_MAX, decode_evidence
from protocol.chain.genesis import GENESIS_BYTES_MAX, GENESIS_PROGRAMS_MAX, Genesis, decode_genesis
from protocol.chain.receipt import EVENTS_MAX, RECEIPT_BYTES_MAX, Event, Receipt, decode_receipt
from protocol.chain.restart import RESTART_BYTES_MAX, decode_restart
from protocol.chain.validators import (
    EPOCH_BYTES_MAX,
    OPERATOR_BYTES_MAX,
    EngineKind,
    EpochRecord,
    Validator,
    read_epoch,
)
from protocol.errors import Code, Rejected
from protocol.params import BLOCK_TXS_MAX, INT64_MAX, UINT32_MAX, VALIDATORS_MAX
from protocol.sync.snapshot import ANCHOR_BYTES_MAX, MANIFEST_BYTES_MAX, decode_anchor, decode_manifest
from protocol.types import (
    BlockId,
    ContractId,
    EpochNumber,
    Gas,
    Hash32,
    Height,
    PublicKey,
    Signature,
    TimeMs,
    TxId,
    View,
)

ANY = Hash32(b"\xff" * 32)
LAST = Height(INT64_MAX)
RECEIPT = Receipt(TxId(ANY), Height(9), 0, 0, Gas(0), (), (), None, None)


def event(values: int) -> Event:
    return Event(ContractId(16), 2, (0,) * values)


def validators(count: int, operator: str) -> tuple[Validator, ...]:
    keys = [PublicKey(b"\x02" + n.to_bytes(32, "big")) for n in range(count)]
    return tuple(Validator(operator, key, key) for key in keys)


def record(count: int = 1, operator: str = "n") -> EpochRecord:
    last = EpochNumber(UINT32_MAX)
    return EpochRecord(last, EngineKind.BFT, LAST, validators(max(count, 4), operator), ANY, ANY)


def genesis(programs: int) -> Genesis:
    return Genesis("test-1", TimeMs(1), record(), 12, 3_600, True, ((),) * programs)


def refuse(call: Callable[[], object]) -> Code:
    with pytest.raises(Rejected) as refused:
        call()
    return Code(refused.value.code)


@pytest.mark.parametrize(
    ("limit_bytes", "decode"),
    [
        (HEADER_BYTES_MAX, decode_header),
        (CERTIFICATE_BYTES_MAX, decode_certificate),
        (EVIDENCE_BYTES_MAX, decode_evidence),
        (GENESIS_BYTES_MAX, decode_genesis),
        (RECEIPT_BYTES_MAX, decode_receipt),
        (RESTART_BYTES_MAX, decode_restart),
        (MANIFEST_BYTES_MAX, decode_manifest),
        (ANCHOR_BYTES_MAX, decode_anchor),
    ],
)
def test_bytes_at_the_limit_are_looked_at_and_one_more_are_not(
    limit_bytes: int, decode: Callable[[bytes], object]
) -> None:
    data = codec.encode(bytes(limit_bytes - 5 if limit_bytes > 1 << 16 else limit_bytes - 3))
    assert len(data) == limit_bytes
    assert refuse(lambda: decode(data)) is Code.MALFORMED
    assert refuse(lambda: decode(data + b"\0")) is Code.TOO_LARGE


@pytest.mark.parametrize(
    ("limit", "make", "read"),
    [
        (EVENTS_MAX, lambda n: replace(RECEIPT, results=(0,) * n).encode(), decode_receipt),
        (EVENTS_MAX, lambda n: replace(RECEIPT, events=(event(0),) * n).encode(), decode_receipt),
        (EVENTS_MAX, lambda n: replace(RECEIPT, events=(event(n),)).encode(), decode_receipt),
        (GENESIS_PROGRAMS_MAX, lambda n: genesis(n).encode(), decode_genesis),
        (OPERATOR_BYTES_MAX, lambda n: record(operator="o" * n).to_value(), read_epoch),
        (VALIDATORS_MAX, lambda n: record(n).to_value(), read_epoch),
    ],
)
def test_items_at_the_limit_and_one_above(
    limit: int, make: Callable[[int], Any], read: Callable[[Any], object]
) -> None:
    read(make(limit))
    assert refuse(lambda: read(make(limit + 1))) is Code.MALFORMED


def test_the_largest_records_fit_into_their_bytes() -> None:
    largest = record(VALIDATORS_MAX, "o" * OPERATOR_BYTES_MAX)
    assert len(codec.encode(largest.to_value())) <= EPOCH_BYTES_MAX
    signers, signatures = (1 << VALIDATORS_MAX) - 1, (Signature(bytes(64)),) * VALIDATORS_MAX
    numbers = (EpochNumber(UINT32_MAX), VoteKind.PRECOMMIT, LAST, View(UINT32_MAX), BlockId(ANY))
    certificate = Certificate(*numbers, signers, signatures)
    assert decode_certificate(certificate.encode()) == certificate
    key, time_ms, last = PublicKey(b"\xff" * 33), TimeMs(INT64_MAX), UINT32_MAX
    header = Header(
        *(ANY, LAST, time_ms, EpochNumber(last), View(last), key, BlockId(ANY)),
        *(LAST, ANY, ANY, BLOCK_TXS_MAX, ANY, ANY, ANY, ANY, ANY),
    )
    assert decode_header(header.encode()) == header
