"""Epochs: which engine and validators certify, what change is decided, and the proofs that lead from one to
the next.

Who is ready and what is decided is asked of the contract `registry`; epochs and seals lie in the store. What
a proof proves is checked by the reader (`protocol/light.py`), not here.
"""

from typing import Any, cast

from node.rpc.dispatch import Method, NoParams
from node.rpc.forms import EpochForm, Form, SealForm, ValidatorForm, epoch_form
from node.rpc.methods.params import HeightParam, Limit, Params
from node.rpc.service import Call
from node.rpc.values import to_hex
from protocol import codec
from protocol.chain.restart import is_restart
from protocol.chain.validators import EngineKind, EpochRecord
from protocol.contracts.parameters import EPOCH_DELAY, RAFT_RETURN, READY_BLOCKS
from protocol.sync.snapshot import Seal
from protocol.transition import answer_query
from protocol.types import Seconds

HISTORY_MAX = 200
"""Epochs that `chain_getMigration` lists, the newest ones; `chain_getEpochs` pages through all."""


class PendingForm(Form):
    """A decided change: from the block after the seal on, this engine and these validators certify.

    The seal is block `seal_height`, or the first one after it whose time, Unix ms, has come to `not_before`
    (0: any). `blocks_left` and `seconds_left` count down, by the time of the last block; at 0 and 0 the seal
    is the next block and can no longer be cancelled.
    """

    protocol: str
    seal_height: int
    not_before: int
    blocks_left: int
    seconds_left: int
    decided_by: str
    validators: list[ValidatorForm]


class ReadyForm(Form):
    """One who could take part in a next epoch: it had the chain to `height`, and its word counts for
    `blocks_left` more."""

    operator: str
    consensus_key: str
    node_key: str
    software: str
    engines: list[str]
    height: int
    blocks_left: int
    is_validator: bool


class SealPlace(Form):
    """The last block of an epoch."""

    height: int
    time: int
    id: str


class EpochItem(Form):
    """An epoch: engine, first height, who certified it, what decided it, and its seal when it has ended.

    `is_restart`: a quorum was lost, and people began it by hand, which nothing proves; what decided it is a
    mark then, and the block before it is no seal.
    """

    number: int
    protocol: str
    since_height: int
    operators: list[str]
    decided_by: str | None
    is_restart: bool
    seal: SealPlace | None


class Migration(Form):
    """The epoch that certifies the next block, the change that is decided, who is ready, what was before.

    A change that is decided now seals `delay_blocks` later at the soonest, and back from BFT to Raft also
    `return_seconds` later; whoever is ready says so again after `ready_blocks`.
    """

    height: int
    time: int
    delay_blocks: int
    return_seconds: int
    ready_blocks: int
    epoch: EpochForm
    pending: PendingForm | None
    ready: list[ReadyForm]
    epochs: list[EpochItem]


class EpochsParams(Params):
    """From which epoch on; 0 is that of genesis, which every reader has."""

    first: HeightParam = 1
    limit: Limit = 30


class EpochsPage(Form):
    """Seals in order: the first one ends epoch `first` - 1; `next` is None at the end."""

    first: int
    seals: list[SealForm]
    next: int | None


async def get_migration(call: Call, params: NoParams) -> Migration:
    """Show the epoch in force, the decided change if there is one, who is ready, and all epochs before."""
    record = call.store.epoch_at(call.height + 1)
    pending = _ask(call, "pending")
    values = {row[0]: row[2] for row in _ask(call, "parameters")}
    counts_blocks = values[READY_BLOCKS.name]
    ready = cast(tuple[tuple[Any, ...], ...], _ask(call, "ready"))
    return Migration(
        call.height,
        _time(call) * 1_000,
        values[EPOCH_DELAY.name],
        values[RAFT_RETURN.name],
        counts_blocks,
        epoch_form(record),
        None if pending is None else _pending_form(call, cast(tuple[Any, ...], pending)),
        [_ready_form(call, record, counts_blocks, row) for row in ready],
        [_item(call, number) for number in range(max(0, record.number + 1 - HISTORY_MAX), record.number + 1)],
    )


async def get_epochs(call: Call, params: EpochsParams) -> EpochsPage:
    """Return the proofs by which a reader who knows genesis follows the chain of epochs."""
    first = max(1, params.first)
    with call.sound() as chain:
        last = chain.last_epoch
        end = min(last, first + params.limit - 1)
        seals = [seal_form(chain.seal(number)) for number in range(first, end + 1)]
    return EpochsPage(first, seals, end + 1 if end < last else None)


def seal_form(seal: Seal) -> SealForm:
    """Write the proof that leads to an epoch."""
    record = codec.encode(seal.record.to_value())
    return SealForm(to_hex(seal.header.encode()), to_hex(seal.certificate.encode()), to_hex(record))


def _time(call: Call) -> Seconds:
    """Return the block time of the height of a call."""
    return Seconds(call.time_ms_of(call.height) // 1_000)


def _ask(call: Call, query: str) -> Any:
    """Ask the registry at the height of the call."""
    with call.state(call.height) as state:
        return answer_query(state, _time(call), "registry", query, (), None)


def _pending_form(call: Call, pending: tuple[Any, ...]) -> PendingForm:
    engine, seal_height, not_before, decided_by, validators = pending
    forms = [ValidatorForm(name, to_hex(key), to_hex(node), 1) for name, key, node in validators]
    return PendingForm(
        EngineKind(engine).name.lower(),
        seal_height,
        not_before * 1_000,
        max(0, seal_height - call.height - 1),
        max(0, not_before - _time(call)),
        to_hex(decided_by),
        forms,
    )


def _ready_form(call: Call, record: EpochRecord, counts_blocks: int, row: tuple[Any, ...]) -> ReadyForm:
    key, operator, node_key, software, engines, height = row
    # A proposal of the next block would still count it at this age.
    left = height + counts_blocks - call.height
    return ReadyForm(
        operator,
        to_hex(key),
        to_hex(node_key),
        software,
        [kind.name.lower() for kind in EngineKind if engines & kind],
        height,
        max(0, left),
        record.index_of(key) is not None,
    )


def _item(call: Call, number: int) -> EpochItem:
    record, following = call.store.epoch(number), call.store.epoch(number + 1)
    assert record is not None, "an epoch without its record"
    below, seal = call.store.header(record.first_height - 1), None
    if following is not None and following.first_height <= call.height + 1:
        header = call.store.header(following.first_height - 1)
        assert header is not None, "an epoch that nobody sealed"
        seal = SealPlace(header.height, header.time_ms, to_hex(header.compute_id()))
    return EpochItem(
        record.number,
        record.engine.name.lower(),
        record.first_height,
        [validator.operator for validator in record.validators],
        to_hex(record.decided_by) if number else None,
        below is not None and is_restart(below, record),
        seal,
    )


METHODS: tuple[Method[Any], ...] = (
    Method(
        "chain_getMigration",
        NoParams,
        Migration,
        "The epoch in force, the decided change, who is ready, and all epochs.",
        get_migration,
        ("chain.pruned",),
    ),
    Method(
        "chain_getEpochs",
        EpochsParams,
        EpochsPage,
        "The proofs that lead from genesis to the epoch in force.",
        get_epochs,
    ),
)
