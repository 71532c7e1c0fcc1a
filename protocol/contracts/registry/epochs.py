"""The change of epoch: who is ready, what is decided, when it seals.

*Rules*: 1. one change at a time. 2. every validator of the next epoch has said that it is ready, not long ago
and with software that knows the engine; none is suspended for what evidence in a block shows (`conduct.py`).
3. BFT needs four. 4. the seal is the first block that has reached both a height and a time; both are fixed by
the decision, the height at least the epoch's delay away, and the time, back from BFT to Raft, the time in
which everybody can object. 5. until the seal it can be cancelled, by no less than what decided it: what
members voted for, by members.

From BFT back to Raft leads a door of its own, so that who may knock at it can be told from who may add a
validator: a vote needs the majority of a bylaw for it, in every co-op (`voting/policies.py`). So does the
vote that cancels it.
"""

from itertools import pairwise

from protocol import codec, crypto
from protocol.chain.validators import EngineKind, EpochRecord, Validator, order_validators
from protocol.codec import Value
from protocol.contracts import conduct, policies
from protocol.contracts.parameters import EPOCH_DELAY, RAFT_RETURN, READY_BLOCKS, get_value
from protocol.contracts.registry.doors import check_may_cancel, is_by_members
from protocol.contracts.registry.records import (
    CANCELLED,
    CHANGE_PENDING,
    DECIDED,
    ENGINE_UNSUPPORTED,
    NEXT,
    NO_CHANGE,
    NOT_READY,
    OTHER_KEY,
    PENDING,
    READY,
    SAID_READY,
    SEAL_TERMS,
    TOO_FEW,
    TWICE,
    WAY_BACK,
    NextRow,
    ReadyRow,
)
from protocol.crypto import Domain
from protocol.params import (
    BFT_VALIDATORS_MIN,
    EPOCH_AHEAD_BLOCKS_MAX,
    EPOCH_AHEAD_SECONDS_MAX,
)
from protocol.types import Address, EpochNumber, Hash32, Height, PublicKey, Seconds
from protocol.vm.context import Context, QueryContext, fail
from protocol.vm.tables import SCHEMA, Table
from protocol.vm.view import View


def ready(
    ctx: Context,
    node: Address,
    node_key: PublicKey,
    consensus_key: PublicKey,
    proof: bytes,
    operator: str,
    software: str,
    engines: int,
    synced_height: int,
) -> Value:
    """Take note that a validator could take part in a next epoch."""
    check_own_key(node, node_key)
    if not crypto.verify(consensus_key, compute_ready_digest(node_key, consensus_key), proof):
        fail(OTHER_KEY, "registry.proof", None, consensus_key)
    if synced_height >= ctx.environment.height:
        fail(NOT_READY, "registry.synced_height", ctx.environment.height - 1, synced_height)
    row = (SCHEMA, operator, node_key, software, engines, synced_height)
    READY.put(ctx.view, READY.key(consensus_key), row)
    ctx.emit(SAID_READY, consensus_key, operator)
    return True


def compute_ready_digest(node_key: PublicKey, consensus_key: PublicKey) -> Hash32:
    """Compute what a consensus key signs to say that it is that of a node."""
    return crypto.digest(Domain.READY, codec.encode((node_key, consensus_key)))


def check_own_key(node: Address, node_key: PublicKey) -> None:
    """Check that an address is the one that a node key was born with.

    Raises:
        CallFailed: OTHER_KEY.
    """
    if policies.address_of_key(node_key) != node:
        fail(OTHER_KEY, "registry.node_key", None, node_key)


def propose(
    ctx: Context, engine: int, consensus_keys: tuple[PublicKey, ...], seal_height: int, not_before: int
) -> Value:
    """Decide the next epoch; returns the least height of the seal."""
    if engine == EngineKind.RAFT and _runs_bft(ctx):
        fail(WAY_BACK, "registry.way_back", int(EngineKind.BFT), engine)
    return _decide(ctx, engine, consensus_keys, seal_height, not_before, 0)


def return_to_raft(
    ctx: Context, consensus_keys: tuple[PublicKey, ...], seal_height: int, not_before: int
) -> Value:
    """Decide to go back from BFT to Raft; returns the least height of the seal."""
    if not _runs_bft(ctx):
        fail(WAY_BACK, "registry.runs_bft", int(EngineKind.BFT), int(EngineKind.RAFT))
    earliest = ctx.environment.time + get_value(ctx.view, RAFT_RETURN)
    return _decide(ctx, EngineKind.RAFT, consensus_keys, seal_height, not_before, earliest)


def _runs_bft(ctx: Context) -> bool:
    record = ctx.environment.epoch
    assert record is not None, "every block belongs to an epoch"
    return record.engine is EngineKind.BFT


def _decide(
    ctx: Context,
    engine: int,
    consensus_keys: tuple[PublicKey, ...],
    seal_height: int,
    not_before: int,
    earliest: int,
) -> int:
    view = ctx.view
    pending = PENDING.get(view, PENDING.key())
    if pending is not None:
        fail(CHANGE_PENDING, "registry.one_change_at_a_time", None, pending[2])
    if engine == EngineKind.BFT and len(consensus_keys) < BFT_VALIDATORS_MIN:
        fail(TOO_FEW, "registry.bft_validators", BFT_VALIDATORS_MIN, len(consensus_keys))
    validators = tuple([_get_ready(view, ctx.environment.height, engine, key) for key in consensus_keys])
    for place, name in ((0, "operator"), (1, "consensus_key"), (2, "node_key")):
        ordered = sorted([validator[place] for validator in validators])
        if any(one == other for one, other in pairwise(ordered)):
            fail(TWICE, f"registry.{name}_once", None, None)
    for operator, key, node_key in validators:
        conduct.check_not_suspended(view, operator, key, node_key)
    seal_height, not_before = _choose_seal(ctx, seal_height, not_before, earliest)
    decided_by = Hash32(ctx.environment.program_id)
    row = (SCHEMA, int(engine), seal_height, not_before, decided_by, is_by_members(ctx))
    PENDING.put(view, PENDING.key(), row)
    for operator, key, node_key in validators:
        NEXT.put(view, NEXT.key(key), (SCHEMA, operator, node_key))
    ctx.emit(DECIDED, engine, len(validators), seal_height, not_before)
    return seal_height


def _get_ready(view: View, height: Height, engine: int, key: PublicKey) -> tuple[str, PublicKey, PublicKey]:
    row, age_max = READY.get(view, READY.key(key)), get_value(view, READY_BLOCKS)
    if row is None or height - row[5] > age_max:
        fail(NOT_READY, "registry.ready", age_max, key)
    if not row[4] & engine:
        fail(ENGINE_UNSUPPORTED, "registry.engine", row[4], key)
    return row[1], key, row[2]


def _choose_seal(ctx: Context, seal_height: int, not_before: int, earliest: int) -> tuple[int, int]:
    """Return height and time of the seal; 0 asks for the soonest of each."""
    environment, view = ctx.environment, ctx.view
    first = environment.height + get_value(view, EPOCH_DELAY)
    last = environment.height + EPOCH_AHEAD_BLOCKS_MAX
    chosen = seal_height or first
    if not first <= chosen <= last:
        fail(SEAL_TERMS, "registry.seal_height", first if chosen < first else last, chosen)
    latest = environment.time + EPOCH_AHEAD_SECONDS_MAX
    time = not_before or earliest
    if not earliest <= time <= latest:
        fail(SEAL_TERMS, "registry.seal_time", earliest if time < earliest else latest, time)
    return chosen, time


def cancel(ctx: Context) -> Value:
    """Cancel the decided change, unless it leads back to Raft."""
    return _cancel(ctx, is_return=False)


def cancel_return(ctx: Context) -> Value:
    """Cancel the decided way back to Raft."""
    return _cancel(ctx, is_return=True)


def _cancel(ctx: Context, *, is_return: bool) -> bool:
    pending = PENDING.get(ctx.view, PENDING.key())
    if pending is None:
        fail(NO_CHANGE, "registry.pending", None, None)
    if is_return is not (pending[1] == EngineKind.RAFT and _runs_bft(ctx)):
        fail(WAY_BACK, "registry.cancel", None, pending[1])
    check_may_cancel(ctx, decided_by_members=pending[5])
    _clear(ctx.view)
    ctx.emit(CANCELLED, pending[2])
    return True


def _clear(view: View) -> None:
    PENDING.delete(view, PENDING.key())
    for key, _ in list(NEXT.scan(view)):
        NEXT.delete(view, key)


def _list_next(view: View) -> tuple[Validator, ...]:
    return tuple([Validator(row[1], PublicKey(_key_of(NEXT, key)), row[2]) for key, row in NEXT.scan(view)])


def _key_of(table: Table[NextRow] | Table[ReadyRow], key: bytes) -> bytes:
    (consensus_key,) = table.parts(key)
    assert type(consensus_key) is bytes
    return consensus_key


# --- kernel: the seal


def find_seal_time(view: View) -> Seconds | None:
    """Return the time from which on blocks of an epoch that ends must not wait for members; None: it does not
    end."""
    pending = PENDING.peek(view, PENDING.key())
    return None if pending is None else Seconds(pending[3])


def take_seal(view: View, height: Height, time: Seconds, record: EpochRecord) -> EpochRecord | None:
    """Return the next epoch's record when a block is the last one of its epoch, and clear the change.

    *Rule*: it is asked before the block's transactions run, so at its seal a change is final.
    """
    pending = PENDING.peek(view, PENDING.key())
    if pending is None or height < pending[2] or time < pending[3]:
        return None
    _, engine, _, _, decided_by, _ = pending
    validators = _list_next(view)
    _clear(view)
    return EpochRecord(
        EpochNumber(record.number + 1),
        EngineKind(engine),
        Height(height + 1),
        order_validators(validators),
        record.compute_hash(),
        decided_by,
    )


# --- queries


def query_pending(query: QueryContext) -> Value:
    """Return the decided change, or None."""
    pending = PENDING.get(query.view, PENDING.key())
    if pending is None:
        return None
    validators = tuple([(v.operator, v.consensus_key, v.node_key) for v in _list_next(query.view)])
    return (*pending[1:5], validators)


def query_ready(query: QueryContext, after: bytes | None) -> Value:
    """List who said that it is ready, after one of them."""
    rows = READY.page_rows(query.view, after=() if after is None else (after,))
    return tuple([(*key, *row[1:]) for key, row in rows])
