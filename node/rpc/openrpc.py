"""The OpenRPC document, generated from the table of methods; nothing is written twice.

*Source*: OpenRPC 1.3.2.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from node.catalog import by_slug
from node.config import VERSION
from node.rpc.dispatch import Method

OPENRPC_VERSION: Final = "1.3.2"
_SHARED_ERRORS: Final = ("rpc.bad_params", "rpc.internal", "node.not_ready")


def describe(methods: Sequence[Method[Any]]) -> dict[str, Any]:
    """Describe methods as an OpenRPC document."""
    ordered = sorted(methods, key=lambda method: method.name)
    types = [part for method in ordered for part in (method.params, method.result)]
    schemas, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    used = {slug for method in ordered for slug in (*method.errors, *_SHARED_ERRORS)}
    return {
        "openrpc": OPENRPC_VERSION,
        "info": {
            "title": "coopd",
            "version": VERSION,
            "description": "Ledger of a financial co-operative. Amounts are decimal strings of minor units.",
        },
        "methods": [_method(method, components, schemas[2 * at + 1]) for at, method in enumerate(ordered)],
        "components": {
            "schemas": components,
            "errors": {slug: _error(slug) for slug in sorted(used)},
        },
    }


def _method(method: Method[Any], components: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
    schema = components[method.params.__name__]
    required = set(schema.get("required", ()))
    return {
        "name": method.name,
        "summary": method.summary,
        "paramStructure": "either",
        "params": [
            {"name": name, "required": name in required, "schema": shape}
            for name, shape in schema["properties"].items()
        ],
        "result": {"name": "result", "schema": result},
        "errors": [{"$ref": f"#/components/errors/{slug}"} for slug in (*method.errors, *_SHARED_ERRORS)],
    }


def _error(slug: str) -> dict[str, Any]:
    entry = by_slug(slug)
    return {"code": entry.number, "message": entry.en.what, "data": {"slug": slug, "fix": entry.en.fix}}
