"""The epochs of a chain as far as a member has proved them, and what no node may tell the member any more.

Each step from one epoch to the next is a final header that names the next record (`protocol/light.py`). What
was proved once is kept: a node that later shows another history has at least one quorum that signed twice,
and the names of those are said. A step from BFT back to Raft is refused until its owner accepts it, however
well it is certified: Raft bears no liar. It knows neither network nor files.

*Source*: consensus.md 1.3 (M4), 1.6, 2.7, 2.8.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from node.cli.terminal import Failure
from protocol import codec
from protocol.chain.block import HEADER_BYTES_MAX, Header, decode_header
from protocol.chain.certificate import CERTIFICATE_BYTES_MAX, Certificate, decode_certificate
from protocol.chain.conviction import compare_certificates
from protocol.chain.evidence import Evidence
from protocol.chain.genesis import Genesis
from protocol.chain.restart import is_restart
from protocol.chain.validators import EPOCH_BYTES_MAX, EngineKind, EpochRecord, read_epoch
from protocol.errors import Code, Rejected
from protocol.light import Trust, cross_epoch, trust_genesis, verify_header
from protocol.types import Hash32, Height

EPOCHS_MAX: Final = 10_000
HASH_BYTES: Final = 32
HEADERS_KEPT_MAX: Final = 32
"""The last headers that were proved are remembered: another final one of such a height is a fork."""


class Seal(msgspec.Struct, frozen=True):
    """The end of an epoch: its last header, the certificate of that, and the record that follows."""

    header: str
    certificate: str
    record: str


class Seen(msgspec.Struct, frozen=True, rename="camel"):
    """What a member's folder remembers of a chain: its seals, the newest header and the last ones that were
    proved, what the owner accepted."""

    seals: list[Seal]
    newest: tuple[str, str] | None = None
    accepted_raft: list[int] = []
    accepted_restarts: list[str] = []
    headers: list[tuple[str, str]] = []


@dataclass(frozen=True, slots=True)
class Proof:
    """A header and the votes that made it final."""

    header: Header
    certificate: Certificate


class Fork(Failure):
    """Two final headers contradict each other.

    Args:
        evidence: against everybody of whom the two certificates alone show that they signed both.
    """

    def __init__(self, why: str, evidence: tuple[Evidence, ...]) -> None:
        super().__init__(
            "The chain is forked: do not trust this node, and keep both proofs.",
            why,
            "show this to the other members and operators; pay nothing until it is cleared up",
            "member.fork",
        )
        self.evidence = evidence


class EpochChain:
    """Follow the epochs of one chain from genesis on."""

    __slots__ = ("_accepted", "_ends", "_kept", "_newest", "_newest_text", "_restarts", "_seals", "_trusts")

    def __init__(self, genesis: Genesis) -> None:
        self._trusts = [trust_genesis(genesis)]
        self._seals: list[Seal] = []
        self._ends: list[Proof] = []
        self._kept: dict[Height, Proof] = {}
        self._newest: Proof | None = None
        self._newest_text: tuple[str, str] | None = None
        self._accepted: set[int] = set()
        self._restarts: tuple[Hash32, ...] = ()

    @classmethod
    def restore(cls, genesis: Genesis, seen: Seen) -> "EpochChain":
        """Prove again what was remembered; nothing that lies on a disk is trusted.

        Raises:
            Rejected: it does not hold.
        """
        chain = cls(genesis)
        chain._accepted.update(seen.accepted_raft)
        for record_hash in seen.accepted_restarts:
            chain.accept_restart(record_hash)
        chain.follow(seen.seals)
        for header, certificate in seen.headers:
            chain.check(read_proof(header, certificate))
        if seen.newest is not None:
            chain.see_newest(*seen.newest)
        return chain

    def remember(self) -> Seen:
        """Return what is worth remembering."""
        return Seen(
            list(self._seals),
            self._newest_text,
            sorted(self._accepted),
            ["0x" + one.hex() for one in self._restarts],
            [_write_proof(proof) for proof in self._kept.values()],
        )

    @property
    def genesis_hash(self) -> Hash32:
        """Return the identity of the chain."""
        return self._trusts[0].genesis_hash

    @property
    def records(self) -> tuple[EpochRecord, ...]:
        """List the epochs that are proved, in order."""
        return tuple(trust.record for trust in self._trusts)

    @property
    def restarts(self) -> tuple[EpochRecord, ...]:
        """List the epochs that people began by hand, which the owner accepted."""
        pairs = zip(self._ends, self.records[1:], strict=True)
        return tuple(record for proof, record in pairs if is_restart(proof.header, record))

    def explain_trust(self, epoch: int) -> list[str]:
        """Say in lines what a proof up to an epoch rests on."""
        passed = [record for record in self.restarts if record.number <= epoch]
        if not passed:
            return ["No node was trusted for this."]
        return [
            *(
                f"People restarted the chain above block {one.first_height - 1:,}; you accepted it by hand: "
                f"0x{one.compute_hash().hex()}"
                for one in passed
            ),
            "But for that no node was trusted: there you trust who published the hash.",
        ]

    @property
    def seals(self) -> tuple[Proof, ...]:
        """List the last headers of the epochs that have ended, in order."""
        return tuple(self._ends)

    def follow(self, seals: Sequence[Seal], first: int = 1) -> None:
        """Take proofs of epochs in order; those that are known must lead to the same epochs.

        Args:
            first: the epoch that the first proof leads to.

        Raises:
            Rejected: MALFORMED, BAD_PROOF.
            Failure: two final headers end one epoch; whoever signed both is named.
        """
        if first + len(seals) > EPOCHS_MAX:
            raise Rejected(Code.BAD_PROOF, f"{first + len(seals)} epochs, limit {EPOCHS_MAX}")
        if not 1 <= first <= len(self._trusts):
            raise Rejected(
                Code.BAD_PROOF, f"seals from epoch {first} on do not go on from {len(self._trusts)}"
            )
        for number, seal in enumerate(seals, first):
            proof = read_proof(seal.header, seal.certificate)
            data = read_hex(seal.record, EPOCH_BYTES_MAX)
            record = read_epoch(codec.decode(data, EPOCH_BYTES_MAX))
            self._check_restart(proof.header, record)
            known = replace(self._trusts[number - 1], accepted=self._restarts)
            trust = cross_epoch(known, proof.header, proof.certificate, record)
            if number == len(self._trusts):
                self._trusts.append(trust)
                self._seals.append(seal)
                self._ends.append(proof)
            elif proof.header.compute_id() != self._ends[number - 1].header.compute_id():
                raise self._fork(self._ends[number - 1], proof)

    def check(self, proof: Proof) -> Trust:
        """Check that a header is final and in no conflict with what is known; return what it stands on.

        *Rules*: 1. its epoch is proved and has not ended below it (M4). 2. at the height of a seal, or of a
        header that is remembered, it is that header. 3. no step from BFT to Raft on the way that the owner
        has not accepted.

        Raises:
            Rejected: BAD_PROOF.
            Failure: a fork, or a step back that is not accepted.
        """
        header = proof.header
        if header.epoch >= len(self._trusts):
            raise Rejected(Code.BAD_PROOF, f"epoch {header.epoch}: no proof leads there")
        trust = self._trusts[header.epoch]
        verify_header(trust, header, proof.certificate)
        if header.height < trust.record.first_height:
            raise Rejected(Code.BAD_PROOF, f"block {header.height} is below its epoch {header.epoch}")
        if header.epoch < len(self._ends):
            end = self._ends[header.epoch]
            is_same = header.compute_id() == end.header.compute_id()
            if header.height > end.header.height or (header.height == end.header.height and not is_same):
                raise self._fork(end, proof)
        for known in (self._newest, self._kept.get(header.height)):
            is_there = known is not None and known.header.height == header.height
            if known is not None and is_there and known.header.compute_id() != header.compute_id():
                raise self._fork(known, proof)
        self._check_engines(header.epoch)
        self._keep(proof)
        return trust

    def _keep(self, proof: Proof) -> None:
        """Remember a header; the one that was proved longest ago makes room."""
        self._kept.pop(proof.header.height, None)
        self._kept[proof.header.height] = proof
        if len(self._kept) > HEADERS_KEPT_MAX:
            del self._kept[next(iter(self._kept))]

    def see_newest(self, header: str, certificate: str) -> Proof:
        """Take the newest header of a node.

        Raises:
            Rejected: BAD_PROOF.
            Failure: as `check`, or it is older than the newest one known.
        """
        proof = read_proof(header, certificate)
        self.check(proof)
        if self._newest is not None and proof.header.height < self._newest.header.height:
            raise Failure(
                "The node shows an old state of the chain.",
                f"its newest block is {proof.header.height:,}; you have proof of "
                f"{self._newest.header.height:,}.",
                "wait until it has caught up, or ask another node: coop connect URL",
                "member.stale",
            )
        self._newest, self._newest_text = proof, (header, certificate)
        return proof

    def accept_raft(self) -> None:
        """Take note that the owner accepts every step from BFT to Raft that is proved now."""
        self._accepted.update(self._steps_back())

    def accept_restart(self, record_hash: str) -> None:
        """Take note that the owner accepts one restart of the chain, by the hash of its record (M14).

        Raises:
            Rejected: MALFORMED.
        """
        data = read_hex(record_hash, HASH_BYTES)
        if len(data) != HASH_BYTES:
            raise Rejected(Code.MALFORMED, "the hash of a record has 64 hexadecimal digits")
        self._restarts = (*self._restarts, Hash32(data))

    def _check_restart(self, header: Header, record: EpochRecord) -> None:
        if is_restart(header, record) and record.compute_hash() not in self._restarts:
            text = "0x" + record.compute_hash().hex()
            raise Failure(
                "Not accepted: the chain was restarted by people, no quorum handed it over.",
                f"from block {record.first_height:,} on only "
                f"{', '.join(v.operator for v in record.validators)} certify; "
                "what the lost validators may have certified above it is gone.",
                f"ask the co-operative for its hash; only if it is the same: coop verify chain "
                f"--accept-restart {text}",
                "member.restart",
            )

    def _steps_back(self) -> list[int]:
        engines = [trust.record.engine for trust in self._trusts]
        return [
            number
            for number in range(1, len(engines))
            if engines[number - 1] is EngineKind.BFT and engines[number] is EngineKind.RAFT
        ]

    def _check_engines(self, epoch: int) -> None:
        for number in self._steps_back():
            if number <= epoch and number not in self._accepted:
                raise Failure(
                    "Not accepted: the chain went back from BFT to Raft.",
                    f"from block {self._trusts[number].record.first_height:,} on, under epoch {number}, one "
                    "operator who lies is enough to deceive you; before, it took two of four.",
                    "ask the co-operative whether it decided so; if it did: coop verify chain --accept-raft",
                    "member.fell_back",
                )

    def _fork(self, known: Proof, shown: Proof) -> Fork:
        """Name who signed both histories: the evidence that a quorum of one epoch cannot deny."""
        record = self._trusts[known.header.epoch].record
        first, second = (set(proof.certificate.signer_indexes()) for proof in (known, shown))
        is_one_epoch = known.header.epoch == shown.header.epoch
        guilty = sorted(record.validators[i].operator for i in first & second) if is_one_epoch else []
        return Fork(
            f"final are {_name(known.header)} and, as this node shows, {_name(shown.header)}; "
            f"both are signed by: {', '.join(guilty) or 'different epochs'}.",
            tuple(compare_certificates(known.certificate, shown.certificate, record)),
        )


def _name(header: Header) -> str:
    block = f"block {header.height:,} {header.compute_id().hex()[:16]}... of epoch {header.epoch}"
    return block + (", its seal" if header.is_seal else "")


def _write_proof(proof: Proof) -> tuple[str, str]:
    return "0x" + proof.header.encode().hex(), "0x" + proof.certificate.encode().hex()


def read_proof(header: str, certificate: str) -> Proof:
    """Read a header and its certificate.

    Raises:
        Rejected: MALFORMED and others of the decoders.
    """
    return Proof(
        decode_header(read_hex(header, HEADER_BYTES_MAX)),
        decode_certificate(read_hex(certificate, CERTIFICATE_BYTES_MAX)),
    )


def read_hex(text: str, size_bytes_max: int) -> bytes:
    """Read bytes that are written as 0x-hex.

    Raises:
        Rejected: MALFORMED.
    """
    if not text.startswith("0x") or len(text) > 2 + 2 * size_bytes_max:
        raise Rejected(Code.MALFORMED, "a part is not 0x-hex, or too long")
    try:
        return bytes.fromhex(text[2:])
    except ValueError:
        raise Rejected(Code.MALFORMED, "a part is not 0x-hex") from None
