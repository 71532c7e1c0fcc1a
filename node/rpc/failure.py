"""What a method raises when it refuses: a slug of the catalogue with its numbers; its form on the wire."""

from typing import Any

from node.catalog import Entry, by_code, by_slug, fill
from protocol.chain.receipt import Receipt
from protocol.errors import Rejected
from protocol.vm.contract import Registry


class RpcFailure(Exception):
    """Refuse a call with an entry of the catalogue.

    Args:
        slug: of the entry.
        params: fill the placeholders of its texts, and travel along.
    """

    def __init__(self, slug: str, /, **params: Any) -> None:
        super().__init__(slug, params)
        self.entry = by_slug(slug)
        self.params = params


def failure_of_rejection(code: int, detail: str, **params: Any) -> RpcFailure:
    """Return the failure for a kernel code, as a node answers a transaction."""
    return RpcFailure(by_code(code).slug, detail=detail or "no detail", code=int(code), **params)


def failure_of(rejected: Rejected) -> RpcFailure:
    """Return the failure for something that was `Rejected`."""
    return failure_of_rejection(rejected.code, rejected.detail)


def failure_of_receipt(receipt: Receipt, registry: Registry) -> RpcFailure:
    """Return the failure that a receipt tells of; the words for a contract's own code are in its schema."""
    reason = receipt.reason
    rule, limit, actual = ("", None, None) if reason is None else (reason.rule, reason.limit, reason.actual)
    errors = [error for contract in (*registry.contracts, *registry.newer) for error in contract.errors]
    meaning = next((e.doc for e in errors if e.code == receipt.code), "")
    return RpcFailure(
        by_code(receipt.code).slug,
        detail=(meaning.rstrip(".") or f"rule {rule}") if rule or meaning else "no rule named",
        code=int(receipt.code),
        rule=rule or "-",
        limit=_plain(limit),
        actual=_plain(actual),
        asked=_plain(actual),
    )


def error_object(entry: Entry, params: dict[str, Any], language: str) -> dict[str, Any]:
    """Return the error object of JSON-RPC in a language; number and slug are the same in all of them."""
    text = fill(entry, language, params)
    return {
        "code": entry.number,
        "message": text.what,
        "data": {
            "slug": entry.slug,
            "why": text.why,
            "fix": text.fix,
            "retry": entry.retry.value,
            "outcome": entry.outcome.value,
            "params": params,
            "doc": f"/e/{entry.number}",
        },
    }


def _plain(value: int | str | bytes | None) -> str:
    return "-" if value is None else "0x" + value.hex() if isinstance(value, bytes) else str(value)
