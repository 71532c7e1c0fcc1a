"""Validators who sign twice, for tests of what a chain does with that."""

from protocol import crypto
from protocol.chain.certificate import Vote, VoteKind
from protocol.chain.evidence import Evidence, EvidenceKind, Statement, StatementKind
from protocol.chain.validators import EngineKind, EpochRecord, Validator, order_validators
from protocol.codec import encode
from protocol.crypto import SecretKey
from protocol.types import BlockId, EpochNumber, Hash32, Height, Signature, View


def secret_of(name: str) -> SecretKey:
    """Return the key of a person of `ledger_world`."""
    return SecretKey(crypto.sha256(name.encode()))


def record_of(names: tuple[str, ...], number: int = 0, first_height: int = 1) -> EpochRecord:
    """Make an epoch whose validators are these; their node keys are those of `node-NAME`."""
    validators = order_validators(
        tuple(Validator(n, secret_of(n).public_key, secret_of(f"node-{n}").public_key) for n in names)
    )
    return EpochRecord(EpochNumber(number), EngineKind.BFT, Height(first_height), validators)


def double_vote(
    name: str,
    genesis_hash: Hash32,
    *,
    epoch: int = 0,
    height: int = 1,
    view: int = 0,
    kind: VoteKind = VoteKind.PRECOMMIT,
    salt: int = 0,
) -> Evidence:
    """Make two votes for two blocks, signed by a person of `ledger_world`."""
    return double_vote_by(
        secret_of(name), genesis_hash, epoch=epoch, height=height, view=view, kind=kind, salt=salt
    )


def double_vote_by(
    secret: SecretKey,
    genesis_hash: Hash32,
    *,
    epoch: int = 0,
    height: int = 1,
    view: int = 0,
    kind: VoteKind = VoteKind.PRECOMMIT,
    salt: int = 0,
) -> Evidence:
    """Make two votes for two blocks, signed by one key."""
    statements = []
    for place in (2 * salt, 2 * salt + 1):
        block_id = BlockId(crypto.sha256(b"block %d" % place))
        vote = Vote(EpochNumber(epoch), kind, Height(height), View(view), block_id, None, 0)
        content = encode((epoch, int(kind), height, view, block_id, None))
        signature = crypto.sign(secret, vote.compute_digest(genesis_hash))
        statements.append(Statement(StatementKind.VOTE, content, signature))
    return Evidence(
        EvidenceKind.DUPLICATE_VOTE, EpochNumber(epoch), Height(height), secret.public_key, *statements
    )


def forget(name: str, genesis_hash: Hash32, *, epoch: int = 0, height: int = 1) -> Evidence:
    """Make a precommit and a later prevote against it: amnesia."""
    secret, statements = secret_of(name), []
    for kind, view in ((VoteKind.PRECOMMIT, 0), (VoteKind.PREVOTE, 1)):
        block_id = BlockId(crypto.sha256(b"block %d" % view))
        content = encode((epoch, int(kind), height, view, block_id, None))
        statement = Statement(StatementKind.VOTE, content, Signature(bytes(64)))
        signature = crypto.sign(secret, statement.compute_digest(genesis_hash))
        statements.append(Statement(StatementKind.VOTE, content, signature))
    return Evidence(EvidenceKind.AMNESIA, EpochNumber(epoch), Height(height), secret.public_key, *statements)
