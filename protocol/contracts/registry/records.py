"""What the registry keeps and says: tables, events and errors; the whole key space on one screen."""

from typing import Final, TypeAlias

from protocol.chain.validators import OPERATOR_BYTES_MAX, EngineKind
from protocol.params import PACKAGE_BYTES_MAX, UPGRADE_RETRIES_MAX, UPGRADES_MAX, VALIDATORS_MAX
from protocol.types import ContractId, Hash32, PublicKey
from protocol.vm.contract import ErrorType, EventType
from protocol.vm.keys import data_key, uint_key
from protocol.vm.kinds import (
    BOOL,
    HASH,
    HEIGHT,
    PUBLIC_KEY,
    SECONDS,
    U16,
    U63,
    Field,
    Fields,
    Integer,
    Many,
    Text,
)
from protocol.vm.tables import Table

ID: Final = ContractId(4)
COUNCIL: Final = "council"

ReadyRow: TypeAlias = tuple[int, str, PublicKey, str, int, int]
"""(schema, operator, node key, software, engines, height to which it had the chain)"""
PendingRow: TypeAlias = tuple[int, int, int, int, Hash32, bool]
"""(schema, engine, seal height, time before which it does not seal, id of the program that decided, by
members)"""
NextRow: TypeAlias = tuple[int, str, PublicKey]
"""(schema, operator, node key)"""
PauseRow: TypeAlias = tuple[int, int]
VersionsRow: TypeAlias = tuple[int, tuple[tuple[int, int], ...]]
UpgradeRow: TypeAlias = tuple[int, int, Hash32, int, int, int, Hash32, str, bool]
"""(schema, version, fingerprint, first height, not before this time, tries, id of what decided, package, by
members)"""
RunningRow: TypeAlias = tuple[int, int, Hash32, str]
"""(schema, version, fingerprint, package)"""
InstalledRow: TypeAlias = tuple[int, Hash32]
TakenRow: TypeAlias = tuple[int]

OPERATOR: Final = Text("operator", OPERATOR_BYTES_MAX)
SOFTWARE: Final = Text("software", 64)
ENGINE: Final = Integer("engine", EngineKind.RAFT, EngineKind.BFT)
ENGINES: Final = Integer("engines", 1, 3)
VALIDATOR: Final = Fields(
    (Field("operator", OPERATOR), Field("consensus_key", PUBLIC_KEY), Field("node_key", PUBLIC_KEY))
)
PACKAGE: Final = Text("package", PACKAGE_BYTES_MAX)
TRIES: Final = Integer("tries", 0, UPGRADE_RETRIES_MAX)

NOT_BEFORE_FIELD: Final = Field("not_before", SECONDS, "earliest time of that block; 0: any")
CHANGE_FIELDS: Final = (
    Field("engine", ENGINE, "1 Raft, 2 BFT"),
    Field("seal_height", HEIGHT, "the epoch ends with this block, or the first one after it that is in time"),
    NOT_BEFORE_FIELD,
    Field("decided_by", HASH, "id of the program that decided"),
)
READY_FIELDS: Final = (
    Field("operator", OPERATOR),
    Field("node_key", PUBLIC_KEY),
    Field("software", SOFTWARE),
    Field("engines", ENGINES, "1 Raft, 2 BFT, 3 both"),
    Field("synced_height", HEIGHT, "to which it had the chain"),
)
UPGRADE_FIELDS: Final = (
    Field("version", U16, "0: the contract is taken out"),
    Field("fingerprint", HASH, "of the schema of that version, and of the source of a plugin"),
    Field("first_height", HEIGHT, "first block that runs it, when enough validators have it"),
    Field("not_before", SECONDS, "it waits until a block has this time"),
    Field("tries", TRIES, "how often too few validators had it, or the contract still held something"),
    Field("decided_by", HASH, "id of the program that decided"),
    Field("package", PACKAGE, "that brings it; empty: this program"),
)
BY_MEMBERS: Final = Field("by_members", BOOL, "by a vote, so it takes a vote to cancel it")
VERSIONS_KIND: Final = Many(Fields((Field("contract", U16), Field("version", U16))), UPGRADES_MAX)
OF_METHOD: Final = (Field("contract", U16), Field("method", U16))

READY: Final[Table[ReadyRow]] = Table(
    ID,
    1,
    "ready",
    (data_key("consensus_key", 33),),
    READY_FIELDS,
    doc="Validators that could take part in a next epoch.",
)
PENDING: Final[Table[PendingRow]] = Table(
    ID,
    2,
    "pending",
    (),
    (*CHANGE_FIELDS, BY_MEMBERS),
    doc="The change of epoch that is decided; no record: none is.",
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
VERSIONS: Final[Table[VersionsRow]] = Table(
    ID,
    7,
    "versions",
    (),
    (Field("versions", VERSIONS_KIND, "ascending by contract"),),
    doc="Contracts that run another version than the chain began with, from the next block on.",
)
UPGRADES: Final[Table[UpgradeRow]] = Table(
    ID,
    8,
    "upgrade",
    (uint_key("contract", 16),),
    (*UPGRADE_FIELDS, BY_MEMBERS),
    doc="Versions that are decided and do not run yet.",
)
INSTALLED: Final[Table[InstalledRow]] = Table(
    ID,
    9,
    "installed",
    (uint_key("contract", 16), uint_key("version", 16), data_key("consensus_key", 33)),
    (Field("fingerprint", HASH),),
    doc="Which versions validators say that they have.",
)

RUNNING: Final[Table[RunningRow]] = Table(
    ID,
    10,
    "running",
    (uint_key("contract", 16),),
    (Field("version", U16), Field("fingerprint", HASH), Field("package", PACKAGE)),
    doc="The newest version of each contract that was upgraded or added; it stays when that is taken out.",
)
TAKEN_OVER: Final[Table[TakenRow]] = Table(
    ID,
    11,
    "taken_over",
    (uint_key("method", 16),),
    (),
    doc="Methods of this contract that the council has no part in any more.",
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
    (
        Field("engine", ENGINE),
        Field("validators", Integer("count", 1, VALIDATORS_MAX)),
        CHANGE_FIELDS[1],
        NOT_BEFORE_FIELD,
    ),
    "The epoch that runs ends with a block that is known.",
)
CANCELLED: Final = EventType(
    ID, 3, "epoch_cancelled", (CHANGE_FIELDS[1],), "A decided change will not happen."
)
PAUSED: Final = EventType(
    ID, 4, "paused", (*OF_METHOD, Field("until", SECONDS)), "A method cannot be called until a time."
)
RESUMED: Final = EventType(ID, 5, "resumed", OF_METHOD, "A pause has ended before its time.")
VALUE_DECIDED: Final = EventType(
    ID,
    6,
    "parameter_decided",
    (Field("parameter", U16), Field("value", U63), Field("from_height", HEIGHT)),
    "A parameter has another value from a block on.",
)
UPGRADE_DECIDED: Final = EventType(
    ID,
    7,
    "upgrade_decided",
    (Field("contract", U16), Field("version", U16), Field("first_height", HEIGHT)),
    "A contract is to run another version.",
)
UPGRADE_CANCELLED: Final = EventType(
    ID,
    8,
    "upgrade_cancelled",
    (Field("contract", U16), Field("version", U16)),
    "A decided upgrade will not happen.",
)
SAID_INSTALLED: Final = EventType(
    ID,
    9,
    "installed",
    (Field("consensus_key", PUBLIC_KEY), Field("contract", U16), Field("version", U16)),
    "A validator has a version of a contract.",
)
TOOK_OVER: Final = EventType(
    ID, 10, "taken_over", (Field("method", U16),), "From now on members alone decide what a method does."
)
EVENTS: Final = (
    SAID_READY,
    DECIDED,
    CANCELLED,
    PAUSED,
    RESUMED,
    VALUE_DECIDED,
    UPGRADE_DECIDED,
    UPGRADE_CANCELLED,
    SAID_INSTALLED,
    TOOK_OVER,
)

CHANGE_PENDING: Final = 401
NO_CHANGE: Final = 402
TOO_FEW: Final = 403
NOT_READY: Final = 404
TWICE: Final = 405
OTHER_KEY: Final = 406
PAUSE_TERMS: Final = 407
NOT_PAUSED: Final = 408
SEAL_TERMS: Final = 409
ENGINE_UNSUPPORTED: Final = 410
NO_PARAMETER: Final = 411
OUT_OF_BOUNDS: Final = 412
FOUNDING_ONLY: Final = 413
HEIGHT_TERMS: Final = 414
SAME_VERSION: Final = 415
NO_UPGRADE: Final = 418
NO_VALIDATOR: Final = 419
UPGRADE_PENDING: Final = 420
NOT_A_PLUGIN: Final = 421
STILL_HOLDS: Final = 422
WAY_BACK: Final = 423
FOR_MEMBERS: Final = 424

ERRORS: Final = (
    ErrorType(CHANGE_PENDING, "CHANGE_PENDING", "Another change of epoch is decided already."),
    ErrorType(NO_CHANGE, "NO_CHANGE", "No change of epoch is decided."),
    ErrorType(TOO_FEW, "TOO_FEW", "BFT needs at least four validators."),
    ErrorType(NOT_READY, "NOT_READY", "A validator has not said that it is ready, or too long ago."),
    ErrorType(TWICE, "TWICE", "Two validators have one operator, consensus key or node key."),
    ErrorType(
        OTHER_KEY, "OTHER_KEY", "The address is not that of the node key, or the consensus key did not sign."
    ),
    ErrorType(PAUSE_TERMS, "PAUSE_TERMS", "The method cannot be paused for so long, or so soon again."),
    ErrorType(NOT_PAUSED, "NOT_PAUSED", "The method is not paused."),
    ErrorType(SEAL_TERMS, "SEAL_TERMS", "The seal is too soon or too far ahead."),
    ErrorType(ENGINE_UNSUPPORTED, "ENGINE_UNSUPPORTED", "The software of a validator lacks the engine."),
    ErrorType(NO_PARAMETER, "NO_PARAMETER", "There is no such parameter."),
    ErrorType(OUT_OF_BOUNDS, "OUT_OF_BOUNDS", "The value is outside the bounds of the parameter."),
    ErrorType(FOUNDING_ONLY, "FOUNDING_ONLY", "The parameter is fixed since the founding."),
    ErrorType(HEIGHT_TERMS, "HEIGHT_TERMS", "The height is too soon or too far ahead."),
    ErrorType(SAME_VERSION, "SAME_VERSION", "The contract runs that version already, or it is too old."),
    ErrorType(NO_UPGRADE, "NO_UPGRADE", "No such upgrade of the contract is decided."),
    ErrorType(NO_VALIDATOR, "NO_VALIDATOR", "The node is no validator of the present epoch."),
    ErrorType(NOT_A_PLUGIN, "NOT_A_PLUGIN", "Only the running contract of a plugin can be taken out."),
    ErrorType(STILL_HOLDS, "STILL_HOLDS", "The contract still has money or jobs, so it is not taken out."),
    ErrorType(UPGRADE_PENDING, "UPGRADE_PENDING", "Another version of the contract is decided already."),
    ErrorType(WAY_BACK, "WAY_BACK", "The way back from BFT to Raft has a door of its own, and no other use."),
    ErrorType(FOR_MEMBERS, "FOR_MEMBERS", "This is for members to decide; the council has no part in it."),
)
