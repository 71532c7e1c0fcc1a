"""members: joining by the rule, every step against every standing, what comes due, the dead, history."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.chain.transaction import SignedTransaction
from protocol.codec import Value
from protocol.contracts.members import records as m
from protocol.contracts.members import standing
from protocol.errors import CallFailed, Code, Rejected
from protocol.params import QUERY_ITEMS_MAX
from protocol.vm.view import View
from tests.protocol.contracts.coop_world import (
    BOARD1,
    BOARD2,
    DAY,
    HASH,
    MEMBERS,
    REGISTRAR,
    Coop,
    attest,
    check_books,
    tag_of,
)
from tests.protocol.ledger_world import (
    ALICE,
    ASSETS,
    BOB,
    CAROL,
    COOP,
    NONE,
    STRANGER,
    Person,
    World,
    person,
)


def apply_call(who: Person, referrer: int | None = None, kind: int = 1) -> Value:
    return (MEMBERS, 2, 0, (kind, who.address, HASH, referrer))


def call(method: int, *arguments: Value) -> Value:
    return (MEMBERS, method, 0, arguments)


def gov_call(method: int, *arguments: Value) -> Value:
    return (MEMBERS, method, NONE, arguments)


@pytest.fixture
def coop() -> Coop:
    return Coop()


# --- joining


def test_whoever_meets_the_rule_is_admitted(coop: Coop) -> None:
    (number,) = coop.do(ALICE, apply_call(ALICE))
    coop.ok(coop.cash_in(ALICE, 100))
    assert coop.do(REGISTRAR, attest(number, tag_of(ALICE))) == (m.APPLICANT,)
    receipt = coop.ok(coop.tx(call(5, ALICE.address)))[0]
    assert receipt.results == (10,)
    changed = [e.fields for e in receipt.events if (e.contract, e.event) == (MEMBERS, 3)]
    assert changed == [(number, m.APPLICANT, m.ACTIVE)]
    member = coop.member(1)
    assert (member.status, member.joined_height, member.fee_paid) == (m.ACTIVE, coop.height, 10)
    assert coop.free(ALICE) == 90
    assert coop.ask("members", "eligible_at", coop.height) == 1
    check_books(coop)


@pytest.mark.parametrize(
    "rule, short, enough",
    [
        ("members.kyc_level", {"kyc_level": 1}, {"kyc_level": 2}),
        ("members.kyc_until", {"kyc_until": 20_453}, {"kyc_until": 20_454}),
        ("members.entry_fee", {"fee_paid": 9}, {"fee_paid": 10}),
        ("members.shares", {"shares_paid": 499}, {"shares_paid": 500}),
    ],
)
def test_each_condition_at_its_limit_and_one_below(
    coop: Coop, rule: str, short: dict[str, int], enough: dict[str, int]
) -> None:
    coop.gov(gov_call(1, COOP, 10, 500, 2, 0, False))
    coop.do(ALICE, apply_call(ALICE))
    full = replace(coop.member(1), kyc_level=2, kyc_until=20_454, fee_paid=10, shares_paid=500)
    coop.write_member(1, replace(full, **short))  # type: ignore[arg-type]
    refused = coop.failed(coop.tx(call(6, 1), actors=(BOARD1,)))
    assert refused.code == m.RULE_NOT_MET and refused.reason is not None and refused.reason.rule == rule
    coop.write_member(1, replace(full, **enough))  # type: ignore[arg-type]
    assert coop.do(BOARD1, call(6, 1)) == (m.ACTIVE,)


def test_without_rules_nobody_is_admitted() -> None:
    world = World()
    world.ok(world.tx(apply_call(ALICE)))
    receipt = world.failed(world.tx(call(5, ALICE.address)))
    assert receipt.code == m.RULE_NOT_MET
    member = m.find_member(View(world.state), 1)
    assert member is not None
    with pytest.raises(CallFailed) as failure:
        standing.check_rule(View(world.state), member, 0)
    assert failure.value.reason.rule == "members.rules"


def test_probation_ends_in_its_last_second(coop: Coop) -> None:
    coop.gov(gov_call(1, COOP, 10, 0, 1, 30, True))
    number = coop.join(ALICE)
    assert coop.member(number).status == m.PROBATION
    coop.wait(30 * DAY - 2)
    assert coop.member(number).status == m.PROBATION
    coop.wait(1)
    assert coop.member(number).status == m.ACTIVE


def test_probation_days_at_the_limit_and_one_beyond(coop: Coop) -> None:
    coop.gov(gov_call(1, COOP, 10, 0, 1, m.PROBATION_DAYS_MAX, True))
    with pytest.raises(Rejected):
        coop.gov(gov_call(1, COOP, 10, 0, 1, m.PROBATION_DAYS_MAX + 1, True))


def test_one_application_for_each_account(coop: Coop) -> None:
    number = coop.join(ALICE)
    assert coop.code(ALICE, apply_call(ALICE)) == m.HAS_APPLIED
    coop.do(ALICE, call(13, ALICE.address))
    assert coop.code(ALICE, apply_call(ALICE)) == m.HAS_APPLIED
    coop.do(BOB, call(14, number))
    assert coop.do(ALICE, apply_call(ALICE)) == (number + 1,)


def test_application_by_others(coop: Coop) -> None:
    assert coop.code(BOB, apply_call(ALICE)) == Code.POLICY_UNMET
    newcomer = person("newcomer")
    coop.do(REGISTRAR, apply_call(newcomer))
    assert coop.ask("auth", "account", newcomer.address) is not None
    assert coop.code(BOB, apply_call(BOB, referrer=9)) == m.UNKNOWN_MEMBER
    coop.do(BOB, apply_call(BOB, referrer=1))
    assert coop.member(2).referrer == 1


def test_the_same_person_twice(coop: Coop) -> None:
    first = coop.join(ALICE)
    (second,) = coop.do(BOB, apply_call(BOB))
    assert coop.code(REGISTRAR, attest(second, tag_of(ALICE))) == m.DUPLICATE
    coop.do(ALICE, call(13, ALICE.address), call(14, first))
    coop.do(REGISTRAR, attest(second, tag_of(ALICE)))
    coop.do(REGISTRAR, attest(second, tag_of(BOB)))  # a corrected tag gives the old one back
    (third,) = coop.do(CAROL, apply_call(CAROL))
    coop.do(REGISTRAR, attest(third, tag_of(ALICE)))


def test_who_attests(coop: Coop) -> None:
    coop.do(REGISTRAR, apply_call(REGISTRAR))
    assert coop.code(REGISTRAR, attest(1, tag_of(REGISTRAR))) == m.SECOND_PERSON
    assert coop.code(ALICE, attest(1, tag_of(ALICE))) == Code.ROLE
    assert coop.code(REGISTRAR, attest(9, tag_of(ALICE))) == m.UNKNOWN_MEMBER
    with pytest.raises(Rejected):
        coop.run(coop.tx(attest(1, tag_of(ALICE), level=m.KYC_LEVEL_MAX + 1), actors=(REGISTRAR,)))


def test_other_data_must_be_attested_again(coop: Coop) -> None:
    number = coop.join(ALICE)
    coop.do(ALICE, call(4, ALICE.address, bytes(32)))
    member = coop.member(number)
    assert (member.kyc_commit, member.kyc_level, member.status) == (bytes(32), 0, m.ACTIVE)
    assert coop.code(STRANGER_OPEN, call(4, STRANGER_OPEN.address, bytes(32))) == m.UNKNOWN_MEMBER


STRANGER_OPEN = CAROL
"""An account without a membership."""


def test_fee_once_and_back_when_declined(coop: Coop) -> None:
    (number,) = coop.do(ALICE, apply_call(ALICE))
    coop.ok(coop.cash_in(ALICE, 9))
    assert coop.code(ALICE, call(5, ALICE.address)) == Code.FUNDS
    coop.ok(coop.cash_in(ALICE, 1))
    coop.do(ALICE, call(5, ALICE.address))
    assert coop.code(ALICE, call(5, ALICE.address)) == m.FEE_PAID
    assert coop.code(BOB, call(7, number)) == Code.ROLE
    coop.gov(gov_call(1, 7, 99, 0, 1, 0, True))  # other rules do not change what goes back
    coop.do(BOARD1, call(7, number))
    assert coop.free(ALICE) == 10 and coop.member(1).status == m.DECLINED
    assert coop.code(REGISTRAR, attest(number, tag_of(ALICE))) == m.STANDING
    check_books(coop)


def test_an_applicant_withdraws(coop: Coop) -> None:
    (number,) = coop.do(ALICE, apply_call(ALICE))
    coop.do(REGISTRAR, attest(number, tag_of(ALICE)))
    coop.do(ALICE, call(7, number))
    assert coop.member(1).status == m.DECLINED
    (second,) = coop.do(ALICE, apply_call(ALICE))
    coop.do(REGISTRAR, attest(second, tag_of(ALICE)))


# --- every step against every standing

GOV_STEPS = {
    "admit": gov_call(6, 1),
    "decline": gov_call(7, 1),
    "suspend": gov_call(8, 1, HASH),
    "confirm": gov_call(9, 1, HASH),
    "lift": gov_call(10, 1),
    "expel": gov_call(12, 1),
    "leave": gov_call(14, 1),
    "report_death": gov_call(15, 1, HASH),
}
OWN_STEPS = {"exit": call(13, ALICE.address), "refute_death": call(16, ALICE.address)}


@pytest.mark.parametrize("status", range(m.APPLICANT, m.DECLINED + 1))
@pytest.mark.parametrize("step", sorted(standing.STEPS.keys() - {"pass"}))
def test_steps(coop: Coop, step: str, status: int) -> None:
    coop.join(ALICE)
    until = coop.time if status == m.DECEASED else 0
    coop.write_member(1, replace(coop.member(1), status=status, until=until, before=m.ACTIVE))
    if step == "leave" and status == m.DECEASED:
        coop.write_member(1, replace(coop.member(1), until=0))
    if step == "expel" and status in standing.STEPS[step][0]:
        coop.gov(gov_call(11, 1, HASH))
        coop.run(seconds=m.HEARING_SECONDS)
    if step in OWN_STEPS:
        code = coop.code(ALICE, OWN_STEPS[step])
        allowed = m.UNKNOWN_MEMBER if status not in m.OPEN_STATUSES else m.STANDING
    else:
        code, allowed = coop.gov_outcome(GOV_STEPS[step]).code, m.STANDING
    before, after = standing.STEPS[step]
    assert code == (Code.OK if status in before else allowed)
    assert coop.member(1).status == (after if status in before else status)


# --- suspension, expulsion


def test_a_suspension_ends_unless_confirmed(coop: Coop) -> None:
    coop.join(ALICE)
    (until,) = coop.do(BOARD1, call(8, 1, HASH))
    assert until == coop.time - 1 + m.SUSPENSION_SECONDS
    coop.wait(m.SUSPENSION_SECONDS - 2)
    assert coop.member(1).status == m.SUSPENDED
    coop.wait(1)
    assert coop.member(1).status == m.ACTIVE


def test_a_second_person_confirms(coop: Coop) -> None:
    coop.join(ALICE)
    coop.do(BOARD1, call(8, 1, HASH))
    assert coop.code(BOARD1, call(9, 1, HASH)) == m.SECOND_PERSON
    assert coop.code(ALICE, call(9, 1, HASH)) == Code.ROLE
    coop.do(BOARD2, call(9, 1, HASH))
    coop.wait(m.SUSPENSION_SECONDS + 1)
    assert coop.member(1).status == m.SUSPENDED
    coop.do(BOARD2, call(10, 1))
    assert coop.member(1).status == m.ACTIVE


def test_expulsion_after_its_hearing(coop: Coop) -> None:
    coop.join(ALICE)
    assert coop.gov_outcome(gov_call(12, 1)).code == m.TOO_EARLY
    (from_time,) = coop.do(BOARD1, call(11, 1, HASH))
    assert coop.ask("members", "hearing", 1) == (from_time, HASH)
    assert type(from_time) is int
    coop.run(seconds=from_time - coop.time - 1)
    assert coop.gov_outcome(gov_call(12, 1)).code == m.TOO_EARLY
    coop.run()
    coop.gov(gov_call(12, 1))
    assert coop.member(1).status == m.EXPELLED
    assert coop.code(BOARD1, call(12, 1)) == Code.ROLE


# --- leaving


def test_obligations_keep_a_member(coop: Coop) -> None:
    coop.join(ALICE)
    coop.do(ALICE, call(13, ALICE.address))
    view = View(coop.state)
    standing.bind(view, 1, 31)
    standing.bind(view, 1, 31)
    coop.state.apply(view.collect_writes())
    assert coop.ask("members", "obligations", 1) == ((31, 2),)
    receipt = coop.failed(coop.tx(call(14, 1)))
    assert receipt.code == m.OBLIGED and receipt.reason is not None and receipt.reason.actual == 31
    view = View(coop.state)
    standing.unbind(view, 1, 31)
    standing.unbind(view, 1, 31)
    coop.state.apply(view.collect_writes())
    coop.do(BOB, call(14, 1))
    assert coop.member(1).status == m.EXITED


def test_a_death_and_the_estate(coop: Coop) -> None:
    coop.join(ALICE)
    coop.do(REGISTRAR, call(15, 1, HASH))
    assert coop.code(ALICE, (ASSETS, 7, 0, (ALICE.address, BOB.address, COOP, 1, None))) == Code.FROZEN
    assert coop.code(BOB, call(14, 1)) == m.TOO_EARLY
    coop.run(seconds=m.ESTATE_SECONDS - 4)
    estate = call(17, 1, CAROL.address, HASH)
    assert coop.code(BOARD1, estate) == m.TOO_EARLY
    assert coop.code(REGISTRAR, estate) == Code.ROLE
    assert coop.code(BOARD1, call(17, 1, STRANGER.address, HASH)) == Code.NO_ACCOUNT
    coop.do(BOARD1, estate)
    with pytest.raises(Rejected):  # the old key signs no more
        coop.run(coop.pay(ALICE, BOB, 1))
    coop.ok(as_executor(coop, ASSETS, 7, ALICE.address, CAROL.address, COOP, 1_000, None))
    assert coop.free(CAROL) == 1_000
    assert coop.gov_outcome(gov_call(17, 1, CAROL.address, HASH)).code == m.STANDING
    coop.do(BOB, call(14, 1))
    assert coop.member(1).status == m.EXITED
    check_books(coop)


def as_executor(coop: Coop, contract: int, method: int, *arguments: Value) -> SignedTransaction:
    ordered = sorted((ALICE, CAROL), key=lambda p: p.address)
    tx = coop.tx((contract, method, ordered.index(ALICE), arguments), actors=(ALICE, CAROL))
    return coop.sign(tx.tx, (ordered.index(CAROL), CAROL.key))


def test_the_living_say_so(coop: Coop) -> None:
    coop.join(ALICE)
    coop.do(REGISTRAR, call(15, 1, HASH))
    assert coop.ask("members", "eligible_at", coop.height) == 0
    coop.do(ALICE, call(16, ALICE.address))
    assert coop.member(1).status == m.ACTIVE
    coop.do(ALICE, (ASSETS, 7, 0, (ALICE.address, BOB.address, COOP, 1, None)))


@pytest.mark.parametrize("before", [m.PROBATION, m.ACTIVE, m.SUSPENDED, m.EXITING])
def test_a_refuted_death_gives_back_what_was(coop: Coop, before: int) -> None:
    coop.join(ALICE)
    coop.write_member(1, replace(coop.member(1), status=before))
    coop.do(REGISTRAR, call(15, 1, HASH))
    coop.do(ALICE, call(16, ALICE.address))
    assert coop.member(1).status == before


def test_who_reported_the_death_does_not_open_the_estate(coop: Coop) -> None:
    coop.join(ALICE)
    coop.gov((2, 4, NONE, (REGISTRAR.address, "board")))
    coop.do(REGISTRAR, call(15, 1, HASH))
    coop.run(seconds=m.ESTATE_SECONDS)
    assert coop.code(REGISTRAR, call(17, 1, CAROL.address, HASH)) == m.SECOND_PERSON


def test_an_open_estate_is_not_refuted(coop: Coop) -> None:
    coop.join(ALICE)
    coop.do(REGISTRAR, call(15, 1, HASH))
    coop.run(seconds=m.ESTATE_SECONDS)
    coop.do(BOARD1, call(17, 1, CAROL.address, HASH))
    (receipt,) = coop.run(as_executor(coop, MEMBERS, 16, ALICE.address)).receipts
    assert receipt.code == m.STANDING


# --- history


def test_standing_at_a_height(coop: Coop) -> None:
    coop.run()
    coop.join(ALICE)
    joined = coop.height
    for _ in range(3):
        coop.run()
    coop.do(BOARD1, call(8, 1, HASH))
    suspended = coop.height
    coop.do(BOARD1, call(10, 1))

    def at(height: int) -> Value:
        return coop.ask("members", "standing_at", 1, height)

    assert [at(0), at(joined - 1), at(joined)] == [None, m.APPLICANT, m.ACTIVE]
    assert [at(suspended - 1), at(suspended), at(suspended + 1)] == [m.ACTIVE, m.SUSPENDED, m.ACTIVE]
    assert at(m.HEIGHT_LAST) == m.ACTIVE and at(m.HEIGHT_LAST + 1) is None
    heights = (joined - 1, joined, suspended, suspended + 1, 1 << 50)
    assert [coop.ask("members", "eligible_at", height) for height in heights] == [0, 1, 0, 1, 1]


def test_lists_and_absences(coop: Coop) -> None:
    assert coop.ask("members", "member", 1) is None
    assert coop.ask("members", "by_account", ALICE.address) is None
    assert coop.ask("members", "hearing", 1) is None
    assert coop.ask("members", "rules") == (COOP, 10, 0, 1, 0, True)
    assert World().ask("members", "rules") is None
    for number in range(QUERY_ITEMS_MAX + 2):
        coop.gov(gov_call(2, 1, person(f"m{number}").address, HASH, None))
    first = coop.ask("members", "members", 0)
    assert type(first) is tuple and len(first) == QUERY_ITEMS_MAX
    last = coop.ask("members", "members", QUERY_ITEMS_MAX)
    assert type(last) is tuple and len(last) == 2
    assert coop.ask("members", "members", (1 << 32) - 1) == ()
    found = coop.ask("members", "by_account", person("m0").address)
    assert found == coop.ask("members", "member", 1)


# --- whatever is called

PEOPLE = (ALICE, BOB, CAROL)
actors = st.sampled_from((*PEOPLE, BOARD1, BOARD2, REGISTRAR))
numbers = st.integers(1, 4)


@st.composite
def calls(draw: st.DrawFn) -> Value:
    who, number = draw(st.sampled_from(PEOPLE)), draw(numbers)
    method = draw(
        st.sampled_from([2, 2, 3, 3, 3, 4, 5, 5, 5, 6, 7, 8, 9, 10, 11, 13, 14, 14, 15, 16, 17, 22])
    )
    arguments: dict[int, tuple[Value, ...]] = {
        2: (1, who.address, HASH, None),
        3: (number, 1, 1 << 31, HASH, tag_of(draw(st.sampled_from(PEOPLE)))),
        4: (who.address, HASH),
        5: (who.address,),
        13: (who.address,),
        16: (who.address,),
        17: (number, draw(st.sampled_from(PEOPLE)).address, HASH),
        22: (),
    }
    with_document = (number, HASH) if method in (8, 9, 11, 15) else (number,)
    return call(method, *arguments.get(method, with_document))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(actors, st.lists(calls(), min_size=1, max_size=2)), min_size=20, max_size=60),
    st.sampled_from([1, 10 * DAY]),
)
def test_invariants(drafts: list[tuple[Person, list[Value]]], pause: int) -> None:
    coop = Coop()
    for who in PEOPLE:
        coop.ok(coop.cash_in(who, 100))
    for who, instructions in drafts:
        coop.run(seconds=pause)
        try:
            coop.run(coop.tx(*instructions, actors=(who,)))
        except Rejected:
            continue  # a deceased member's old key
        check_members(coop)
    check_books(coop)


def check_members(coop: Coop) -> None:
    """Check tags, accounts, the count of voters and the newest checkpoints against the records."""
    view = View(coop.state)
    found = {m.MEMBERS.parts(key)[0]: m.Member(*row[1:]) for key, row in m.MEMBERS.scan(view)}  # type: ignore[arg-type]
    active = [member for member in found.values() if member.status == m.ACTIVE]
    assert standing.count_eligible(view, coop.height) == len(active)
    opened = [member for member in found.values() if member.status in m.OPEN_STATUSES]
    assert len({member.account for member in opened}) == len(opened)
    tags = [member.tag for member in opened if member.tag]
    assert len(set(tags)) == len(tags)
    assert sorted(tags) == [m.TAGS.parts(key)[0] for key, _ in m.TAGS.scan(view)]
    for number, member in found.items():
        assert type(number) is int
        assert standing.find_standing(view, number, coop.height) == member.status
