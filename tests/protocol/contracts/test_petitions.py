"""voting, petitions: a signed text becomes a proposal by itself, for those who are members on that day."""

from protocol.contracts.voting import records as v
from tests.protocol.contracts.coop_world import BOARD1, DAY
from tests.protocol.contracts.test_voting import PEOPLE, VOTING, YES, Hall, vote
from tests.protocol.ledger_world import ALICE, BOB, CAROL, Person, person

DAN, EVE = PEOPLE[3:]


class Square(Hall):
    """A hall in which three signatures put a text to discussion."""

    def add_signature(self, who: Person, number: int) -> int:
        return self.code(who, (VOTING, 3, 0, (who.address, number)))


def make_square(**changes: int) -> Square:
    return Square(**{"sponsors": 3, "discussion": 50, "window": 30 * DAY, **changes})


def test_the_last_signature_starts_the_discussion_by_itself() -> None:
    square = make_square()
    number = square.propose(program=b"")
    assert [square.add_signature(who, number) for who in (ALICE, BOB)] == [0, 0]
    assert square.state_of(number) == v.DRAFT and square.field(number, 11) == 2
    assert square.add_signature(CAROL, number) == 0
    assert square.state_of(number) == v.OPEN
    assert square.code(ALICE, vote(ALICE, number, YES)) == v.TOO_EARLY
    assert square.add_signature(DAN, number) == v.STATE
    square.run(seconds=50)
    square.vote(number, (ALICE, YES), (BOB, YES), (CAROL, YES))
    square.run(seconds=1_001)
    square.run(seconds=101)
    assert square.state_of(number) == v.EXECUTED


def test_who_joins_while_it_is_signed_decides_on_it_and_who_comes_later_does_not() -> None:
    square = make_square()
    number = square.propose(program=b"")
    early, late = person("early"), person("late")
    square.join(early)
    for who in (ALICE, early, BOB):
        assert square.add_signature(who, number) == 0
    square.join(late)
    assert square.field(number, 8) == len(PEOPLE) + 1
    square.run(seconds=50)
    assert square.code(early, vote(early, number, YES)) == 0
    assert square.code(late, vote(late, number, YES)) == v.NOT_ELIGIBLE


def test_days_of_membership_are_counted_to_the_last_signature() -> None:
    square = make_square(member_days=2)
    number = square.propose(program=b"")
    square.run(seconds=2 * DAY)
    for who in (ALICE, BOB, CAROL):
        square.add_signature(who, number)
    square.run(seconds=50)
    square.vote(number, (DAN, YES))


def test_one_member_signs_once_and_nobody_else_signs() -> None:
    square = make_square()
    number = square.propose(program=b"")
    assert square.add_signature(EVE, number) == 0
    assert square.add_signature(EVE, number) == v.SPONSORED
    assert square.code(BOARD1, (VOTING, 3, 0, (BOARD1.address, number))) != 0
    assert square.field(number, 11) == 1


def test_too_few_signatures_end_with_the_time_for_them() -> None:
    square = make_square()
    number = square.propose(program=b"")
    square.add_signature(BOB, number)
    square.run(seconds=30 * DAY)
    assert square.state_of(number) == v.LAPSED
    assert square.add_signature(CAROL, number) == v.STATE
