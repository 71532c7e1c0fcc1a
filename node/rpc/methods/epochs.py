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
from protocol.chain.validators import EngineKind, EpochRecord
from protocol.contracts import registry
from protocol.params import READY_BLOCKS_MAX
from protocol.transition import answer_query
from protocol.types import Seconds

HISTORY_MAX = 200
"""Epochs that `chain_getMigration` lists, the newest ones; `chain_getEpochs` pages through all."""


class PendingForm(Form):
    """A decided change: from the block after `seal_height` on, this engine and these validators certify.

    `blocks_left` counts down to the seal; at 0 the seal is the next block and can no longer be cancelled.
    """

    protocol: str
    seal_height: int
    blocks_left: int
    decided_by: str
    validators: list[ValidatorForm]


class ReadyForm(Form):
    """One who could take part in a next epoch; `blocks_left` until its word counts no more."""

    operator: str
    consensus_key: str
    node_key: str
    software: str
    height: int
    blocks_left: int
    is_validator: bool


class SealPlace(Form):
    """The last block of an epoch."""

    height: int
    time: int
    id: str


class EpochItem(Form):
    """An epoch: engine, first height, who certified it, what decided it, and its seal when it has ended."""

    number: int
    protocol: str
    since_height: int
    operators: list[str]
    decided_by: str | None
    seal: SealPlace | None


class Migration(Form):
    """The epoch that certifies the next block, the change that is decided, who is ready, what was before."""

    height: int
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
    return Migration(
        call.height,
        epoch_form(record),
        None if pending is None else _pending_form(call, cast(tuple[Any, ...], pending)),
        [_ready_form(call, record, row) for row in cast(tuple[tuple[Any, ...], ...], _ask(call, "ready"))],
        [_item(call, number) for number in range(max(0, record.number + 1 - HISTORY_MAX), record.number + 1)],
    )


async def get_epochs(call: Call, params: EpochsParams) -> EpochsPage:
    """Return the proofs by which a reader who knows genesis follows the chain of epochs."""
    last = call.store.epoch_at(call.height + 1).number
    first = max(1, params.first)
    end = min(last, first + params.limit - 1)
    seals = [find_seal(call, number) for number in range(first, end + 1)]
    return EpochsPage(first, seals, end + 1 if end < last else None)


def find_seal(call: Call, number: int) -> SealForm:
    """Return the proof that leads to an epoch that exists, but to that of genesis."""
    record = call.store.epoch(number)
    assert record is not None, "an epoch without its record"
    height = record.first_height - 1
    header, certificate = call.store.header_bytes(height), call.store.certificate_bytes(height)
    assert header is not None and certificate is not None, "an epoch that nobody sealed"
    return SealForm(to_hex(header), to_hex(certificate), to_hex(codec.encode(record.to_value())))


def _ask(call: Call, query: str) -> Any:
    """Ask the registry at the height of the call."""
    header = call.store.header(call.height) if call.height else None
    time_ms = call.facts.genesis.time_ms if header is None else header.time_ms
    with call.state(call.height) as state:
        return answer_query(state, Seconds(time_ms // 1_000), registry.CONTRACT.name, query, (), None)


def _pending_form(call: Call, pending: tuple[Any, ...]) -> PendingForm:
    engine, seal_height, decided_by, validators = pending
    forms = [ValidatorForm(name, to_hex(key), to_hex(node), 1) for name, key, node in validators]
    left = seal_height - call.height - 1
    return PendingForm(EngineKind(engine).name.lower(), seal_height, left, to_hex(decided_by), forms)


def _ready_form(call: Call, record: EpochRecord, row: tuple[Any, ...]) -> ReadyForm:
    key, operator, node_key, software, height = row
    # A proposal of the next block would still count it at this age.
    left = height + READY_BLOCKS_MAX - call.height
    return ReadyForm(
        operator,
        to_hex(key),
        to_hex(node_key),
        software,
        height,
        max(0, left),
        record.index_of(key) is not None,
    )


def _item(call: Call, number: int) -> EpochItem:
    record, following = call.store.epoch(number), call.store.epoch(number + 1)
    assert record is not None, "an epoch without its record"
    seal = None
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
