"""The restart of a chain whose quorum is lost for good: the recovery of last resort, by people.

No certificate can end an epoch of which a quorum is gone. Its council ratifies a restart instead: from the
newest certified block on, those validators that are left certify alone. The record of the new epoch says so
for ever: what decided it is the mark of a restart on that block, and every later header carries its hash.

It proves nothing to a stranger: those who are gone may have certified one more block. Each node is told by
its operator, each client by its owner (`light.py`). Whether the council signed is judged by the shell, which
has the state.

*Source*: consensus.md 1.3 (M14).
"""

from dataclasses import dataclass

from protocol import codec, crypto
from protocol.chain.block import HEADER_BYTES_MAX, Header, decode_header
from protocol.chain.certificate import CERTIFICATE_BYTES_MAX, Certificate, read_certificate
from protocol.chain.validators import EPOCH_BYTES_MAX, EngineKind, EpochRecord, read_epoch
from protocol.codec import Reader, Value
from protocol.crypto import Domain
from protocol.errors import Code, Rejected
from protocol.params import POLICY_LEAVES_MAX
from protocol.types import Address, EpochNumber, Hash32, Height, PublicKey, Signature

RESTART_BYTES_MAX = HEADER_BYTES_MAX + CERTIFICATE_BYTES_MAX + EPOCH_BYTES_MAX + 16 * 1024


@dataclass(frozen=True, slots=True)
class Restart:
    """A restart with what ratifies it.

    Args:
        header: of the newest certified block.
        record: of the epoch that begins above it.
        council: account that ratifies it.
        policy: first policy of that account; a later one stands in the state, and counts instead.
        signatures: by keys of the council, each with its key.
    """

    header: Header
    certificate: Certificate
    record: EpochRecord
    council: Address
    policy: Value
    signatures: tuple[tuple[PublicKey, Signature], ...] = ()

    def encode(self) -> bytes:
        """Encode the restart."""
        return codec.encode(
            (
                self.header.encode(),
                self.certificate.to_value(),
                self.record.to_value(),
                self.council,
                self.policy,
                self.signatures,
            )
        )

    def compute_digest(self) -> Hash32:
        """Compute what the council signs; the hash of the record covers block, height and state."""
        return crypto.digest(Domain.RATIFICATION, self.header.genesis_hash, self.record.compute_hash())


def make_record(
    header: Header, record: EpochRecord, engine: EngineKind, operators: tuple[str, ...]
) -> EpochRecord:
    """Make the record of the epoch in which only these operators of the present one go on."""
    return EpochRecord(
        EpochNumber(record.number + 1),
        engine,
        Height(header.height + 1),
        tuple([validator for validator in record.validators if validator.operator in operators]),
        record.compute_hash(),
        compute_mark(header),
    )


def compute_mark(header: Header) -> Hash32:
    """Compute what stands in a record as its decision when it restarts the chain above this header."""
    content = codec.encode((header.height, header.compute_id(), header.state_root))
    return crypto.digest(Domain.RESTART, header.genesis_hash, content)


def is_restart(header: Header, record: EpochRecord) -> bool:
    """Tell whether a record restarts the chain above a header."""
    return record.decided_by == compute_mark(header)


def check_restart(header: Header, previous: EpochRecord, record: EpochRecord) -> None:
    """Check that a record may restart the chain above a header that `previous` certifies.

    *Rules*: 1. it bears the mark of this header. 2. the header is of the previous epoch and no seal. 3. it
    follows the previous record, right above the header. 4. it has no validator that the previous one has not.

    Raises:
        Rejected: `BAD_PROOF`.
    """
    if not is_restart(header, record):
        raise _refusal("the record names another block")
    if header.epoch != previous.number or header.is_seal:
        raise _refusal("the block ends its epoch, or is of another one")
    follows = record.number, record.first_height, record.previous_hash
    if follows != (previous.number + 1, header.height + 1, previous.compute_hash()):
        raise _refusal(f"record {record.number} does not follow record {previous.number}")
    if any(validator not in previous.validators for validator in record.validators):
        raise _refusal("a validator is new; newcomers join by an ordinary change afterwards")


def check_signatures(restart: Restart) -> None:
    """Check that every signature holds and no key stands twice; whose keys they are is not known here.

    Raises:
        Rejected: `BAD_PROOF`.
    """
    digest, keys = restart.compute_digest(), [key for key, _ in restart.signatures]
    if len(set(keys)) != len(keys):
        raise _refusal("a key signed twice")
    for key, signature in restart.signatures:
        if not crypto.verify(key, digest, signature):
            raise _refusal(f"the signature of key {key.hex()[:16]} does not hold")


def decode_restart(data: bytes) -> Restart:
    """Decode a restart; nothing is verified.

    Raises:
        Rejected: `TOO_LARGE`, `MALFORMED`, `NOT_CANONICAL`.
    """
    fields = Reader(codec.decode(data, RESTART_BYTES_MAX), "restart", 6)
    return Restart(
        decode_header(fields.data_up_to(HEADER_BYTES_MAX)),
        read_certificate(fields.any()),
        read_epoch(fields.any()),
        Address(fields.data(20)),
        fields.any(),
        fields.records(POLICY_LEAVES_MAX, _read_signature),
    )


def _read_signature(value: Value) -> tuple[PublicKey, Signature]:
    fields = Reader(value, "signature of a restart", 2)
    return PublicKey(fields.data(33)), Signature(fields.data(64))


def _refusal(detail: str) -> Rejected:
    return Rejected(Code.BAD_PROOF, f"restart: {detail}")
