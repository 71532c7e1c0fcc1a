"""docs: commitments, retention, tombstones and view keys."""

import pytest

from protocol.codec import Value
from protocol.contracts import documents
from protocol.params import QUERY_ITEMS_MAX
from tests.protocol.ledger_world import ALICE, BOB, Person, World

DOCS = 51
PAPER = bytes(range(32))


@pytest.fixture
def world() -> World:
    return World()


def register(who: Person = ALICE, commitment: bytes = PAPER, kind: str = "bylaws", keep: int = 0) -> Value:
    return (DOCS, 1, 0, (who.address, commitment, kind, keep))


def refused(world: World, call: Value, code: int, who: Person = ALICE) -> None:
    assert world.failed(world.tx(call, actors=(who,))).code == code


def test_a_document_is_on_record_with_its_time_and_can_be_found(world: World) -> None:
    at = world.time
    (receipt,) = world.ok(world.tx(register()))
    assert receipt.results == (1,)
    row = (1, ALICE.address, PAPER, "bylaws", at, 0, 0)
    assert world.ask("docs", "document", 1) == row
    assert world.ask("docs", "find", PAPER) == row
    assert world.ask("docs", "find", bytes(32)) is None
    assert world.ask("docs", "document", 2) is None


def test_one_commitment_is_registered_once_by_anybody(world: World) -> None:
    world.ok(world.tx(register()))
    refused(world, register(), documents.REGISTERED)
    refused(world, register(BOB), documents.REGISTERED, BOB)


def test_a_document_is_erased_after_its_time_and_not_a_second_before(world: World) -> None:
    keep = world.time + 2
    world.ok(world.tx(register(keep=keep)))
    erase = (DOCS, 3, 0, (ALICE.address, 1))
    assert world.time == keep - 1
    refused(world, erase, documents.RETAINED)
    assert world.time == keep
    refused(world, erase, documents.RETAINED)
    world.ok(world.tx(erase))
    assert world.ask("docs", "document", 1) == (1, ALICE.address, PAPER, "bylaws", keep - 2, keep, keep + 1)
    refused(world, erase, documents.ERASED)
    refused(world, (DOCS, 2, 0, (ALICE.address, 1, keep + 9)), documents.ERASED)


def test_retention_only_grows(world: World) -> None:
    world.ok(world.tx(register(keep=100)))
    for keep in (99, 100):
        refused(world, (DOCS, 2, 0, (ALICE.address, 1, keep)), documents.SHORTER)
    world.ok(world.tx((DOCS, 2, 0, (ALICE.address, 1, 101))))


def test_only_the_owner_touches_a_document(world: World) -> None:
    world.ok(world.tx(register()))
    refused(world, (DOCS, 3, 0, (BOB.address, 1)), documents.NO_DOCUMENT, BOB)
    refused(world, (DOCS, 2, 0, (ALICE.address, 2, 5)), documents.NO_DOCUMENT)


def test_documents_of_an_account_come_in_pages(world: World) -> None:
    for n in range(QUERY_ITEMS_MAX + 1):
        world.ok(world.tx(register(commitment=n.to_bytes(32, "big"))))
    world.ok(world.tx(register(BOB, b"\xff" * 32), actors=(BOB,)))
    first = world.ask("docs", "by_owner", ALICE.address, 0)
    assert type(first) is tuple and [row[0] for row in first] == list(range(1, QUERY_ITEMS_MAX + 1))
    rest = world.ask("docs", "by_owner", ALICE.address, QUERY_ITEMS_MAX)
    assert type(rest) is tuple and [row[0] for row in rest] == [QUERY_ITEMS_MAX + 1]


def test_a_view_key_is_a_key_and_can_be_taken_back(world: World) -> None:
    refused(world, (DOCS, 4, 0, (ALICE.address, b"\x02" + b"\xff" * 32)), documents.NOT_A_KEY)
    world.ok(world.tx((DOCS, 4, 0, (ALICE.address, BOB.key))))
    assert world.ask("docs", "view_key", ALICE.address) == BOB.key
    world.ok(world.tx((DOCS, 4, 0, (ALICE.address, None))))
    assert world.ask("docs", "view_key", ALICE.address) is None
