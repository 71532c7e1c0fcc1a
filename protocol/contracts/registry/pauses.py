"""Pauses of one method: set, ended before their time, asked for by the kernel before each call."""

from functools import lru_cache
from itertools import islice
from typing import Final

from protocol.codec import Value
from protocol.contracts.registry.records import NOT_PAUSED, PAUSE_TERMS, PAUSED, PAUSES, RESUMED
from protocol.errors import Code
from protocol.params import PAUSE_REST_SECONDS, QUERY_ITEMS_MAX
from protocol.vm.context import Context, QueryContext, fail
from protocol.vm.tables import SCHEMA
from protocol.vm.view import View

PAUSE_KEYS_MAX: Final = 4_096
"""Keys of methods kept in memory: methods are few."""


def pause(ctx: Context, contract_id: int, method_id: int, seconds: int) -> Value:
    """Pause a method; returns when that ends."""
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


def resume(ctx: Context, contract_id: int, method_id: int) -> Value:
    """End a pause before its time."""
    view, time = ctx.view, int(ctx.environment.time)
    key = PAUSES.key(contract_id, method_id)
    row = PAUSES.get(view, key)
    if row is None or row[1] <= time:
        fail(NOT_PAUSED, "registry.paused", None, method_id)
    PAUSES.put(view, key, (SCHEMA, time))
    ctx.emit(RESUMED, contract_id, method_id)
    return True


def paused_until(view: View, contract: int, method: int) -> int:
    """Return the time at which the pause of a method ends; 0 when it has never been paused."""
    row = view.get(_pause_key(contract, method))
    return 0 if row is None else row[1]  # type: ignore[return-value]


@lru_cache(PAUSE_KEYS_MAX)
def _pause_key(contract: int, method: int) -> bytes:
    return PAUSES.key(contract, method)


def query_paused(query: QueryContext, after: tuple[int, int] | None) -> Value:
    """List the methods that are paused, after one of them."""
    start = None if after is None else PAUSES.key(*after) + b"\x00"
    rows = PAUSES.scan(query.view, start=start)
    paused = ((*PAUSES.parts(key), row[1]) for key, row in rows if row[1] > query.time)
    return tuple(islice(paused, QUERY_ITEMS_MAX))
