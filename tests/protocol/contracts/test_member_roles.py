"""members, offices: delay, term, guardian, number of holders, and what is lost with the standing."""

import pytest

from protocol.codec import Value, encode
from protocol.contracts import auth, multisig
from protocol.contracts.members import records as m
from protocol.contracts.members.standing import settle_due
from protocol.contracts.policies import single_key_policy
from protocol.errors import Code, Rejected
from protocol.params import PENDING_DELAY_SECONDS_MAX, QUERY_ITEMS_MAX
from protocol.vm.program import literal
from protocol.vm.view import View
from tests.protocol.contracts.coop_world import BOARD1, DAY, HASH, MEMBERS, REGISTRAR, Coop
from tests.protocol.ledger_world import ALICE, AUTH, BOB, CAROL, NONE, STRANGER, Person

TERM = 365 * DAY


def define(
    role: str,
    delay: int = 0,
    term: int = 0,
    holders: int = 3,
    members_only: bool = False,
    admin: str = "board",
) -> Value:
    return (MEMBERS, 18, NONE, (role, admin, "registrar", delay, term, holders, members_only))


def grant(who: Person, role: str, term: int = 0) -> Value:
    return (MEMBERS, 19, 0, (who.address, role, term))


def cancel(who: Person, role: str) -> Value:
    return (MEMBERS, 20, 0, (who.address, role))


def revoke(who: Person, role: str) -> Value:
    return (MEMBERS, 21, 0, (who.address, role))


def holds(coop: Coop, who: Person, role: str) -> bool:
    return auth.holds_role(View(coop.state), who.address, role)


@pytest.fixture
def coop() -> Coop:
    coop = Coop()
    coop.gov(define("treasurer", 2 * DAY, TERM), define("clerk"), define("chair", members_only=True))
    return coop


def test_an_office_begins_after_its_delay_and_ends_with_its_term(coop: Coop) -> None:
    (effective_at,) = coop.do(BOARD1, grant(ALICE, "treasurer", TERM))
    assert effective_at == coop.time - 1 + 2 * DAY
    assert type(effective_at) is int
    offices = coop.ask("members", "offices", ALICE.address)
    assert offices == (("treasurer", effective_at - 2 * DAY, effective_at, effective_at + TERM, False),)
    coop.wait(2 * DAY - 2)
    assert not holds(coop, ALICE, "treasurer")
    coop.wait(1)
    assert holds(coop, ALICE, "treasurer")
    coop.wait(TERM - 4)
    assert holds(coop, ALICE, "treasurer")
    coop.wait(1)
    assert not holds(coop, ALICE, "treasurer") and coop.ask("members", "offices", ALICE.address) == ()


def test_an_office_that_nobody_began_in_its_term_only_ends(coop: Coop) -> None:
    coop.do(BOARD1, grant(ALICE, "treasurer", 1))
    coop.wait(3 * DAY)
    assert not holds(coop, ALICE, "treasurer") and coop.ask("members", "offices", ALICE.address) == ()


def test_terms_at_the_limit_and_one_beyond(coop: Coop) -> None:
    assert coop.code(BOARD1, grant(ALICE, "treasurer", TERM + 1)) == m.ROLE_TERM
    assert coop.code(BOARD1, grant(ALICE, "treasurer", 0)) == m.ROLE_TERM
    coop.do(BOARD1, grant(ALICE, "treasurer", TERM))
    with pytest.raises(Rejected):
        coop.run(coop.tx(grant(BOB, "clerk", m.ROLE_TERM_SECONDS_MAX + 1), actors=(BOARD1,)))
    coop.do(BOARD1, grant(BOB, "clerk", m.ROLE_TERM_SECONDS_MAX))
    for delay, term, holders in (
        (m.ROLE_DELAY_SECONDS_MAX, m.ROLE_TERM_SECONDS_MAX, m.ROLE_HOLDERS_MAX),
        (m.ROLE_DELAY_SECONDS_MAX + 1, 0, 1),
        (0, m.ROLE_TERM_SECONDS_MAX + 1, 1),
        (0, 0, m.ROLE_HOLDERS_MAX + 1),
        (0, 0, 0),
    ):
        if (delay, term, holders) == (
            m.ROLE_DELAY_SECONDS_MAX,
            m.ROLE_TERM_SECONDS_MAX,
            m.ROLE_HOLDERS_MAX,
        ):
            coop.gov(define("x", delay, term, holders))
            continue
        with pytest.raises(Rejected):
            coop.gov(define("x", delay, term, holders))


def test_the_guardian_cancels_what_waits(coop: Coop) -> None:
    coop.do(BOARD1, grant(ALICE, "treasurer", TERM))
    assert coop.code(BOARD1, cancel(ALICE, "treasurer")) == Code.ROLE
    coop.do(REGISTRAR, cancel(ALICE, "treasurer"))
    assert coop.code(REGISTRAR, cancel(ALICE, "treasurer")) == m.ROLE_NOT_HELD
    coop.do(BOARD1, grant(ALICE, "treasurer", TERM))
    coop.run(seconds=2 * DAY - 2)
    assert coop.code(REGISTRAR, cancel(ALICE, "treasurer"), seconds=2) == m.ROLE_HELD


def test_who_gives_and_who_takes(coop: Coop) -> None:
    assert coop.code(ALICE, grant(ALICE, "clerk")) == Code.ROLE
    assert coop.code(BOARD1, grant(ALICE, "nothing")) == m.ROLE_UNKNOWN
    assert coop.code(BOARD1, grant(STRANGER, "clerk")) == Code.NO_ACCOUNT
    coop.do(BOARD1, grant(ALICE, "clerk"))
    assert holds(coop, ALICE, "clerk")
    assert coop.code(BOARD1, grant(ALICE, "clerk")) == m.ROLE_HELD
    assert coop.code(BOB, revoke(ALICE, "clerk")) == Code.ROLE
    coop.do(BOARD1, revoke(ALICE, "clerk"))
    assert not holds(coop, ALICE, "clerk")
    assert coop.code(BOARD1, revoke(ALICE, "clerk")) == m.ROLE_NOT_HELD
    coop.do(BOARD1, grant(ALICE, "clerk"))
    coop.do(ALICE, revoke(ALICE, "clerk"))
    assert not holds(coop, ALICE, "clerk")
    coop.gov(define("locked", admin=""))
    assert coop.code(BOARD1, grant(ALICE, "locked")) == Code.ROLE
    coop.gov((MEMBERS, 19, NONE, (ALICE.address, "locked", 0)))
    assert holds(coop, ALICE, "locked")


def test_holders_at_the_limit_and_one_beyond(coop: Coop) -> None:
    for who in (ALICE, BOB, CAROL):
        coop.do(BOARD1, grant(who, "clerk"))
    assert coop.code(BOARD1, grant(REGISTRAR, "clerk")) == m.ROLE_FULL
    coop.do(BOARD1, revoke(BOB, "clerk"))
    coop.do(BOARD1, grant(REGISTRAR, "clerk"))
    assert coop.ask("members", "role", "clerk") == ("board", "registrar", 0, 0, 3, False, 3)
    assert coop.ask("members", "role", "nothing") is None


def test_a_member_who_is_suspended_loses_the_offices_of_members(coop: Coop) -> None:
    assert coop.code(BOARD1, grant(ALICE, "chair")) == m.NOT_ACTIVE
    coop.join(ALICE)
    coop.do(BOARD1, grant(ALICE, "chair"), grant(ALICE, "clerk"))
    coop.do(BOARD1, (MEMBERS, 8, 0, (1, HASH)))
    assert not holds(coop, ALICE, "chair") and holds(coop, ALICE, "clerk")


def test_settling_is_bounded_and_goes_on(coop: Coop) -> None:
    coop.gov(define("many", DAY, 0, m.ROLE_HOLDERS_MAX), define("more", DAY, 0, m.ROLE_HOLDERS_MAX))
    people = [Person(ALICE.key, type(ALICE.address)(n.to_bytes(20, "big"))) for n in range(51)]
    for role in ("many", "more"):
        for who in people:
            coop.gov((AUTH, 1, NONE, (who.address,)), (MEMBERS, 19, NONE, (who.address, role, 0)))

    def due(seconds: int = 0) -> int:
        return len(settle_due(View(coop.state), coop.height, coop.time + seconds)[1])

    assert due(DAY) == m.DUE_PER_BLOCK_MAX, "a block does this by itself, within a bound"
    coop.run(seconds=DAY + 1)
    assert due() == 2 * len(people) - m.DUE_PER_BLOCK_MAX
    coop.run()
    assert due() == 0
    assert coop.do(BOARD1, (MEMBERS, 22, 0, ())) == (0,)


def test_offices_are_listed_within_bounds(coop: Coop) -> None:
    for n in range(QUERY_ITEMS_MAX + 1):
        coop.gov(define(f"r{n}"), (MEMBERS, 19, NONE, (ALICE.address, f"r{n}", 0)))
    offices = coop.ask("members", "offices", ALICE.address)
    assert type(offices) is tuple and len(offices) == QUERY_ITEMS_MAX


# --- offices that act with a delay


MULTISIG = 21


@pytest.fixture
def slow(coop: Coop) -> Coop:
    """Found a co-op whose registrar acts with a delay of a day, guarded by the clerk, who is Carol."""
    coop.gov(
        (MEMBERS, 18, NONE, ("registrar", "", "clerk", 0, 0, 3, False)),
        (AUTH, 4, NONE, (CAROL.address, "clerk")),
        (MEMBERS, 23, NONE, ("registrar", DAY)),
    )
    coop.ok(coop.tx((MULTISIG, 7, 0, (REGISTRAR.address, literal(single_key_policy(REGISTRAR.key))))))
    assert coop.ask("members", "role_delay", "registrar") == DAY
    return coop


def propose(coop: Coop) -> Value:
    raw = encode((((AUTH, 1),), ((AUTH, 1, 0, (STRANGER.address,)),)))
    (done,) = coop.do(
        REGISTRAR, (MULTISIG, 1, 0, (REGISTRAR.address, REGISTRAR.address, raw, coop.time + 5 * DAY))
    )
    return done


def test_an_office_with_a_delay_acts_by_what_has_waited_alone(slow: Coop) -> None:
    opening: Value = (AUTH, 1, 0, (STRANGER.address,))
    receipt = slow.failed(slow.tx(opening, actors=(REGISTRAR,)))
    assert receipt.code == Code.ROLE and receipt.reason is not None
    assert receipt.reason.rule == "vm.role_delay" and receipt.reason.limit == "registrar"
    assert propose(slow) == (1, multisig.OPEN, Code.ROLE)
    execute: Value = (MULTISIG, 5, 0, (REGISTRAR.address, 1))
    slow.wait(DAY - 3)
    assert slow.do(REGISTRAR, execute) == ((multisig.OPEN, Code.ROLE),)
    assert slow.do(REGISTRAR, execute) == ((multisig.EXECUTED, Code.OK),)
    assert auth.is_open(View(slow.state), STRANGER.address)
    slow.gov((MEMBERS, 23, NONE, ("registrar", 0)))
    slow.do(REGISTRAR, opening)


def test_the_guardian_stops_what_waits_and_nobody_else(slow: Coop) -> None:
    propose(slow)
    for who in (BOB, BOARD1):
        assert slow.code(who, (MULTISIG, 4, 0, (who.address, 1))) == multisig.NOT_SIGNER
    assert slow.do(CAROL, (MULTISIG, 4, 0, (CAROL.address, 1))) == ((multisig.CANCELLED, 0),)
    slow.wait(DAY)
    assert slow.code(REGISTRAR, (MULTISIG, 5, 0, (REGISTRAR.address, 1))) == multisig.NOT_OPEN


def test_a_guardian_has_no_say_over_an_office_that_acts_at_once(slow: Coop) -> None:
    propose(slow)
    slow.gov((MEMBERS, 23, NONE, ("registrar", 0)))
    assert slow.code(CAROL, (MULTISIG, 4, 0, (CAROL.address, 1))) == multisig.NOT_SIGNER


def test_a_role_with_a_delay_meets_no_policy_and_no_check_inside_a_method(slow: Coop) -> None:
    slow.gov(define("board", admin=""), (MEMBERS, 23, NONE, ("board", 1)))
    assert slow.code(BOARD1, grant(ALICE, "clerk")) == Code.ROLE
    view = View(slow.state)
    assert auth.holds_role(view, BOARD1.address, "board")
    assert not auth.has_role(view, BOARD1.address, "board") and auth.has_role(
        view, BOARD1.address, "board", 1
    )


def test_delay_of_an_office_at_the_limit_and_one_beyond(coop: Coop) -> None:
    coop.gov((MEMBERS, 23, NONE, ("clerk", PENDING_DELAY_SECONDS_MAX)))
    with pytest.raises(Rejected):
        coop.gov((MEMBERS, 23, NONE, ("clerk", PENDING_DELAY_SECONDS_MAX + 1)))
    with pytest.raises(AssertionError):
        coop.gov((MEMBERS, 23, NONE, ("nothing", 1)))
