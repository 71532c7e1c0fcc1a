"""voting, what holds for any ballots in any order: an early end is the true one; what passed runs once."""

from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.codec import Value
from protocol.contracts.voting import records as v
from protocol.contracts.voting.weights import find_weight, is_eligible
from protocol.vm.view import View
from tests.protocol.contracts.coop_world import SHARES
from tests.protocol.contracts.test_voting import (
    NO,
    PEOPLE,
    TYPE,
    VOTING,
    YES,
    Hall,
    delegate,
    set_policy,
    stored,
    vote,
)
from tests.protocol.ledger_world import ALICE, ASSETS, BOB, CAROL, COOP, NONE, Person, person

Ballot = tuple[Person, int]


@st.composite
def votes(draw: st.DrawFn) -> tuple[tuple[Ballot, ...], dict[Person, Person]]:
    """Draw ballots in their order, and who delegates: mostly to who votes first, so it can be taken back."""
    order = draw(st.permutations(PEOPLE))
    to = st.sampled_from((order[0], order[0], order[0], order[1]))
    handed = draw(st.dictionaries(st.sampled_from(order[1:]), to, max_size=4))
    majority = draw(st.sampled_from((YES, NO)))
    choice = st.sampled_from((majority, YES, NO, v.ABSTAIN))
    count = draw(st.sampled_from((1, 2, 3, 4, 5, 5, 5)))
    return tuple([(who, draw(choice)) for who in order[:count]]), handed


basis_points = st.sampled_from((0, 0, 2_000, 4_000, 5_000, 6_670))
steps = st.lists(st.sampled_from(("close", "execute", "wait", "retry", "mend")), max_size=12)


def hold(
    cast: tuple[Ballot, ...], handed: dict[Person, Person], rule: tuple[int, int, int], *, early: bool
) -> tuple[Hall, int, int]:
    """Hold a vote; returns the hall, the proposal, and how many ballots it took."""
    quorum, approval, least = rule
    hall = Hall(
        early=early, replace=False, quorum_bp=quorum, approval_bp=approval, least_yes_bp=least, timelock=0
    )
    for who, to in handed.items():
        if who != to:
            hall.do(who, delegate(who, to))
    hall.run()
    number, taken = hall.propose(), 0
    for who, choice in cast:
        if hall.code(who, vote(who, number, choice)) == v.STATE:
            break
        taken += 1
    hall.run(seconds=1_001)
    return hall, number, taken


@settings(max_examples=100, deadline=None)
@given(votes(), st.tuples(basis_points, basis_points, basis_points))
def test_an_early_end_is_the_end_that_would_have_come(
    drawn: tuple[tuple[Ballot, ...], dict[Person, Person]], rule: tuple[int, int, int]
) -> None:
    cast, handed = drawn
    early, number, taken = hold(cast, handed, rule, early=True)
    late, other, whole = hold(cast, handed, rule, early=False)
    assert taken <= whole == len(cast)
    passed = early.state_of(number) == v.EXECUTED
    assert passed == (late.state_of(other) == v.EXECUTED)
    assert early.has_role() is late.has_role() is passed


SECOND_TYPE = 2
LATER_ASSET = 3
"""What the program needs beside; the hall mends that at some time, or never."""


@settings(max_examples=40, deadline=None)
@given(steps)
def test_what_passed_runs_once_at_most_whoever_calls_and_however_often(taken: list[str]) -> None:
    """Each run of the program would add one to the version of a policy."""
    hall = Hall(methods=((VOTING, 1), (ASSETS, 2)), timelock=0)
    program = stored(set_policy(SECOND_TYPE, methods=()), (ASSETS, 2, NONE, (LATER_ASSET, 1)))
    number = hall.propose(program=program)
    hall.vote(number, (ALICE, YES), (BOB, YES), (CAROL, YES))
    is_mended = False
    for step in taken:
        if step in ("close", "execute"):
            hall.run(hall.tx((VOTING, 7 if step == "close" else 9, 0, (number,)), actors=(BOB,)))
        elif step == "mend" and not is_mended:
            for at in range(COOP, LATER_ASSET):
                hall.gov((ASSETS, 1, NONE, (f"LATER{at}", "Later", 2, 1, 1_000)))
            is_mended = True
        else:
            hall.run(seconds=1_000 if step == "wait" else 3_600)
        runs = version_of(hall, SECOND_TYPE)
        assert runs == (hall.state_of(number) == v.EXECUTED)
    assert version_of(hall, TYPE) == 1


def version_of(hall: Hall, proposal_type: int) -> Value:
    row = hall.ask("voting", "policy", proposal_type)
    return row[-1] if type(row) is tuple else 0


CROWD = (*PEOPLE, person("frank"), person("gina"))
counts = st.integers(0, 40)
pairs = st.tuples(st.sampled_from(CROWD), st.sampled_from(CROWD))


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from((v.BY_MEMBER, v.BY_SHARES)),
    st.sampled_from((0, 1, 1_000, 2_500, 10_000)),
    st.lists(counts, min_size=len(CROWD), max_size=len(CROWD)),
    st.lists(pairs, max_size=8),
    st.lists(st.tuples(st.sampled_from(CROWD), st.integers(1, 40)), max_size=4),
    st.lists(st.tuples(st.sampled_from(CROWD), st.sampled_from((YES, NO, v.ABSTAIN))), max_size=12),
)
def test_all_weights_together_are_within_the_electorate(
    weight: int,
    cap: int,
    held: list[int],
    handed: list[tuple[Person, Person]],
    bought: list[tuple[Person, int]],
    cast: list[Ballot],
) -> None:
    """Whoever holds, delegates, buys after the snapshot, is suspended since, and votes in whatever order."""
    hall = Hall(methods=())
    for who in CROWD[len(PEOPLE) :]:
        hall.numbers[who] = hall.join(who, 1_000)
    hall.gov((SHARES, 1, NONE, ("Member share", COOP, 10, False, 0, 1_000, 0, 10_000, 0, 60_000)))
    for who, count in zip(CROWD, held, strict=True):
        if count:
            hall.do(who, (SHARES, 3, 0, (who.address, 1, count)))
    share_class = 1 if weight == v.BY_SHARES else 0
    hall.gov(set_policy(weight=weight, share_class=share_class, cap_bp=cap, methods=()))
    for who, to in handed:
        if who != to:
            hall.do(who, delegate(who, to))
    hall.run()
    number = hall.propose(program=b"")
    electorate = hall.field(number, 8)
    assert electorate == (len(CROWD) if weight == v.BY_MEMBER else sum(held))
    for who, count in bought:
        hall.code(who, (SHARES, 3, 0, (who.address, 1, count)))
    weights = []
    for who, choice in cast:
        hall.code(who, vote(who, number, choice))
        tally = hall.tally(number)
        assert isinstance(tally, tuple) and sum(tally) <= electorate  # type: ignore[operator,arg-type]
    view = View(hall.state)
    row, policy = v.get_proposal(view, number), v.get_frozen(view, number)
    for who in CROWD:
        if is_eligible(view, policy, row, hall.numbers[who]):
            weights.append(find_weight(view, policy, row, hall.numbers[who]))
    assert sum(weights) <= electorate  # type: ignore[operator]
    if weight == v.BY_SHARES:
        most = max(1, sum(held) * cap // 10_000)
        assert weights == [min(count, most) for count in held if count]
