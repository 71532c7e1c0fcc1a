"""voting: no vote ends on a day of rest; a proposal runs once, by the rules it was made with."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.codec import Value
from protocol.contracts.voting import records as v
from protocol.contracts.voting.deadlines import HOLIDAYS_MAX
from protocol.errors import Rejected
from protocol.money import compute_day, days_from_date
from protocol.vm.view import View
from tests.protocol.contracts.coop_world import DAY
from tests.protocol.contracts.test_voting import PEOPLE, VOTING, YES, Hall, make_auditor, set_policy, vote
from tests.protocol.ledger_world import BOB, NONE

EVE = PEOPLE[4]


def rest(weekdays: tuple[int, ...], *holidays: int) -> Value:
    return (VOTING, 22, NONE, ((0, *weekdays), (0, *holidays)))


def test_no_vote_ends_on_a_day_of_rest() -> None:
    hall = Hall(quiet=0)
    today = compute_day(int(hall.time), hall.genesis.utc_offset_seconds)
    weekday = (today + 3) % 7
    hall.gov(rest((weekday,), today + 1, today + 2))
    number = hall.propose()
    assert hall.field(number, 13) == hall.field(number, 12) + 1_000 + 3 * DAY  # type: ignore[operator]
    hall.gov(rest(()))
    assert hall.field(number, 13) == hall.field(number, 12) + 1_000 + 3 * DAY  # type: ignore[operator]
    other = hall.propose(BOB, b"")
    assert hall.field(other, 13) == hall.field(other, 12) + 1_000  # type: ignore[operator]


def test_a_day_of_rest_is_one_of_the_calendar_of_the_co_op() -> None:
    days = {(days_from_date(2026, 11, 21) + 3) % 7, (days_from_date(2026, 11, 22) + 3) % 7}
    assert days == {5, 6}, "a Saturday and a Sunday"


@pytest.mark.parametrize("size", [HOLIDAYS_MAX, HOLIDAYS_MAX + 1])
def test_a_calendar_names_so_many_holidays_and_not_one_more(size: int) -> None:
    hall = Hall()
    if size > HOLIDAYS_MAX:
        with pytest.raises(Rejected):
            hall.gov(rest((), *range(size)))
    else:
        hall.gov(rest((), *range(size)))
    assert hall.gov_outcome(rest((6, 5))).code == v.POLICY
    assert hall.gov_outcome(rest((), 9, 9)).code == v.POLICY


@settings(max_examples=15, deadline=None)
@given(st.lists(st.sampled_from(("vote", "close", "execute", "policy", "wait")), max_size=14))
def test_a_proposal_runs_once_and_its_rules_and_program_never_change(steps: list[str]) -> None:
    hall = Hall(timelock=500)
    number = hall.propose()
    frozen, runs = v.get_frozen(View(hall.state), number), 0
    waiting = list(PEOPLE)
    for step in [*steps, "wait", "wait", "wait", "execute"]:
        if step == "vote" and waiting:
            hall.run(hall.tx(vote(waiting[0], number, YES), actors=(waiting.pop(0),)))
        elif step in ("close", "execute"):
            method = 7 if step == "close" else 9
            hall.run(hall.tx((VOTING, method, 0, (number,)), actors=(EVE,)))
        elif step == "policy":
            hall.gov(set_policy(quorum_bp=10_000, timelock=0))
        else:
            hall.run(seconds=600)
        was, is_done = runs, hall.state_of(number) == v.EXECUTED
        runs = int(hall.has_role())
        assert was <= runs == int(is_done)
        assert v.get_frozen(View(hall.state), number) == frozen
        if not is_done and hall.state_of(number) in (v.OPEN, v.PASSED):
            assert hall.ask("voting", "program", number) == make_auditor()
        row = hall.ask("voting", "tally", number)
        assert type(row) is tuple and sum(row[:3]) <= row[6] == len(PEOPLE)
