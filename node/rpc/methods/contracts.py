"""Queries of the contracts, one method each, derived from their schemas: `assets_asset` ...

Nothing here knows a contract: a query that is added to one appears in JSON-RPC by itself.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from node.queries import StoredJournal
from node.rpc.dispatch import Method
from node.rpc.methods.params import At, Read
from node.rpc.service import Call
from node.rpc.values import camel, kind_json, kind_value
from protocol.codec import Value
from protocol.contracts.registry.upgrades import get_versions
from protocol.errors import CallFailed, Rejected, VersionsMissing
from protocol.transition import answer_query, list_missing_versions
from protocol.types import Seconds
from protocol.vm.contract import Contract, Query, Registry
from protocol.vm.kinds import Maybe
from protocol.vm.view import StateReader, View


def query_methods(registry: Registry) -> tuple[Method[Any], ...]:
    """Return one method for each query of each contract; of a plugin those of the newest version here."""
    plugins = {plugin.id: plugin for plugin in sorted(registry.newer, key=lambda c: c.version)}
    known = {contract.id: contract for contract in registry.contracts} | plugins
    return tuple(_method(known[number], query) for number in sorted(known) for query in known[number].queries)


def _method(contract: Contract, query: Query) -> Method[Any]:
    name = f"{contract.name}_{camel(query.name)}"
    params = msgspec.defstruct(
        f"{contract.name.title()}{camel(query.name)[:1].upper()}{camel(query.name)[1:]}Params",
        [
            *(
                (field.name, Any, None) if isinstance(field.kind, Maybe) else (field.name, Any)
                for field in query.arguments
            ),
            ("at", At, None),
        ],
        kw_only=True,
        forbid_unknown_fields=True,
        rename="camel",
        frozen=True,
    )
    return Method(name, params, Read, query.doc, _runner(contract, query))


def _runner(contract: Contract, query: Query) -> Callable[[Call, Any], Awaitable[Read]]:
    async def run(call: Call, params: Any) -> Read:
        hrp = call.facts.hrp
        arguments = tuple(
            kind_value(field.kind, getattr(params, field.name), hrp, camel(field.name))
            for field in query.arguments
        )
        height = call.state_height_of(params.at)
        time = Seconds(call.time_ms_of(height) // 1_000)
        with call.state(height) as state:
            value = _ask(call, state, time, contract, query, arguments)
            running = call.facts.registry.at(get_versions(View(state)))
            assert running is not None, "an answer came from it"
            result = running.find_query(contract.name, query.name).result
        return Read(height, kind_json(result, value, hrp))

    return run


def _ask(
    call: Call,
    state: StateReader,
    time: Seconds,
    contract: Contract,
    query: Query,
    arguments: tuple[Value, ...],
) -> Value:
    missing = list_missing_versions(state)
    if missing:
        raise VersionsMissing(missing)
    try:
        journal = StoredJournal(call.store)
        offset = call.facts.genesis.utc_offset_seconds
        return answer_query(state, time, contract.name, query.name, arguments, journal, offset)
    except CallFailed as failed:
        raise Rejected(failed.code, failed.reason.rule) from failed
