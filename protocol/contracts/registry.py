"""registry: who may validate next, the change of epoch, and methods that are paused for a while.

A validator-to-be says `ready` under its new consensus key. Whoever holds the role `council` (the founding
board; later the members' vote through the same door) proposes the next epoch: engine and validators, none of
whom is suspended for what evidence in a block shows (`conduct.py`). Three blocks later the old epoch seals,
and the next record takes over. One change at a time; until the seal it can be cancelled, and everybody sees
it coming. This contract only writes records; what a seal means is known by consensus, which never hears of
this contract.

The council may also pause one method of a contract above the kernel, for seven days at most, and what lets
members take their money out for three. A pause ends by itself, cannot be prolonged, and must be followed by
seven days without one. A pause moves nothing.

*Source*: consensus.md 1.2, 1.3 (M1, M2, M11); contracts.md 3.12.
"""

from itertools import pairwise
from typing import Final, TypeAlias

from protocol.chain.validators import OPERATOR_BYTES_MAX, EngineKind, EpochRecord, Validator, order_validators
from protocol.codec import Value
from protocol.contracts import conduct, policies
from protocol.errors import Code
from protocol.params import (
    BFT_VALIDATORS_MIN,
    EPOCH_DELAY_BLOCKS,
    PAUSE_REST_SECONDS,
    PAUSE_SECONDS_MAX,
    QUERY_ITEMS_MAX,
    READY_BLOCKS_MAX,
    VALIDATORS_MAX,
)
from protocol.types import Address, ContractId, EpochNumber, Hash32, Height, PublicKey
from protocol.vm.context import Context, QueryContext, fail
from protocol.vm.contract import GOV, Contract, ErrorType, EventType, Method, Owner, Query, Role
from protocol.vm.keys import data_key, uint_key
from protocol.vm.kinds import (
    ADDRESS,
    BOOL,
    HASH,
    HEIGHT,
    PUBLIC_KEY,
    SECONDS,
    U16,
    Field,
    Fields,
    Integer,
    Many,
    Maybe,
    Text,
)
from protocol.vm.tables import SCHEMA, Table
from protocol.vm.view import View

ID: Final = ContractId(4)
COUNCIL: Final = "council"

CHANGE_PENDING: Final = 401
NO_CHANGE: Final = 402
TOO_FEW: Final = 403
NOT_READY: Final = 404
TWICE: Final = 405
OTHER_KEY: Final = 406
PAUSE_TERMS: Final = 407
NOT_PAUSED: Final = 408

ReadyRow: TypeAlias = tuple[int, str, PublicKey, str, int]
"""(schema, operator, node key, software, height at which it was said)"""
PendingRow: TypeAlias = tuple[int, int, int, Hash32]
"""(schema, engine, seal height, id of the program that decided)"""
PauseRow: TypeAlias = tuple[int, int]
NextRow: TypeAlias = tuple[int, str, PublicKey]
"""(schema, operator, node key)"""

OPERATOR: Final = Text("operator", OPERATOR_BYTES_MAX)
SOFTWARE: Final = Text("software", 64)
ENGINE: Final = Integer("engine", EngineKind.RAFT, EngineKind.BFT)
VALIDATOR: Final = Fields(
    (Field("operator", OPERATOR), Field("consensus_key", PUBLIC_KEY), Field("node_key", PUBLIC_KEY))
)
_CHANGE_FIELDS: Final = (
    Field("engine", ENGINE, "1 Raft, 2 BFT"),
    Field("seal_height", HEIGHT, "last block of the epoch that runs"),
    Field("decided_by", HASH, "id of the program that decided"),
)
_READY_FIELDS: Final = (
    Field("operator", OPERATOR),
    Field("node_key", PUBLIC_KEY),
    Field("software", SOFTWARE),
    Field("height", HEIGHT, "at which it was said"),
)

READY: Final[Table[ReadyRow]] = Table(
    ID,
    1,
    "ready",
    (data_key("consensus_key", 33),),
    _READY_FIELDS,
    doc="Validators that could take part in a next epoch.",
)
PENDING: Final[Table[PendingRow]] = Table(
    ID, 2, "pending", (), _CHANGE_FIELDS, doc="The change of epoch that is decided; no record: none is."
)
NEXT: Final[Table[NextRow]] = Table(
    ID,
    3,
    "next_validator",
    (data_key("consensus_key", 33),),
    (Field("operator", OPERATOR), Field("node_key", PUBLIC_KEY)),
    doc="Validators of the change that is decided.",
)
PAUSES: Final[Table[PauseRow]] = Table(
    ID,
    4,
    "pause",
    (uint_key("contract", 16), uint_key("method", 16)),
    (Field("until", SECONDS, "when it ends, or ended"),),
    doc="Methods that are paused, or were.",
)

SAID_READY: Final = EventType(
    ID,
    1,
    "ready",
    (Field("consensus_key", PUBLIC_KEY), Field("operator", OPERATOR)),
    "A validator could take part in a next epoch.",
)
DECIDED: Final = EventType(
    ID,
    2,
    "epoch_decided",
    (Field("engine", ENGINE), Field("validators", Integer("count", 1, VALIDATORS_MAX)), _CHANGE_FIELDS[1]),
    "The epoch that runs ends with the block of this height.",
)
CANCELLED: Final = EventType(
    ID, 3, "epoch_cancelled", (_CHANGE_FIELDS[1],), "A decided change will not happen."
)
_OF_METHOD: Final = (Field("contract", U16), Field("method", U16))
PAUSED: Final = EventType(
    ID, 4, "paused", (*_OF_METHOD, Field("until", SECONDS)), "A method cannot be called until a time."
)
RESUMED: Final = EventType(ID, 5, "resumed", _OF_METHOD, "A pause has ended before its time.")


# --- methods


def _ready(
    ctx: Context,
    validator: Address,
    consensus_key: PublicKey,
    node_key: PublicKey,
    operator: str,
    software: str,
) -> Value:
    if policies.address_of_key(consensus_key) != validator:
        fail(OTHER_KEY, "registry.consensus_key", None, consensus_key)
    row = (SCHEMA, operator, node_key, software, int(ctx.environment.height))
    READY.put(ctx.view, READY.key(consensus_key), row)
    ctx.emit(SAID_READY, consensus_key, operator)
    return True


def _propose(ctx: Context, engine: int, consensus_keys: tuple[PublicKey, ...]) -> Value:
    view, height = ctx.view, ctx.environment.height
    pending = PENDING.get(view, PENDING.key())
    if pending is not None:
        fail(CHANGE_PENDING, "registry.one_change_at_a_time", None, pending[2])
    if engine == EngineKind.BFT and len(consensus_keys) < BFT_VALIDATORS_MIN:
        fail(TOO_FEW, "registry.bft_validators", BFT_VALIDATORS_MIN, len(consensus_keys))
    validators = tuple([_get_ready(view, height, key) for key in consensus_keys])
    for place, name in ((0, "operator"), (1, "consensus_key"), (2, "node_key")):
        ordered = sorted([validator[place] for validator in validators])
        if any(one == other for one, other in pairwise(ordered)):
            fail(TWICE, f"registry.{name}_once", None, None)
    for operator, key, node_key in validators:
        conduct.check_not_suspended(view, operator, key, node_key)
    seal_height = height + EPOCH_DELAY_BLOCKS
    decided_by = Hash32(ctx.environment.program_id)
    PENDING.put(view, PENDING.key(), (SCHEMA, engine, seal_height, decided_by))
    for operator, key, node_key in validators:
        NEXT.put(view, NEXT.key(key), (SCHEMA, operator, node_key))
    ctx.emit(DECIDED, engine, len(validators), seal_height)
    return seal_height


def _get_ready(view: View, height: Height, key: PublicKey) -> tuple[str, PublicKey, PublicKey]:
    row = READY.get(view, READY.key(key))
    if row is None or height - row[4] > READY_BLOCKS_MAX:
        fail(NOT_READY, "registry.ready", READY_BLOCKS_MAX, key)
    return row[1], key, row[2]


def _cancel(ctx: Context) -> Value:
    pending = PENDING.get(ctx.view, PENDING.key())
    if pending is None:
        fail(NO_CHANGE, "registry.pending", None, None)
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


def _pause(ctx: Context, contract_id: int, method_id: int, seconds: int) -> Value:
    view, time = ctx.view, int(ctx.environment.time)
    found = ctx.registry.methods.get((contract_id, method_id))
    if found is None:
        fail(Code.UNKNOWN_METHOD, "registry.method", None, method_id)
    contract, method = found
    limit = method.pause_seconds_max if contract.layer > 0 else 0
    if seconds > limit:
        fail(PAUSE_TERMS, "registry.pause_seconds", limit, seconds)
    key = PAUSES.key(contract_id, method_id)
    last = PAUSES.get(view, key)
    if last is not None and time < last[1] + PAUSE_REST_SECONDS:
        fail(PAUSE_TERMS, "registry.pause_rest", last[1] + PAUSE_REST_SECONDS, time)
    PAUSES.put(view, key, (SCHEMA, time + seconds))
    ctx.emit(PAUSED, contract_id, method_id, time + seconds)
    return time + seconds


def _resume(ctx: Context, contract_id: int, method_id: int) -> Value:
    view, time = ctx.view, int(ctx.environment.time)
    key = PAUSES.key(contract_id, method_id)
    row = PAUSES.get(view, key)
    if row is None or row[1] <= time:
        fail(NOT_PAUSED, "registry.paused", None, method_id)
    PAUSES.put(view, key, (SCHEMA, time))
    ctx.emit(RESUMED, contract_id, method_id)
    return True


# --- kernel: pauses


def paused_until(view: View, contract: int, method: int) -> int:
    """Return the time at which the pause of a method ends; 0 when it has never been paused."""
    row = PAUSES.peek(view, PAUSES.prefix + (contract << 16 | method).to_bytes(4, "big"))
    return 0 if row is None else row[1]


# --- kernel: the seal


def is_change_pending(view: View) -> bool:
    """Tell whether the epoch that runs will end at a height that is known."""
    return PENDING.peek(view, PENDING.key()) is not None


def take_seal(view: View, height: Height, record: EpochRecord) -> EpochRecord | None:
    """Return the next epoch's record when a block is the last one of its epoch, and clear the change.

    *Rule*: it is asked before the block's transactions run, so at its seal a change is final.
    """
    pending = PENDING.peek(view, PENDING.key())
    if pending is None or pending[2] != height:
        return None
    _, engine, _, decided_by = pending
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


def _query_pending(query: QueryContext) -> Value:
    pending = PENDING.get(query.view, PENDING.key())
    if pending is None:
        return None
    validators = tuple([(v.operator, v.consensus_key, v.node_key) for v in _list_next(query.view)])
    return (*pending[1:], validators)


def _query_ready(query: QueryContext) -> Value:
    found: list[Value] = []
    for key, row in READY.scan(query.view):
        found.append((_key_of(READY, key), *row[1:]))
        if len(found) == QUERY_ITEMS_MAX:
            break
    return tuple(found)


def _query_paused(query: QueryContext) -> Value:
    found: list[Value] = []
    for key, row in PAUSES.scan(query.view):
        if row[1] > query.time and len(found) < QUERY_ITEMS_MAX:
            found.append((*PAUSES.parts(key), row[1]))
    return tuple(found)


CONTRACT: Final = Contract(
    ID,
    "registry",
    layer=0,
    version=1,
    doc="Who may validate next, the change of epoch, convicted validators, and paused methods.",
    tables=(READY, PENDING, NEXT, PAUSES, conduct.CONVICTIONS),
    methods=(
        Method(
            1,
            "ready",
            (
                Field("validator", ADDRESS, "of the consensus key"),
                Field("consensus_key", PUBLIC_KEY),
                Field("node_key", PUBLIC_KEY),
                Field("operator", OPERATOR),
                Field("software", SOFTWARE),
            ),
            BOOL,
            (Owner("validator"),),
            100,
            _ready,
            "Say under a new consensus key that its validator could take part in a next epoch.",
        ),
        Method(
            2,
            "propose",
            (
                Field("engine", ENGINE, "1 Raft, 2 BFT"),
                Field("consensus_keys", Many(PUBLIC_KEY, VALIDATORS_MAX, 1), "of validators that are ready"),
            ),
            HEIGHT,
            (GOV, Role(COUNCIL)),
            400,
            _propose,
            "Decide the next epoch; returns the height of the seal.",
        ),
        Method(
            3,
            "cancel",
            (),
            BOOL,
            (GOV, Role(COUNCIL)),
            20,
            _cancel,
            "Cancel a decided change before its seal.",
        ),
        Method(
            4,
            "pause",
            (*_OF_METHOD, Field("seconds", Integer("seconds", 1, PAUSE_SECONDS_MAX))),
            SECONDS,
            (GOV, Role(COUNCIL)),
            20,
            _pause,
            "Let nobody call a method for a while; returns when that ends.",
        ),
        Method(
            5,
            "resume",
            _OF_METHOD,
            BOOL,
            (GOV, Role(COUNCIL)),
            20,
            _resume,
            "End a pause before its time.",
        ),
        Method(
            16,
            "lift",
            (Field("operator", OPERATOR),),
            conduct.COUNT,
            (GOV, Role(COUNCIL)),
            40,
            conduct.lift,
            "Lift all that stands against an operator; returns how many convictions that were.",
        ),
    ),
    queries=(
        Query(
            "pending",
            (),
            Maybe(Fields((*_CHANGE_FIELDS, Field("validators", Many(VALIDATOR, VALIDATORS_MAX, 1))))),
            _query_pending,
            "Return the decided change.",
        ),
        Query(
            "ready",
            (),
            Many(Fields((Field("consensus_key", PUBLIC_KEY), *_READY_FIELDS)), QUERY_ITEMS_MAX),
            _query_ready,
            "List who could take part in a next epoch.",
        ),
        Query(
            "paused",
            (),
            Many(Fields((*_OF_METHOD, Field("until", SECONDS))), QUERY_ITEMS_MAX),
            _query_paused,
            "List the methods that are paused.",
        ),
        Query(
            "convictions",
            (),
            conduct.LIST,
            conduct.list_convictions,
            "List what validators are convicted of by evidence in blocks.",
        ),
    ),
    events=(SAID_READY, DECIDED, CANCELLED, PAUSED, RESUMED, conduct.LIFTED),
    errors=(
        ErrorType(CHANGE_PENDING, "CHANGE_PENDING", "Another change of epoch is decided already."),
        ErrorType(NO_CHANGE, "NO_CHANGE", "No change of epoch is decided."),
        ErrorType(TOO_FEW, "TOO_FEW", "BFT needs at least four validators."),
        ErrorType(NOT_READY, "NOT_READY", "A validator has not said that it is ready, or too long ago."),
        ErrorType(TWICE, "TWICE", "Two validators have one operator, consensus key or node key."),
        ErrorType(PAUSE_TERMS, "PAUSE_TERMS", "The method cannot be paused for so long, or so soon again."),
        ErrorType(NOT_PAUSED, "NOT_PAUSED", "The method is not paused."),
        ErrorType(OTHER_KEY, "OTHER_KEY", "The address is not that of the consensus key."),
        ErrorType(
            conduct.SUSPENDED, "SUSPENDED", "Evidence stands against a validator, and nobody lifted it."
        ),
        ErrorType(conduct.NOT_SUSPENDED, "NOT_SUSPENDED", "Nothing stands against the operator."),
    ),
)
