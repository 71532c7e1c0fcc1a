"""voting, what it costs among many: a proposal and a ballot cost the same among ten members and 100,000.

Every read, write, seek and byte costs gas, so equal gas is an equal number of each. Members are written past
the rules, as joining is not what is measured.
"""

from dataclasses import replace

import pytest

from protocol.codec import Value
from protocol.contracts.members import records as m
from protocol.contracts.voting import counting as c
from protocol.contracts.voting import elections as e
from protocol.contracts.voting import records as v
from protocol.contracts.voting.proposals import AFTERWARDS_GAS
from protocol.elections.stv import CANDIDATES_MAX
from protocol.params import JOB_GAS_MAX
from protocol.types import Address
from protocol.vm.tables import SCHEMA
from protocol.vm.view import View
from tests.protocol.contracts.test_elections import Assembly, rank, stand
from tests.protocol.contracts.test_voting import PEOPLE, VOTING, YES, Hall, propose, vote
from tests.protocol.ledger_world import ALICE, BOB, CAROL, Person, person

PAPERS = 10_000


def populate(hall: Hall, count: int) -> None:
    """Bring the hall to so many active members, each with his rows and his place in the indexes."""
    view = View(hall.state)
    known = hall.member(hall.numbers[ALICE])
    height = m.HEIGHT_LAST - hall.height
    for number in range(1_000, 1_000 + count - len(PEOPLE)):
        account = b"many" + number.to_bytes(16, "big")
        m.put_member(view, number, replace(known, account=Address(account), tag=b""))
        m.STANDINGS.put(view, m.STANDINGS.key(number, height), (SCHEMA, m.ACTIVE))
    m.ELIGIBLE.put(view, m.ELIGIBLE.key(height), (SCHEMA, count))
    hall.write(view.collect_writes())
    hall.run()


def cast_many(hall: Hall, number: int, count: int) -> None:
    """Write so many ballots of others, with their sum."""
    view = View(hall.state)
    for member in range(1_000, 1_000 + count):
        v.BALLOTS.put(view, v.BALLOTS.key(number, member), (SCHEMA, YES, 1, 0))
    v.TALLIES.put(view, v.TALLIES.key(number), (SCHEMA, count, 0, 0, 0, 0, 0))
    hall.write(view.collect_writes())


def cost(hall: Hall, who: Person, call: Value) -> int:
    (receipt,) = hall.ok(hall.tx(call, actors=(who,), gas=400_000))
    return receipt.gas


def compute_costs(members: int) -> tuple[int, ...]:
    """Return the gas of proposing, of the ballot that decides after six of ten, and of closing."""
    hall = Hall(early=True, replace=False, timelock=0, methods=())
    populate(hall, members)
    proposing = cost(hall, ALICE, propose(ALICE, b""))
    assert hall.field(1, 8) == members
    cast_many(hall, 1, members * 6 // 10)
    decides = hall.tx(vote(BOB, 1, YES), actors=(BOB,), gas=400_000)
    closes = hall.tx((VOTING, 7, 0, (1,)), actors=(CAROL,), gas=400_000)
    voting, closing = [receipt.gas for receipt in hall.ok(decides, closes)]
    assert hall.state_of(1) == v.EXECUTED
    return proposing, voting, closing


@pytest.mark.parametrize("members", [1_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_a_proposal_and_a_ballot_cost_the_same_among_many(members: int) -> None:
    few, many = compute_costs(10), compute_costs(members)
    assert all(abs(one - other) <= 2 for one, other in zip(few, many, strict=True)), (few, many)


def draw_papers(view: View, number: int, candidates: int, count: int) -> int:
    """Write different papers of one to six names; returns how many."""
    state = 1
    for _ in range(count):
        ranking: list[int] = []
        state = state * 6_364_136_223_846_793_005 + 1_442_695_040_888_963_407 & (1 << 64) - 1
        for place in range(1 + (state >> 33) % 6):
            name = (state >> 8 * place) % candidates
            if name not in ranking:
                ranking.append(name)
        e._bundle(view, number, tuple(ranking), 1)
    return sum(1 for _ in e.BUNDLES.scan(view, number))


def draw_full_papers(view: View, number: int, count: int) -> None:
    """Write different papers that name as many as a paper can."""
    state = 1
    for _ in range(count):
        names = list(range(CANDIDATES_MAX))
        for place in range(e.PREFERENCES_MAX):
            state = state * 6_364_136_223_846_793_005 + 1_442_695_040_888_963_407 & (1 << 64) - 1
            other = place + (state >> 33) % (CANDIDATES_MAX - place)
            names[place], names[other] = names[other], names[place]
        e._bundle(view, number, tuple(names[: e.PREFERENCES_MAX]), 1)


def count_runs(candidates: int, names: int) -> tuple[int, list[int]]:
    """Count `PAPERS` papers, a run a block; returns how many differ, and the gas of each run."""
    hall = Assembly()
    number = hall.call(4)
    view = View(hall.state)
    row = e.get_election(view, number)
    for at in range(candidates):
        e.CANDIDATES.put(view, e.CANDIDATES.key(number, at), (SCHEMA, hall.numbers[ALICE], False))
    e.ELECTIONS.put(view, e.ELECTIONS.key(number), (*row[:5], candidates, *row[6:]))
    different = PAPERS
    if names == e.PREFERENCES_MAX:
        draw_full_papers(view, number, PAPERS)
    else:
        different = draw_papers(view, number, candidates, PAPERS)
    hall.write(view.collect_writes())
    runs: list[int] = []
    elected = None
    while elected is None:
        view = View(hall.state)
        elected = c.go_on(view, number)
        hall.write(view.collect_writes())
        runs.append(view.gas_used)
    assert len(elected) == 4 and not list(c.PAGES.scan(View(hall.state), number))
    return different, runs


@pytest.mark.parametrize(
    ("candidates", "names", "least", "blocks"),
    [(12, 6, 2_000, 1), (CANDIDATES_MAX, 6, 5_000, 2), (CANDIDATES_MAX, 32, PAPERS, 4)],
)
def test_ten_thousand_papers_are_counted_in_a_few_jobs(
    candidates: int, names: int, least: int, blocks: int
) -> None:
    different, runs = count_runs(candidates, names)
    assert different >= least
    assert len(runs) <= blocks
    assert max(runs) + AFTERWARDS_GAS < JOB_GAS_MAX


def test_the_run_that_ends_a_count_has_gas_left_for_as_many_offices_as_there_are_seats() -> None:
    hall = Assembly(seats_of_role=e.SEATS_MAX)
    people = [person(f"candidate {at}") for at in range(e.SEATS_MAX + 1)]
    for who in people:
        hall.join(who)
    number = hall.call(e.SEATS_MAX)
    for who in people:
        hall.do(who, stand(who, number))
    hall.run(seconds=60)
    for at, who in enumerate(people):
        hall.do(who, rank(who, number, at))
    (job,) = hall.run(seconds=1_000).job_receipts
    assert hall.state_of(number) == v.EXECUTED
    assert sum(hall.holds(who) for who in people) == e.SEATS_MAX
    assert job.gas < JOB_GAS_MAX - c.RUN_GAS - AFTERWARDS_GAS
