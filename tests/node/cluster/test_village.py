"""The village is founded with books that balance, and everybody in it can do what the office says."""

import pytest

from node.cli.operator.money_check import find_money_faults
from node.cluster.founding import LOAD_OPENING_MINOR, demo_address, load_openings, make_operators
from node.cluster.scenarios import SCENARIOS
from node.cluster.village import (
    BOARD,
    CAP,
    CASHIER_START,
    CREDIT,
    CURRENCY,
    NAMES,
    POLICIES,
    SHARES,
    STAFF,
    TREASURERS,
    VAULT,
    YUAN,
    board_policy,
    make_village,
)
from protocol.chain.genesis import decode_genesis
from protocol.chain.validators import EngineKind
from protocol.codec import Value
from protocol.contracts import REGISTRY
from protocol.contracts.members.records import ACTIVE
from protocol.contracts.policies import compute_address
from protocol.contracts.registry.records import COUNCIL
from protocol.transition import answer_query, apply_genesis
from protocol.types import Seconds
from protocol.vm.view import MemoryState

TIME_MS = 1_767_225_600_000
LOADERS = 70


@pytest.fixture(scope="module")
def state() -> MemoryState:
    founded = MemoryState()
    genesis = make_village(make_operators(3), TIME_MS, LOADERS)
    assert decode_genesis(genesis.encode()) == genesis
    founded.apply(apply_genesis(genesis).writes)
    return founded


def ask(state: MemoryState, contract: str, query: str, *arguments: Value) -> Value:
    return answer_query(state, Seconds(TIME_MS // 1_000), contract, query, arguments, None)


def test_the_books_balance_at_the_founding(state: MemoryState) -> None:
    assert not list(find_money_faults(state))
    report = ask(state, "treasury", "report", CURRENCY)
    assert isinstance(report, tuple) and report[6] is True
    classes = dict(report[7])  # type: ignore[arg-type]
    assert classes[1010] + classes[1020] == report[0], "all that is owned lies with the bank or the cashiers"
    assert classes[3010] == len(NAMES) * SHARES * 100 * YUAN
    floats = [
        ask(state, "assets", "cashier", demo_address(name), CURRENCY) for name in (VAULT, "till", "desk")
    ]
    assert [row[5] for row in floats] == [0, CASHIER_START, CASHIER_START]  # type: ignore[index]
    ada, loader = demo_address("ada"), load_openings(LOADERS)[-1]
    assert ask(state, "assets", "balance", ada, CURRENCY) == (50_000 * YUAN, 50_000 * YUAN, 0, 0)
    assert ask(state, "assets", "balance", loader[0], CURRENCY) == (
        LOAD_OPENING_MINOR,
        LOAD_OPENING_MINOR,
        0,
        0,
    )
    asset = ask(state, "assets", "asset", CURRENCY)
    assert isinstance(asset, tuple) and asset[7] == classes[1010] + classes[1020] and asset[5] == CAP


def test_fifty_members_are_active_and_hold_their_shares(state: MemoryState) -> None:
    assert len(set(NAMES)) == 50 and ask(state, "members", "eligible_at", 0) == 50
    for number, name in enumerate(NAMES, 1):
        member = ask(state, "members", "by_account", demo_address(name))
        assert isinstance(member, tuple) and member[0] == number and member[3] == ACTIVE
        holdings = ask(state, "shares", "holdings", number)
        assert isinstance(holdings, tuple) and holdings[0][:2] == (1, SHARES)  # type: ignore[index]


def test_offices_are_held_by_those_who_are_named(state: MemoryState) -> None:
    def roles(name: str) -> set[str]:
        found = ask(state, "auth", "roles", demo_address(name))
        assert isinstance(found, tuple)
        return {str(role) for role in found}

    assert all("board" in roles(name) for name in BOARD)
    assert all("treasurer" in roles(name) for name in TREASURERS)
    assert [roles(name) for name in STAFF] == [
        set(),
        set(),
        {"registrar"},
        set(),
        {"auditor"},
        {"compliance"},
        {"loan_officer"},
    ]
    assert all(roles(name) == {"credit"} for name in CREDIT)
    board = compute_address(board_policy())
    assert ask(state, "auth", "roles", board) == (COUNCIL,)
    account = ask(state, "auth", "account", board)
    assert isinstance(account, tuple) and account[3] is not None, (
        "its signers are known, so programs can wait"
    )
    assert roles("ada") == set()


def test_every_type_of_proposal_has_its_policy(state: MemoryState) -> None:
    assert ask(state, "voting", "policies") == tuple((at, p[0]) for at, p in enumerate(POLICIES, 1))
    bylaw = ask(state, "voting", "policy", 4)
    assert isinstance(bylaw, tuple) and bylaw[4:7] == (3_000, 6_670, 2_500) and bylaw[20] is True


DAY = 86_400
DECIDED: dict[str, tuple[int, ...]] = {
    # weight, most of one (bp), quorum, yes of yes and no, yes of all (bp), discussion, voting, time lock,
    # window (days), notice of a hearing (days), two readings, sealed, signatures
    "advisory": (1, 10_000, 0, 5_000, 0, 0, 3, 0, 1, 0, False, False, 0),
    "ordinary": (1, 10_000, 1_000, 5_000, 0, 1, 5, 2, 14, 0, False, False, 0),
    "budget": (1, 10_000, 1_500, 5_000, 0, 1, 7, 7, 30, 0, False, False, 0),
    "bylaw": (1, 10_000, 3_000, 6_670, 2_500, 7, 14, 30, 30, 0, True, False, 0),
    "parameter": (1, 10_000, 1_000, 5_000, 0, 1, 5, 2, 14, 0, False, False, 0),
    "upgrade": (1, 10_000, 2_000, 6_000, 0, 7, 14, 14, 60, 0, False, False, 0),
    "election": (1, 10_000, 1_000, 5_000, 0, 7, 7, 0, 30, 0, False, False, 0),
    "recall": (1, 10_000, 2_500, 6_670, 0, 3, 7, 1, 30, 2, False, True, 0),
    "shareholders": (2, 1_000, 2_000, 5_000, 0, 3, 7, 14, 30, 0, False, False, 0),
    "petition": (1, 10_000, 1_000, 5_000, 0, 7, 7, 2, 30, 0, False, False, 3),
    "products": (1, 10_000, 1_000, 5_000, 0, 1, 5, 2, 14, 0, False, False, 0),
    "priorities": (1, 10_000, 1_000, 5_000, 0, 3, 7, 0, 1, 0, False, False, 0),
}


def test_each_type_takes_what_the_specification_says(state: MemoryState) -> None:
    found = {}
    for number in range(1, len(POLICIES) + 1):
        row = ask(state, "voting", "policy", number)
        assert isinstance(row, tuple)
        name, weight, _, most, *thresholds = row[:7]
        days = [row[at] // DAY for at in (9, 10, 12, 13, 23)]  # type: ignore[operator]
        found[name] = (weight, most, *thresholds, *days, row[20], row[19], row[8])
    assert found == DECIDED
    matter = ask(state, "voting", "policy", 9)
    assert isinstance(matter, tuple) and (matter[2], matter[21], matter[22]) == (1, "", 1_000)


def test_consensus_is_for_the_types_that_are_made_for_it(state: MemoryState) -> None:
    """Which type may call what of the registry: the way back to Raft is a bylaw, and so is closing doors."""
    registry, found = REGISTRY.by_name["registry"], {}
    names = {method.id: method.name for method in registry.methods}
    for number, (name, *_) in enumerate(POLICIES, 1):
        row = ask(state, "voting", "policy", number)
        assert isinstance(row, tuple) and isinstance(row[24], tuple)
        called = [names[method] for contract, method in row[24] if contract == registry.id]  # type: ignore[misc]
        found |= {name: called} if called else {}
    assert found == {
        "ordinary": ["resume"],
        "bylaw": ["return_to_raft", "cancel_return", "take_over"],
        "parameter": ["set_parameter"],
        "upgrade": ["upgrade", "cancel_upgrade", "propose", "cancel"],
        "petition": ["resume"],
    }


def test_the_village_can_be_founded_on_bft() -> None:
    genesis = SCENARIOS["village"].make_genesis(make_operators(4), TIME_MS, engine=EngineKind.BFT)
    assert genesis.epoch.engine is EngineKind.BFT and genesis.epoch.quorum == 3
