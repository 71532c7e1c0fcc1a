"""Topics: what can be followed, block by block, from any cursor, without a gap.

A cursor is `height.index` of the last event that was received; reading goes on behind it, in order. Nothing
is queued: a follower that is slow reads later from the store, so no event is ever dropped. Subscriptions and
polling use the same function. It does not know WebSocket or SSE (`subscriptions.py`).

Topics: `blocks` (filter `ids`: with ids of transactions and jobs), `txs` (jobs too; filter `address`,
`contract`), `account:<address>`, `evidence` (who was convicted, and of what), `migration` (changes of epoch
and upgrades of contracts, when they are decided or called off; and every epoch, at the seal before it).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import msgspec

from node.rpc.failure import RpcFailure
from node.rpc.forms import event_form, find_job, header_form, memo_text, program_form
from node.rpc.service import ChainFacts
from node.rpc.values import read_address, to_hex
from node.store.records import TxPlace
from node.store.store import Store
from protocol.addresses import format_address
from protocol.chain.receipt import Receipt, decode_receipt
from protocol.chain.transaction import decode_signed
from protocol.contracts.registry import records as registry
from protocol.params import JOB_INDEX_FIRST
from protocol.types import Address, Height

RETENTION_BLOCKS: Final = 100_000
EVENTS_MAX: Final = 200
"""Events read at once."""
SUBSCRIPTIONS_MAX: Final = 32
"""Topics that one connection may follow at once."""
ACCOUNT_PAGE: Final = 200
STEPS_MAX: Final = 1_000
"""Blocks or transactions that one reading looks at, about 50 us each."""
STRETCH_BLOCKS: Final = 64
INDEX_MAX: Final = (1 << 32) - 1
"""Behind every transaction and every job of a block."""
MIGRATION_EVENTS: Final = frozenset(
    (registry.ID, told.id)
    for told in (
        registry.DECIDED,
        registry.CANCELLED,
        registry.UPGRADE_DECIDED,
        registry.UPGRADE_CANCELLED,
    )
)
_CURSOR: Final = re.compile(r"([0-9]{1,15})\.([0-9]{1,10})", re.ASCII)


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
    if name in ("blocks", "txs", "evidence", "migration"):
        return Topic(name, address, wanted)
    kind, _, text = name.partition(":")
    if kind == "account" and text:
        return Topic("account", read_address(text, facts.hrp), wanted)
    raise RpcFailure("chain.no_topic", topic=name[:64])


@dataclass(frozen=True, slots=True)
class Page:
    """Events in order, how far the reading came, and whether that is the end for now."""

    events: list[tuple[Cursor, dict[str, Any]]]
    reached: Cursor
    is_end: bool


def read_cursor(text: str) -> Cursor:
    """Read the text of a cursor.

    Raises:
        RpcFailure: rpc.bad_params.
    """
    found = _CURSOR.fullmatch(text)
    if not found or int(found[2]) > INDEX_MAX:
        raise RpcFailure("rpc.bad_params", detail="a cursor is height.index")
    return Cursor(int(found[1]), int(found[2]))


def parse_cursor(text: str | None, head: Height, base: Height) -> Cursor:
    """Read a cursor; None stands behind everything that is committed now.

    Args:
        base: height of the snapshot that the store began with: events are kept above it.

    Raises:
        RpcFailure: chain.cursor_too_old: outside what is kept, or beyond the chain.
    """
    if text is None:
        return Cursor(head, INDEX_MAX)
    cursor = read_cursor(text)
    oldest = max(0, head - RETENTION_BLOCKS, base + 1 if base else 0)
    if not oldest <= cursor.height <= head:
        raise RpcFailure("chain.cursor_too_old", asked=text, oldest=f"{oldest}.0")
    return cursor


def read_events(
    store: Store, facts: ChainFacts, topic: Topic, after: Cursor, head: Height, limit: int = EVENTS_MAX
) -> Page:
    """Read the events behind a cursor up to a height, in order, at most so many.

    Cost: at most `STEPS_MAX` blocks or transactions are looked at; the page says how far it came.
    """
    read = _account_events if topic.name == "account" else _block_events
    events: list[tuple[Cursor, dict[str, Any]]] = []
    reached = after
    for steps, (reached, event) in enumerate(read(store, facts, topic, after, head), 1):
        if event is not None:
            events.append((reached, event))
        if len(events) >= limit or steps >= STEPS_MAX:
            return Page(events, reached, False)
    return Page(events, reached, True)


_Steps: TypeAlias = Iterator[tuple[Cursor, dict[str, Any] | None]]
"""Every place that was looked at, with the event that is there, if it is one of the topic."""


def _block_events(store: Store, facts: ChainFacts, topic: Topic, after: Cursor, head: Height) -> _Steps:
    for height in range(after.height, head + 1):
        header = store.header(height)
        if header is None:
            continue  # genesis has none
        if topic.name == "blocks":
            if after < Cursor(height, 0):
                event: dict[str, Any] = {"type": "block", "header": header_form(header)}
                if topic.filter.ids:
                    event["ids"] = [to_hex(tx_id) for tx_id in store.tx_ids(height)]
                    event["jobs"] = [to_hex(run_id) for run_id in store.run_ids(height)]
                yield Cursor(height, 0), event
            continue
        if topic.name == "evidence":
            yield from _evidence_events(store, after, height)
        elif topic.name == "migration":
            yield from _migration_events(store, facts, after, height)
            if header.is_seal and after < Cursor(height, INDEX_MAX):
                yield Cursor(height, INDEX_MAX), _epoch_event(store, height)
        else:
            yield from _tx_events(store, facts, topic, after, height)
        yield Cursor(height, INDEX_MAX), None


def _evidence_events(store: Store, after: Cursor, height: int) -> _Steps:
    for index, evidence in enumerate(store.evidence(height)):
        if Cursor(height, index) <= after:
            continue
        record = store.epoch(evidence.epoch)
        place = None if record is None else record.index_of(evidence.accused)
        assert record is not None and place is not None, "a block convicts whom nobody knows"
        event = {
            "type": "evidence",
            "operator": record.validators[place].operator,
            "consensusKey": to_hex(evidence.accused),
            "kind": evidence.kind.name.lower(),
            "epoch": evidence.epoch,
            "height": evidence.height,
            "evidence": to_hex(evidence.compute_hash()),
        }
        yield Cursor(height, index), event


def _migration_events(store: Store, facts: ChainFacts, after: Cursor, height: int) -> _Steps:
    for cursor, receipt_bytes in _receipts_behind(store, after, height):
        receipt = decode_receipt(receipt_bytes)
        told = [
            event_form(event, facts)
            for event in receipt.events
            if (event.contract, event.event) in MIGRATION_EVENTS
        ]
        if told:
            yield cursor, {"type": "migration", "id": to_hex(receipt.tx_id), "events": told}


def _epoch_event(store: Store, seal_height: int) -> dict[str, Any]:
    record = store.epoch_at(seal_height + 1)
    return {
        "type": "epoch",
        "epoch": record.number,
        "protocol": record.engine.name.lower(),
        "sinceHeight": record.first_height,
        "operators": [validator.operator for validator in record.validators],
        "decidedBy": to_hex(record.decided_by),
    }


def _receipts_behind(store: Store, after: Cursor, height: int) -> Iterator[tuple[Cursor, bytes]]:
    receipts = [*enumerate(store.receipts(height)), *enumerate(store.run_receipts(height), JOB_INDEX_FIRST)]
    for index, receipt_bytes in receipts:
        if after < Cursor(height, index):
            yield Cursor(height, index), receipt_bytes


def _tx_events(store: Store, facts: ChainFacts, topic: Topic, after: Cursor, height: int) -> _Steps:
    for cursor, receipt_bytes in _receipts_behind(store, after, height):
        place = TxPlace(Height(height), cursor.index, decode_receipt(receipt_bytes).tx_id)
        event, addresses, contracts = _tx_event(store, facts, place, receipt_bytes)
        is_wanted = (topic.address is None or topic.address in addresses) and (
            not topic.filter.contract or topic.filter.contract in contracts
        )
        yield cursor, event if is_wanted else None


def _account_events(store: Store, facts: ChainFacts, topic: Topic, after: Cursor, head: Height) -> _Steps:
    """Walk an account's transactions by stretches of the chain, longer ones where there is nothing."""
    assert topic.address is not None
    low, span = after, STRETCH_BLOCKS
    while low < Cursor(head, INDEX_MAX):
        top = min(head, low.height + span)
        for place in _find_between(store, topic.address, low, top):
            found = store.receipt(place.tx_id)
            assert found is not None, "an indexed transaction has a receipt"
            yield Cursor(place.height, place.index), _tx_event(store, facts, place, found[2])[0]
        low, span = Cursor(top, INDEX_MAX), 2 * span
        yield low, None


def _find_between(store: Store, address: Address, low: Cursor, top: int) -> list[TxPlace]:
    """List an account's transactions behind a cursor up to a height; the index runs from new to old."""
    places: list[TxPlace] = []
    before = (top + 1, 0)
    while True:
        page = store.account_transactions(address, before, ACCOUNT_PAGE)
        newer = [place for place in page if Cursor(place.height, place.index) > low]
        places += newer
        if len(newer) < ACCOUNT_PAGE:
            return places[::-1]
        before = (newer[-1].height, newer[-1].index)


def _tx_event(
    store: Store, facts: ChainFacts, place: TxPlace, receipt_bytes: bytes
) -> tuple[dict[str, Any], set[Address], set[str]]:
    receipt = decode_receipt(receipt_bytes)
    if place.is_job:
        return _run_event(facts, receipt)
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


def _run_event(facts: ChainFacts, receipt: Receipt) -> tuple[dict[str, Any], set[Address], set[str]]:
    job, owner = find_job(receipt)
    said = [event_form(event, facts) for event in receipt.events]
    event = {
        "type": "job",
        "id": to_hex(receipt.tx_id),
        "index": receipt.index,
        "ok": receipt.is_ok,
        "code": receipt.code,
        "job": job,
        "owner": None if owner is None else format_address(owner, facts.hrp),
        "events": said,
    }
    return event, set() if owner is None else {owner}, {one.contract for one in said}
