"""Version 1 of the interface for plugins: all that a co-op's own contract may import.

It is frozen: tests hold its names and signatures. What must change becomes `v2.py` beside it, so that a
plugin that was decided once runs as long as its chain. docs/plugins.md is the guide.
"""

from functools import partial
from typing import Final

from protocol.money import SECONDS_PER_DAY, Rounding
from protocol.params import PLUGIN_LAYER_MIN
from protocol.plugin.schema import (
    Change,
    Invariant,
    Key,
    Lookup,
    Method,
    Query,
    Record,
    Records,
    make_contract,
)
from protocol.plugin.world import Ctx, QueryCtx, fail, mul_div, require, split_by_weight, wrap_query
from protocol.types import Address, ContractId
from protocol.vm.context import Take
from protocol.vm.contract import (
    Contract,
    ErrorType,
    EventType,
    Owner,
    Role,
    Signed,
    System,
    compute_contract_address,
)
from protocol.vm.keys import data_key, text_key, uint_key
from protocol.vm.kinds import (
    ADDRESS,
    AMOUNT,
    ASSET,
    BOOL,
    HASH,
    HEIGHT,
    HOLD,
    POSITIVE,
    SECONDS,
    U8,
    U16,
    U32,
    U48,
    U63,
    Data,
    Field,
    Fields,
    Integer,
    Many,
    Maybe,
    Text,
)

API_VERSION: Final = 1

__all__ = [
    # schema
    "API_VERSION",
    "Contract",
    "ContractId",
    "contract",
    "Records",
    "Lookup",
    "uint_key",
    "data_key",
    "text_key",
    "Method",
    "Query",
    "EventType",
    "ErrorType",
    "Invariant",
    "Owner",
    "Role",
    "Signed",
    "System",
    # kinds
    "Field",
    "Fields",
    "Integer",
    "Data",
    "Text",
    "Many",
    "Maybe",
    "ADDRESS",
    "AMOUNT",
    "ASSET",
    "BOOL",
    "HASH",
    "HEIGHT",
    "HOLD",
    "POSITIVE",
    "SECONDS",
    "U8",
    "U16",
    "U32",
    "U48",
    "U63",
    # what functions are given, and may call
    "Ctx",
    "QueryCtx",
    "Take",
    "Address",
    "Change",
    "Key",
    "Record",
    "fail",
    "require",
    "mul_div",
    "split_by_weight",
    "Rounding",
    "SECONDS_PER_DAY",
]


def contract(
    number: int,
    name: str,
    version: int,
    doc: str,
    *,
    records: tuple[Records, ...] = (),
    methods: tuple[Method, ...] = (),
    queries: tuple[Query, ...] = (),
    events: tuple[EventType, ...] = (),
    errors: tuple[ErrorType, ...] = (),
    invariants: tuple[Invariant, ...] = (),
    layer: int = PLUGIN_LAYER_MIN,
) -> Contract:
    """Make the contract of a plugin.

    Args:
        number: 1000 or more; never that of another contract of the chain.
        layer: 4 or more; it may call contracts of lower layers.

    Raises:
        ValueError: a number, a name or a part is not one that a plugin may have.
    """
    to_query = partial(wrap_query, contract=number, address=compute_contract_address(name))
    return make_contract(
        Ctx,
        to_query,
        number,
        name,
        version,
        doc,
        records,
        methods,
        queries,
        events,
        errors,
        invariants,
        layer,
    )
