"""voting, the count over several runs: the same wherever they end, and nothing is executed before its end."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.contracts.voting import counting as c
from protocol.contracts.voting import elections as e
from protocol.contracts.voting import records as v
from protocol.elections.approval import elect_by_approval
from protocol.elections.stv import UNIT, Action, Ballots, MemoryPiles, Stage, count_votes
from protocol.vm.tables import SCHEMA
from protocol.vm.view import MemoryState, View
from tests.protocol.contracts.coop_world import MEMBERS
from tests.protocol.contracts.test_elections import TERM, Assembly, held
from tests.protocol.contracts.test_voting import PEOPLE, VOTING
from tests.protocol.ledger_world import ALICE, BOB, CAROL, NONE

DAN, EVE = PEOPLE[3:]
WARDS = json.loads((Path(__file__).parents[2] / "vectors" / "stv" / "glasgow_2007_wards.json").read_text())
NUMBER = 1
Papers = list[tuple[int, tuple[int, ...]]]
FEW: dict[Any, tuple[int, ...]] = {ALICE: (1, 2), BOB: (1, 2), CAROL: (1, 3), DAN: (3,), EVE: (2,)}


def write_election(papers: Papers, candidates: int, seats: int, method: int = e.STV) -> MemoryState:
    """Return a state with an election and its papers, and nothing else."""
    state = MemoryState()
    view = View(state)
    e.ELECTIONS.put(
        view, e.ELECTIONS.key(NUMBER), (SCHEMA, "auditor", seats, TERM, method, candidates, (), 0)
    )
    for at in range(candidates):
        e.CANDIDATES.put(view, e.CANDIDATES.key(NUMBER, at), (SCHEMA, at + 1, False))
    for amount, ranking in papers:
        e._bundle(view, NUMBER, ranking, amount)
    state.apply(view.collect_writes())
    return state


def count_in_runs(state: MemoryState) -> tuple[tuple[int, ...], list[int]]:
    """Count, each run in a block of its own; returns the elected, and the gas of each run."""
    runs: list[int] = []
    while True:
        view = View(state)
        elected = c.go_on(view, NUMBER)
        state.apply(view.collect_writes())
        runs.append(view.gas_used)
        if elected is not None:
            return elected, runs


def read_stages(state: MemoryState) -> tuple[Stage, ...]:
    return tuple([Stage(Action(row[1]), *row[2:]) for _, row in c.STAGES.scan(View(state), NUMBER)])


def draw_lot(state: MemoryState, candidates: int) -> list[int]:
    run = c._Run(View(state), NUMBER, c._begin(View(state), NUMBER, None), (), MemoryPiles(candidates))
    while run.phase == c.RECEIVING:
        run.step()
    return run._draw_lot()


@pytest.mark.parametrize("ward", WARDS["cases"], ids=[ward["id"] for ward in WARDS["cases"]])
def test_a_real_ward_comes_out_at_every_stage_over_many_runs(
    ward: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(c, "RUN_GAS", 40_000)
    given, expected = ward["input"], ward["expect"]
    papers = [(count, tuple(name - 1 for name in ranking)) for count, ranking in given["ballots"]]
    candidates = len(given["candidates"])
    state = write_election(papers, candidates, given["seats"])
    elected, runs = count_in_runs(state)
    assert len(runs) > 2
    assert sorted(name + 1 for name in elected) == sorted(expected["elected"])
    stages: list[tuple[tuple[int, ...], int]] = []
    for stage in expected["stages"]:
        votes = tuple(int(stage["votes"][str(at + 1)].replace(".", "")) for at in range(candidates))
        if not stages or stages[-1][0] != votes:  # the source repeats a stage in which nothing moves
            stages.append((votes, int(stage["non_transferable"].replace(".", ""))))
    assert [(stage.votes, stage.non_transferable) for stage in read_stages(state)] == stages
    assert stages[0][0][0] % UNIT == 0


elections = st.integers(2, 6).flatmap(
    lambda n: st.tuples(
        st.just(n),
        st.lists(
            st.tuples(
                st.integers(1, 50),
                st.lists(st.integers(0, n - 1), unique=True, min_size=1).map(tuple),
            ),
            max_size=150,
        ),
        st.integers(1, n),
    )
)


@settings(max_examples=60, deadline=None)
@given(elections, st.integers(1, 40_000), st.integers(1, 5))
def test_wherever_runs_end_the_count_is_the_one_in_one_go(
    election: tuple[int, Papers, int], run_gas: int, page_papers: int
) -> None:
    candidates, papers, seats = election
    state = write_election(papers, candidates, seats)
    before = state.items()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(c, "RUN_GAS", run_gas)
        patched.setattr(c, "PAGE_PAPERS", page_papers)
        elected, _ = count_in_runs(state)
    bundles = [Ballots(row[1], row[2]) for _, row in e.BUNDLES.scan(View(state), NUMBER)]
    whole = count_votes(bundles, candidates, seats, draw_lot(state, candidates))
    assert (elected, read_stages(state)) == (whole.elected, whole.stages)
    assert c.show_count(View(state), NUMBER) == (whole.quota, elected, whole.stages)
    kept = {*before, c.COUNTS.key(NUMBER), *[key for key, _ in c.STAGES.scan(View(state), NUMBER)]}
    assert kept == set(state.items()), "no page is left"


@settings(max_examples=30, deadline=None)
@given(elections, st.integers(1, 5_000))
def test_an_approval_count_over_several_runs_is_the_one_in_one_go(
    election: tuple[int, Papers, int], run_gas: int
) -> None:
    candidates, papers, seats = election
    state = write_election(papers, candidates, seats, e.APPROVAL)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(c, "RUN_GAS", run_gas)
        patched.setattr(c, "PAGE_PAPERS", 3)
        elected, _ = count_in_runs(state)
    approvals = [sum(count for count, names in papers if at in names) for at in range(candidates)]
    assert elected == elect_by_approval(approvals, seats, draw_lot(state, candidates))
    assert c.show_count(View(state), NUMBER) == (0, elected, ())


def test_an_election_is_seen_to_be_counted_and_nobody_is_in_office_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(c, "RUN_GAS", 1)
    monkeypatch.setattr(c, "PAGE_PAPERS", 2)
    hall = Assembly()
    number = held(hall, 1, FEW)
    blocks = 0
    assert hall.code(EVE, (VOTING, 17, 0, (number, 1))) == v.STATE
    while hall.state_of(number) == v.COUNTING:
        assert not any(hall.holds(who) for who in PEOPLE)
        hall.run()
        blocks += 1
    assert blocks > 5
    assert hall.state_of(number) == v.EXECUTED and hall.holds(BOB)
    assert not list(c.PAGES.scan(View(hall.state), number))


def test_anybody_helps_a_count_and_the_chain_goes_on_with_one_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(c, "RUN_GAS", 1)
    hall = Assembly()
    number = held(hall, 1, FEW)
    hall.do(EVE, (VOTING, 9, 0, (number,)))
    due = hall.ask("sched", "due", None)
    assert hall.state_of(number) == v.COUNTING and type(due) is tuple and len(due) == 1
    for _ in range(40):
        hall.run()
    assert hall.state_of(number) == v.EXECUTED and hall.holds(BOB)
    assert hall.ask("sched", "due", None) == ()


def test_a_count_that_was_begun_in_its_window_comes_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(c, "RUN_GAS", 1)
    hall = Assembly(window=1)
    number = held(hall, 1, FEW)
    for _ in range(40):
        hall.run()
    assert hall.state_of(number) == v.EXECUTED and hall.holds(BOB)


def test_an_office_that_is_full_after_the_count_is_tried_again_without_counting_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(c, "RUN_GAS", 1)
    hall = Assembly(seats_of_role=1)
    hall.gov((MEMBERS, 19, NONE, (EVE.address, "auditor", 2_000)))
    number = held(hall, 1, FEW)
    for _ in range(40):
        hall.run()
    assert hall.state_of(number) == v.PASSED and hall.field(number, 17) == 1
    hall.wait(2_000)
    hall.run(seconds=2_000)
    assert hall.state_of(number) == v.EXECUTED and hall.holds(BOB)


def test_a_vacant_seat_is_filled_over_several_runs_one_seat_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hall = Assembly()
    number = held(hall, 2, {ALICE: (1, 2), BOB: (1, 2), CAROL: (1, 3), DAN: (3,), EVE: (4, 3)})
    row = hall.ask("voting", "election", number)
    assert type(row) is tuple and type(row[5]) is tuple and len(row[5]) == 2
    first, second = row[5]
    assert type(first) is int and type(second) is int
    for seat in (first, second):
        hall.gov((MEMBERS, 21, NONE, (PEOPLE[seat].address, "auditor")))
    monkeypatch.setattr(c, "RUN_GAS", 1)
    assert hall.do(EVE, (VOTING, 17, 0, (number, first))) == (None,)
    assert hall.code(EVE, (VOTING, 17, 0, (number, second))) == v.STATE
    assert hall.do(EVE, (VOTING, 17, 0, (number, first))) == (None,)
    assert not any(hall.holds(who) for who in PEOPLE)
    for _ in range(60):
        hall.run()
    (holder,) = [who for who in PEOPLE if hall.holds(who)]
    assert PEOPLE.index(holder) not in (first, second)
    assert hall.code(EVE, (VOTING, 17, 0, (number, first))) == e.IN_OFFICE
    assert hall.do(EVE, (VOTING, 17, 0, (number, second))) == (None,)


def test_who_is_in_office_again_while_his_seat_is_counted_keeps_it_and_blocks_no_other_seat(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hall = Assembly()
    number = held(hall, 1, FEW)
    hall.gov((MEMBERS, 21, NONE, (BOB.address, "auditor")))
    monkeypatch.setattr(c, "RUN_GAS", 1)
    assert hall.do(EVE, (VOTING, 17, 0, (number, 1))) == (None,)
    hall.gov((MEMBERS, 19, NONE, (BOB.address, "auditor", 100)))
    for _ in range(40):
        hall.run()
    assert hall.holds(BOB) and not hall.holds(CAROL)
    assert not c.is_counting(View(hall.state), number)
    assert hall.ask("sched", "due", None) == (), "no job tries again what is refused"
