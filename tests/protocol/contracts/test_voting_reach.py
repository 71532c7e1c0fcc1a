"""What a vote reaches: consensus itself, parameters, offices, budgets, pauses; each by its own type only."""

from typing import Any

import pytest

from protocol.chain.validators import EngineKind
from protocol.codec import Value
from protocol.contracts import BUILTINS
from protocol.contracts.registry.contract import DECIDERS
from protocol.contracts.registry.doors import CANCELLED_BY
from protocol.contracts.registry.records import COUNCIL, FOR_MEMBERS, NOT_READY, WAY_BACK
from protocol.contracts.voting import records as v
from protocol.errors import Code
from protocol.params import EPOCH_DELAY_BLOCKS, RAFT_RETURN_SECONDS
from protocol.vm.contract import GOV, Role
from protocol.vm.kinds import Data, Fields, Flag, Integer, Kind, Many, Maybe, Text
from protocol.vm.program import literal
from tests.protocol.contracts.coop_world import HASH, MEMBERS, TREASURY
from tests.protocol.contracts.test_registry import NODES, REGISTRY, VALIDATORS, _prove, go_back, run_bft
from tests.protocol.contracts.test_voting import PEOPLE, Hall, set_policy, stored
from tests.protocol.ledger_world import ALICE, ASSETS, AUTH, BOB, CAROL, COOP, NONE

BFT = int(EngineKind.BFT)
MOVE: Value = (REGISTRY, 2, NONE, (BFT, (0, *[who.key for who in VALIDATORS[:4]]), 0, 0))


def make_hall(*methods: tuple[int, int], **changes: Any) -> Hall:
    hall = Hall(methods=methods, window=1 << 20, **changes)
    hall.gov(*[(AUTH, 1, NONE, (node.address,)) for node in NODES])
    return hall


def get_ready(hall: Hall, count: int) -> None:
    for index, node in enumerate(NODES[:count]):
        key, proof = VALIDATORS[index].key, _prove(index, node)
        call = (REGISTRY, 1, 0, (node.address, node.key, key, proof, f"op{index}", "1.0", 3, 0))
        hall.ok(hall.tx(call, actors=(node,)))


def decide(hall: Hall, *calls: Value) -> int:
    """Let three of five members decide something, and wait until it has run."""
    number = hall.propose(program=stored(*calls))
    hall.vote(number, (ALICE, 1), (BOB, 1), (CAROL, 1))
    hall.run(seconds=1_000)
    hall.run(seconds=101)
    return number


def test_members_move_the_running_chain_from_raft_to_bft() -> None:
    hall = make_hall((REGISTRY, 2))
    get_ready(hall, 4)
    number = decide(hall, MOVE)
    assert hall.state_of(number) == v.EXECUTED
    records = [hall.run().next_record for _ in range(EPOCH_DELAY_BLOCKS)]
    (record,) = [r for r in records if r is not None]
    assert record.engine is EngineKind.BFT and len(record.validators) == 4


def test_a_move_waits_for_validators_who_are_not_ready() -> None:
    hall = make_hall((REGISTRY, 2))
    get_ready(hall, 3)
    number = decide(hall, MOVE)
    assert hall.state_of(number) == v.PASSED and hall.field(number, 18) == NOT_READY
    get_ready(hall, 4)
    hall.run(seconds=3_600)
    assert hall.state_of(number) == v.EXECUTED


def test_members_cancel_a_move_before_its_seal() -> None:
    hall = make_hall((REGISTRY, 2), (REGISTRY, 3))
    hall.gov((AUTH, 4, NONE, (BOB.address, COUNCIL)))
    get_ready(hall, 4)
    far: Value = (REGISTRY, 2, NONE, (*MOVE[3][:2], hall.height + 500, 0))  # type: ignore[index]
    decide(hall, far)
    number = hall.propose(BOB, stored((REGISTRY, 3, NONE, ())))
    hall.vote(number, (ALICE, 1), (BOB, 1))
    hall.run(seconds=1_000)
    hall.run(seconds=101)
    assert hall.state_of(number) == v.EXECUTED
    assert hall.ask("registry", "pending") is None


def test_no_council_cancels_what_members_decided() -> None:
    hall = make_hall((REGISTRY, 2), (REGISTRY, 3), (REGISTRY, 7), (REGISTRY, 8))
    hall.gov((AUTH, 4, NONE, (BOB.address, COUNCIL)))
    get_ready(hall, 4)
    far: Value = (REGISTRY, 2, NONE, (*MOVE[3][:2], hall.height + 500, 0))  # type: ignore[index]
    decide(hall, far, (REGISTRY, 7, NONE, (ASSETS, 2, HASH, "", 0)))
    for cancel in ((REGISTRY, 3, 0, ()), (REGISTRY, 8, 0, (ASSETS,))):
        assert hall.code(BOB, cancel) == FOR_MEMBERS
    decide(hall, (REGISTRY, 3, NONE, ()), (REGISTRY, 8, NONE, (ASSETS,)))
    assert hall.ask("registry", "pending") is None and hall.ask("registry", "upgrades") == ()


def test_members_cancel_what_the_council_decided_and_so_does_the_council() -> None:
    hall = make_hall((REGISTRY, 2), (REGISTRY, 3))
    hall.gov((AUTH, 4, NONE, (BOB.address, COUNCIL)))
    get_ready(hall, 4)
    for by_members in (True, False):
        hall.do(BOB, (REGISTRY, 2, 0, (*MOVE[3][:2], hall.height + 500, 0)))  # type: ignore[index]
        if by_members:
            decide(hall, (REGISTRY, 3, NONE, ()))
        else:
            hall.do(BOB, (REGISTRY, 3, 0, ()))
        assert hall.ask("registry", "pending") is None


def test_members_close_a_door_of_the_council_for_good() -> None:
    hall = make_hall((REGISTRY, 12), (REGISTRY, 2))
    hall.gov((AUTH, 4, NONE, (BOB.address, COUNCIL)))
    get_ready(hall, 4)
    move = (REGISTRY, 2, 0, MOVE[3])  # type: ignore[index]
    assert hall.code(BOB, (REGISTRY, 12, 0, (2,))) == Code.ROLE
    assert hall.state_of(decide(hall, (REGISTRY, 12, NONE, (2,)))) == v.EXECUTED
    assert hall.code(BOB, move) == FOR_MEMBERS
    hall.gov((AUTH, 4, NONE, (CAROL.address, COUNCIL)))
    assert hall.code(CAROL, move) == FOR_MEMBERS, "nor another council"
    assert hall.state_of(decide(hall, MOVE)) == v.EXECUTED


# --- the way back


BACK_TERMS: dict[str, Any] = {"quorum_bp": 3_000, "approval_bp": 6_670, "least_yes_bp": 2_500}
BACK = ((REGISTRY, 10), (REGISTRY, 11))


@pytest.mark.parametrize("method", BACK)
@pytest.mark.parametrize("name", BACK_TERMS)
def test_the_way_back_to_raft_takes_a_bylaws_majority_in_every_co_op(
    name: str, method: tuple[int, int]
) -> None:
    hall = make_hall(*BACK, **BACK_TERMS)
    weaker = {**BACK_TERMS, name: BACK_TERMS[name] - 1}
    methods = (BACK[0], method) if method != BACK[0] else (method,)
    outcome = hall.gov_outcome(set_policy(2, methods=methods, **weaker))
    assert outcome.code == v.POLICY
    assert outcome.reason is not None and outcome.reason.rule == f"voting.{name}"
    assert hall.gov_outcome(set_policy(2, methods=methods, **BACK_TERMS)).code == Code.OK


@pytest.mark.parametrize(("decides", "cancels"), [(2, 3), (7, 8), (10, 11)])
def test_who_may_cancel_may_decide(decides: int, cancels: int) -> None:
    hall = make_hall((REGISTRY, 4))
    alone = hall.gov_outcome(set_policy(2, methods=((REGISTRY, cancels),), **BACK_TERMS))
    assert alone.code == v.POLICY
    assert alone.reason is not None and alone.reason.rule == "voting.cancels"
    both = ((REGISTRY, decides), (REGISTRY, cancels))
    assert hall.gov_outcome(set_policy(2, methods=both, **BACK_TERMS)).code == Code.OK


def test_the_way_back_is_no_matter_of_the_council_once_members_may_vote_on_it() -> None:
    for young in (True, False):
        hall = make_hall((REGISTRY, 2), (REGISTRY, 3)) if young else make_hall(*BACK, **BACK_TERMS)
        hall.gov((AUTH, 4, NONE, (BOB.address, COUNCIL)))
        get_ready(hall, 1)
        run_bft(hall)
        assert hall.code(BOB, go_back()) == (Code.OK if young else FOR_MEMBERS)
        hall.gov(set_policy(methods=()))
        assert hall.code(BOB, (REGISTRY, 11, 0, ())) == (Code.OK if young else FOR_MEMBERS), "for good"


def test_members_go_back_to_raft_seven_days_after_their_vote_and_may_think_better_of_it() -> None:
    hall = make_hall(*BACK, **BACK_TERMS)
    hall.gov((AUTH, 4, NONE, (BOB.address, COUNCIL)))
    get_ready(hall, 4)
    run_bft(hall)
    program = stored(go_back(actor=NONE))
    number = hall.propose(program=program)
    hall.vote(number, (ALICE, 1), (BOB, 1), (CAROL, 2))
    hall.run(seconds=1_000)
    assert hall.state_of(number) == v.REJECTED, "two of three are not enough"
    hall.run(seconds=5_000)
    assert hall.state_of(decide(hall, go_back(actor=NONE))) == v.EXECUTED
    pending = hall.ask("registry", "pending")
    assert type(pending) is tuple and type(pending[2]) is int
    assert 0 <= int(hall.time) + RAFT_RETURN_SECONDS - pending[2] < 10
    for method in (3, 11):
        assert hall.code(BOB, (REGISTRY, method, 0, ())) in (WAY_BACK, FOR_MEMBERS)
    assert hall.state_of(decide(hall, (REGISTRY, 11, NONE, ()))) == v.EXECUTED
    assert hall.ask("registry", "pending") is None
    assert hall.state_of(decide(hall, go_back(actor=NONE))) == v.EXECUTED
    hall.run(seconds=RAFT_RETURN_SECONDS - 100)
    records = [hall.run(seconds=20).next_record for _ in range(6)]
    (record,) = [r for r in records if r is not None]
    assert record.engine is EngineKind.RAFT


@pytest.mark.parametrize(
    "call",
    [
        (REGISTRY, 4, NONE, (16, 7, 60)),
        (MEMBERS, 18, NONE, ("council", "board", "", 0, 1_000, 3, True)),
        (TREASURY, 1, NONE, ("roof", "a new roof", COOP, False)),
    ],
    ids=["a pause", "an office", "a fund"],
)
def test_a_vote_reaches_what_a_board_key_reaches(call: Value) -> None:
    assert type(call) is tuple and type(call[0]) is int and type(call[1]) is int
    hall = make_hall((call[0], call[1]))
    assert hall.state_of(decide(hall, call)) == v.EXECUTED
    other = make_hall((AUTH, 4))
    program = stored(call)
    assert other.code(ALICE, (22, 2, 0, (ALICE.address, 1, "reach", bytes(32), program))) == v.NOT_ALLOWED


# --- every door that a decision opens

OUTCOMES: dict[str, int] = {
    "ledger.open": 12, "ledger.leg": 50, "ledger.hold": 13, "ledger.capture": 55, "ledger.release": 55,
    "ledger.freeze": 13, "ledger.unfreeze": 13, "ledger.close": 50,
    "auth.open": 0, "auth.grant_role": 0, "auth.revoke_role": 0, "auth.set_fee": 0,
    "registry.propose": 404, "registry.cancel": 402, "registry.pause": 407, "registry.resume": 408,
    "registry.set_parameter": 411, "registry.upgrade": 415, "registry.cancel_upgrade": 418,
    "registry.lift": 417,
    "registry.return_to_raft": 423, "registry.cancel_return": 402, "registry.take_over": 14,
    "assets.create": 1602, "assets.set_status": 0, "assets.set_cashier": 0, "assets.cash_in": 0,
    "assets.set_custodian": 0, "assets.freeze": 1616, "assets.lift_freeze": 1615,
    "members.set_rules": 0, "members.apply": 0, "members.attest_kyc": 0, "members.admit": 1702,
    "members.decline": 1702, "members.suspend": 0, "members.confirm_suspension": 0,
    "members.lift_suspension": 0, "members.announce_expulsion": 0, "members.expel": 1709,
    "members.leave": 1702, "members.report_death": 0, "members.open_estate": 1709,
    "members.define_role": 0, "members.grant_role": 0, "members.cancel_role": 1713,
    "members.revoke_role": 1713, "members.settle": 0, "members.delay_role": 0,
    "recovery.finish": 2503,
    "shares.create_class": 0, "shares.set_terms": 0, "shares.redeem": 2310, "shares.redeem_all": 2307,
    "treasury.create_fund": 0, "treasury.appropriate": 0, "treasury.transfer": 59, "treasury.allot": 0,
    "treasury.change_line": 0, "treasury.set_tiers": 0, "treasury.approve": 2003, "treasury.reject": 2003,
    "treasury.pay": 2003, "treasury.open_stream": 2015, "treasury.claim_stream": 2004,
    "treasury.stop_stream": 2004, "treasury.close_year": 0, "treasury.lapse": 0,
    "voting.set_policy": 2202, "voting.set_retention": 0, "voting.set_calendar": 0,
    "savings.create_product": 3003, "savings.set_rates": 3001,
    "security.set_limits": 0, "security.set_kind": 0,
    "credit.set_table": 3205,
    "lending.create_product": 3103, "lending.close_product": 3101, "lending.waive": 3102,
    "lending.approve": 3102, "lending.reject": 3102, "lending.reschedule": 3102,
    "lending.reverse": 3102,
    "lending.call_in": 3102,
}  # fmt: skip
"""All that a passed proposal may call: 0 where the sample below ran, else which own rule refused it."""

OF_AN_OFFICE = {
    "assets.confirm_attestation": "an auditor speaks for himself",
    "credit.answer": "an assessor speaks of what he has seen",
    "credit.attest": "an assessor speaks of what he has seen",
    "recovery.attest": "two of the board have seen the person",
    "recovery.confirm": "two of the board have seen the person",
    "sched.retry": "a job is its owner's; the office only helps",
    "security.value": "a valuer speaks of what he has seen",
}
"""What an office alone can do, and why no vote does it in its place: members choose who holds the office."""


def sample(kind: Kind) -> Value:
    """Return a small value of a kind; a member is the last of the hall, who casts no vote."""
    match kind:
        case Integer():
            return len(PEOPLE) if kind.name == "member" else int(max(kind.low, min(1, kind.high)))
        case Data():
            return bytes(kind.low)
        case Text():
            return "a"
        case Flag():
            return False
        case Maybe():
            return None
        case Many():
            return (sample(kind.kind),) * kind.low
        case Fields():
            return tuple([sample(field.kind) for field in kind.fields])
        case _:
            raise AssertionError(f"no sample of {kind.name}")


def test_a_vote_opens_every_door_that_is_made_for_it() -> None:
    hall, found = make_hall(), {}
    decided_by = {(REGISTRY, cancel): ((REGISTRY, decides),) for decides, cancel in CANCELLED_BY.items()}
    for contract in BUILTINS:
        for method in contract.methods:
            if GOV not in method.capabilities:
                continue
            door = (contract.id, method.id)
            hall.gov(set_policy(methods=(*decided_by.get(door, ()), door), **BACK_TERMS))
            values = [literal(sample(field.kind)) for field in method.arguments]
            number = decide(hall, (contract.id, method.id, NONE, tuple(values)))
            code = hall.field(number, 18)
            assert code or hall.state_of(number) == v.EXECUTED
            found[f"{contract.name}.{method.name}"] = code
    assert not {Code.ROLE, Code.POLICY_UNMET} & set(found.values()), "nothing asks for another authority"
    assert found == OUTCOMES


def test_what_members_cannot_decide_themselves_they_decide_by_choosing_who_does() -> None:
    of_an_office = {
        f"{contract.name}.{method.name}"
        for contract in BUILTINS
        for method in contract.methods
        if GOV not in method.capabilities and any(isinstance(one, Role) for one in method.capabilities)
    }
    assert of_an_office == set(OF_AN_OFFICE)
    for door in ("auth.grant_role", "auth.revoke_role", "members.grant_role", "members.revoke_role"):
        assert door in OUTCOMES


PRODUCT_TERMS = {
    *("savings.create_product", "savings.set_rates", "lending.create_product", "lending.close_product"),
    *("credit.set_table", "security.set_limits", "security.set_kind"),
}


def test_the_board_sets_terms_of_products_as_members_do_and_nobody_else_does() -> None:
    hall, found = make_hall(), set()
    hall.gov((AUTH, 4, NONE, (BOB.address, COUNCIL)))
    for contract in BUILTINS:
        for method in contract.methods:
            if method.capabilities != DECIDERS or contract.id == REGISTRY:
                continue
            arguments = tuple([literal(sample(field.kind)) for field in method.arguments])
            call: Value = (contract.id, method.id, 0, arguments)
            assert hall.code(CAROL, call) == Code.ROLE
            assert hall.code(BOB, call) == OUTCOMES[f"{contract.name}.{method.name}"]
            found.add(f"{contract.name}.{method.name}")
    assert found == PRODUCT_TERMS
