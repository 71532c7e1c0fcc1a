"""Topics: what can be followed, block by block, from any cursor, without a gap.

A cursor is `height.index` of the last event that was received; reading goes on behind it, in order. Nothing
is queued: a follower that is slow reads later from the store, so no event is ever dropped. Subscriptions and
polling use the same function. It does not know WebSocket or SSE (`subscriptions.py`).

Topics: `blocks` (filter `ids`: with transaction ids), `txs` (filter `address`, `contract`),
`account:<address>`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import msgspec

from node.rpc.failure import RpcFailure
from node.rpc.forms import header_form, memo_text, program_form
from node.rpc.service import ChainFacts
from node.rpc.values import read_address, to_hex
from node.store.records import TxPlace
from node.store.store import Store
from protocol.addresses import format_address
from protocol.chain.receipt import decode_receipt
from protocol.chain.transaction import decode_signed
from protocol.types import Address, Height

RETENTION_BLOCKS: Final = 100_000
EVENTS_MAX: Final = 200
"""Events read at once."""
SUBSCRIPTIONS_MAX: Final = 32
"""Topics that one connection may follow at once."""
ACCOUNT_PAGE: Final = 200
_CURSOR: Final = re.compile(r"([0-9]{1,15})\.([0-9]{1,9})", re.ASCII)
_END: Final = 1 << 31


class EventFilter(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Narrow a topic.

    Args:
        address: txs: only those that name this account.
        contract: txs: only those that call this contract, such as `assets`.
        ids: blocks: with the ids of their transactions.
    """

    address: str = ""
    contract: str = ""
    ids: bool = False


@dataclass(frozen=True, slots=True, order=True)
class Cursor:
    """A place in the chain: height and index of an event."""

    height: int
    index: int

    def __str__(self) -> str:
        return f"{self.height}.{self.index}"


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic that is known, with its filter."""

    name: str
    address: Address | None
    filter: EventFilter


def parse_topic(name: str, wanted: EventFilter, facts: ChainFacts) -> Topic:
    """Read the name of a topic.

    Raises:
        RpcFailure: chain.no_topic.
        Rejected: BAD_ADDRESS.
    """
    address = read_address(wanted.address, facts.hrp) if wanted.address else None
    if name in ("blocks", "txs"):
        return Topic(name, address, wanted)
    kind, _, text = name.partition(":")
    if kind == "account" and text:
        return Topic("account", read_address(text, facts.hrp), wanted)
    raise RpcFailure("chain.no_topic", topic=name[:64])


def parse_cursor(text: str | None, head: Height) -> Cursor:
    """Read a cursor; None stands behind everything that is committed now.

    Raises:
        RpcFailure: chain.cursor_too_old: outside what is kept, or beyond the chain.
    """
    if text is None:
        return Cursor(head, _END)
    found = _CURSOR.fullmatch(text)
    if not found:
        raise RpcFailure("rpc.bad_params", detail="a cursor is height.index")
    cursor = Cursor(int(found[1]), int(found[2]))
    oldest = max(0, head - RETENTION_BLOCKS)
    if not oldest <= cursor.height <= head:
        raise RpcFailure("chain.cursor_too_old", asked=text, oldest=f"{oldest}.0")
    return cursor


def read_events(
    store: Store, facts: ChainFacts, topic: Topic, after: Cursor, head: Height, limit: int = EVENTS_MAX
) -> list[tuple[Cursor, dict[str, Any]]]:
    """Read the events behind a cursor up to a height, in order, at most so many."""
    source = (
        _account_events(store, facts, topic, after, head)
        if topic.name == "account"
        else _block_events(store, facts, topic, after, head)
    )
    return list(islice(source, limit))


def _block_events(
    store: Store, facts: ChainFacts, topic: Topic, after: Cursor, head: Height
) -> Iterator[tuple[Cursor, dict[str, Any]]]:
    for height in range(after.height, head + 1):
        header = store.header(height)
        if header is None:
            continue  # genesis has none
        if topic.name == "blocks":
            if after < Cursor(height, 0):
                event: dict[str, Any] = {"type": "block", "header": header_form(header)}
                if topic.filter.ids:
                    event["ids"] = [to_hex(tx_id) for tx_id in store.tx_ids(height)]
                yield Cursor(height, 0), event
        elif header.tx_count:
            yield from _tx_events(store, facts, topic, after, height)


def _tx_events(
    store: Store, facts: ChainFacts, topic: Topic, after: Cursor, height: int
) -> Iterator[tuple[Cursor, dict[str, Any]]]:
    for index, receipt_bytes in enumerate(store.receipts(height)):
        cursor = Cursor(height, index)
        if cursor <= after:
            continue
        place = TxPlace(Height(height), index, decode_receipt(receipt_bytes).tx_id)
        event, addresses, contracts = _tx_event(store, facts, place, receipt_bytes)
        if topic.address is not None and topic.address not in addresses:
            continue
        if topic.filter.contract and topic.filter.contract not in contracts:
            continue
        yield cursor, event


def _account_events(
    store: Store, facts: ChainFacts, topic: Topic, after: Cursor, head: Height
) -> Iterator[tuple[Cursor, dict[str, Any]]]:
    """Walk an account's transactions: the index runs from new to old, so collect places, then turn round."""
    assert topic.address is not None
    places: list[TxPlace] = []
    before: tuple[int, int] | None = (head + 1, 0)
    while before is not None:
        page = store.account_transactions(topic.address, before, ACCOUNT_PAGE)
        newer = [place for place in page if Cursor(place.height, place.index) > after]
        places += newer
        last = page[-1] if page and len(newer) == len(page) == ACCOUNT_PAGE else None
        before = None if last is None else (last.height, last.index)
    for place in reversed(places):
        found = store.receipt(place.tx_id)
        assert found is not None, "an indexed transaction has a receipt"
        yield Cursor(place.height, place.index), _tx_event(store, facts, place, found[2])[0]


def _tx_event(
    store: Store, facts: ChainFacts, place: TxPlace, receipt_bytes: bytes
) -> tuple[dict[str, Any], set[Address], set[str]]:
    receipt = decode_receipt(receipt_bytes)
    found = store.transaction(place.tx_id)
    assert found is not None, "an indexed transaction is in its block"
    tx = decode_signed(found[2], facts.genesis_hash).tx
    actors = [format_address(actor, facts.hrp) for actor in tx.actors]
    program = program_form(tx.program, actors, facts)
    event = {
        "type": "tx",
        "id": to_hex(place.tx_id),
        "index": place.index,
        "ok": receipt.is_ok,
        "code": receipt.code,
        "actors": actors,
        "program": program,
        "memo": memo_text(tx.memo),
    }
    return event, set(tx.actors), {call.contract for call in program}
