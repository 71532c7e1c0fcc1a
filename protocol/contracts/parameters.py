"""Numbers that may change inside bounds while a chain runs: what they are, and what they are now.

All of them stand here, because contracts and the transition itself read them; who changes them, and how, is
the contract `registry`. A new value is decided in one block and used from a later one on, so that a block
knows from the state before it under which values it runs.

*Source*: contracts.md 3.12; consensus.md 1.2.
"""

from typing import Final, TypeAlias

from protocol.params import (
    BLOCK_GAS_MAX,
    EPOCH_DELAY_BLOCKS,
    JOB_GAS_MAX,
    JOBS_BLOCK_GAS_MAX,
    QUOTA_GAS_PER_DAY,
    RAFT_RETURN_SECONDS,
    READY_BLOCKS_MAX,
    TX_GAS_MAX,
)
from protocol.vm.contract import Parameter
from protocol.vm.keys import uint_key
from protocol.vm.kinds import HEIGHT, U63, Field
from protocol.vm.tables import SCHEMA, Table
from protocol.vm.view import View

REGISTRY_ID: Final = 4

ValueRow: TypeAlias = tuple[int, int]
"""(schema, value)"""
NextRow: TypeAlias = tuple[int, int, int]
"""(schema, value, height from which it counts)"""

_KEY: Final = (uint_key("parameter", 16),)

VALUES: Final[Table[ValueRow]] = Table(
    REGISTRY_ID, 5, "parameter", _KEY, (Field("value", U63),), doc="Values that are not the default ones."
)
NEXT_VALUES: Final[Table[NextRow]] = Table(
    REGISTRY_ID,
    6,
    "next_parameter",
    _KEY,
    (Field("value", U63), Field("from_height", HEIGHT, "first block that uses it")),
    doc="Values that are decided and not used yet.",
)

EPOCH_DELAY: Final = Parameter(
    1,
    "epoch_delay_blocks",
    "blocks",
    2,
    10_000,
    EPOCH_DELAY_BLOCKS,
    "Blocks at least from the decision on a change of epoch to its seal.",
)
RAFT_RETURN: Final = Parameter(
    2,
    "raft_return_seconds",
    "seconds",
    0,
    60 * 86_400,
    RAFT_RETURN_SECONDS,
    "Time at least from the decision to go back from BFT to Raft to its seal.",
    is_founding=True,
)
READY_BLOCKS: Final = Parameter(
    3,
    "ready_blocks",
    "blocks",
    100,
    1_000_000,
    READY_BLOCKS_MAX,
    "Blocks for which a validator's word that it is ready counts.",
)
QUOTA: Final = Parameter(
    4,
    "quota_gas_per_day",
    "gas",
    20_000,
    20_000_000,
    QUOTA_GAS_PER_DAY,
    "Free gas of an account for each day; it holds that of five days.",
)
BLOCK_GAS: Final = Parameter(
    5, "block_gas", "gas", TX_GAS_MAX, BLOCK_GAS_MAX, BLOCK_GAS_MAX, "Gas of all transactions of a block."
)
JOBS_GAS: Final = Parameter(
    6,
    "jobs_block_gas",
    "gas",
    JOB_GAS_MAX,
    40_000_000,
    JOBS_BLOCK_GAS_MAX,
    "Gas of all jobs of a block, beside that of its transactions.",
)
BOOKS_PUBLIC: Final = Parameter(
    7,
    "books_public",
    "flag",
    0,
    1,
    0,
    "Whether gateways that are open show the rows of all members to everybody; totals they always show.",
)

PARAMETERS: Final = (EPOCH_DELAY, RAFT_RETURN, READY_BLOCKS, QUOTA, BLOCK_GAS, JOBS_GAS, BOOKS_PUBLIC)
_KEYS: Final = {p.id: VALUES.prefix + p.id.to_bytes(2, "big") for p in PARAMETERS}
BY_NAME: Final = {parameter.name: parameter for parameter in PARAMETERS}


def get_value(view: View, parameter: Parameter) -> int:
    """Return the value that a block uses, without counting gas: it is in memory after the first time."""
    row = view.get(_KEYS[parameter.id])
    return parameter.default if row is None else row[1]  # type: ignore[return-value]


def settle_values(view: View, height: int) -> None:
    """Let the values whose height has come count; asked before anything else of a block."""
    for key, row in list(NEXT_VALUES.scan(view)):
        if row[2] <= height:
            VALUES.put(view, VALUES.prefix + key[len(NEXT_VALUES.prefix) :], (SCHEMA, row[1]))
            NEXT_VALUES.delete(view, key)
