"""recovery: guardians and the board, the delay at its limit, every old key can stop it, nobody else can."""

import pytest

from protocol.codec import Value
from protocol.contracts import recovery as r
from protocol.contracts.policies import compute_address, single_key_policy
from protocol.errors import Code
from protocol.types import PublicKey
from tests.protocol.contracts.coop_world import BOARD1, BOARD2, HASH, Coop
from tests.protocol.ledger_world import ALICE, AUTH, BOB, CAROL, NONE, STRANGER, Person, person

RECOVERY = 25
NEW = person("a new key of alice")
FRIENDS_POLICY: Value = (2, ((0, BOB.key, 1), (0, CAROL.key, 1), (0, STRANGER.key, 1)))
FRIENDS = Person(PublicKey(b""), compute_address(FRIENDS_POLICY))


def tagged(policy: Value) -> Value:
    return (0, *[tagged(item) for item in policy]) if type(policy) is tuple else policy


def call(method: int, *arguments: Value) -> Value:
    return (RECOVERY, method, 0, arguments)


def start(guardian: Person, key: Person = NEW) -> Value:
    return call(2, guardian.address, ALICE.address, tagged(single_key_policy(key.key)), HASH)


def attest() -> Value:
    return call(3, ALICE.address, tagged(single_key_policy(NEW.key)), HASH)


@pytest.fixture
def coop() -> Coop:
    """Alice's friends are her guardian, two of three; the board is not."""
    coop = Coop()
    coop.gov((AUTH, 1, NONE, (FRIENDS.address,)))
    coop.do(ALICE, (21, 7, 0, (FRIENDS.address, tagged(FRIENDS_POLICY))))
    coop.do(ALICE, call(1, ALICE.address, FRIENDS.address, False))
    return coop


def begin(coop: Coop) -> int:
    """Let two friends sign one envelope."""
    made = coop.tx(start(FRIENDS), actors=(FRIENDS,))
    (receipt,) = coop.ok(coop.sign(made.tx, (0, BOB.key), (0, STRANGER.key)))
    ready_at = receipt.results[0]
    assert type(ready_at) is int
    return ready_at


def waiting(coop: Coop) -> Value:
    return coop.ask("recovery", "recovery", ALICE.address)


def test_two_of_three_friends_give_the_account_a_new_key_after_seven_days(coop: Coop) -> None:
    ready_at = begin(coop)
    assert ready_at == int(coop.time) - 1 + r.DELAY_SECONDS
    coop.run(seconds=ready_at - int(coop.time) - 1)
    assert coop.code(BOB, call(6, ALICE.address)) == r.TOO_EARLY
    assert waiting(coop) is not None and coop.time == ready_at
    coop.run(seconds=1)
    assert waiting(coop) is None
    account = coop.ask("auth", "account", ALICE.address)
    assert type(account) is tuple and account[3] == single_key_policy(NEW.key)
    coop.do(NEW_ALICE, call(1, ALICE.address, None, True))


NEW_ALICE = Person(NEW.key, ALICE.address)


def test_who_is_no_guardian_recovers_nothing(coop: Coop) -> None:
    assert coop.code(BOB, start(BOB)) == r.NOT_GUARDIAN
    assert coop.code(BOARD1, attest()) == r.NOT_GUARDIAN
    assert coop.code(BOB, call(3, BOB.address, tagged(single_key_policy(NEW.key)), HASH)) == Code.ROLE
    assert coop.code(ALICE, call(1, ALICE.address, ALICE.address, True)) == r.ITSELF
    assert coop.code(ALICE, call(1, ALICE.address, person("nobody").address, True)) == Code.NO_ACCOUNT


def test_any_old_key_stops_it_and_no_other_does(coop: Coop) -> None:
    begin(coop)
    assert coop.code(BOB, call(5, BOB.address, ALICE.address)) == r.NOT_OLD_KEY
    assert coop.code(BOB, call(6, ALICE.address)) == r.TOO_EARLY
    coop.do(ALICE, call(5, ALICE.address, ALICE.address))
    assert waiting(coop) is None and coop.code(BOB, call(6, ALICE.address)) == r.NO_RECOVERY
    begin(coop)
    second = coop.tx(start(FRIENDS), actors=(FRIENDS,))
    receipt = coop.failed(coop.sign(second.tx, (0, BOB.key), (0, CAROL.key)))
    assert receipt.code == r.PENDING


def test_one_key_of_a_policy_of_many_is_enough_to_stop_it(coop: Coop) -> None:
    coop.do(ALICE, (AUTH, 2, 0, (ALICE.address, tagged((2, ((0, ALICE.key, 1), (0, BOB.key, 1)))))))
    begin(coop)
    coop.do(BOB, call(5, BOB.address, ALICE.address))
    assert waiting(coop) is None


def test_the_board_needs_two_members_and_an_owner_who_said_nothing(coop: Coop) -> None:
    coop.do(ALICE, call(1, ALICE.address, None, True))
    coop.do(BOARD1, attest())
    assert coop.code(BOARD1, call(4, ALICE.address)) == r.SECOND_PERSON
    assert coop.code(ALICE, call(4, ALICE.address)) == Code.ROLE
    coop.do(BOARD2, call(4, ALICE.address))
    assert coop.code(BOARD2, call(4, ALICE.address)) == r.SECOND_PERSON
    coop.run(seconds=r.DELAY_SECONDS)
    coop.do(NEW_ALICE, call(1, ALICE.address, None, False))


def test_what_one_member_of_the_board_attests_lapses(coop: Coop) -> None:
    coop.do(ALICE, call(1, ALICE.address, None, True))
    coop.do(BOARD1, attest())
    coop.run(seconds=r.DELAY_SECONDS)
    assert waiting(coop) is None
    coop.do(ALICE, call(1, ALICE.address, None, False))


def test_whoever_has_the_keys_ends_a_recovery_by_changing_them(coop: Coop) -> None:
    ready_at = begin(coop)
    coop.do(ALICE, (AUTH, 3, 0, (ALICE.address, BOB.key)))
    coop.run(seconds=ready_at - int(coop.time) + 1)
    assert waiting(coop) is None
    coop.do(Person(BOB.key, ALICE.address), call(1, ALICE.address, None, False))


def test_a_policy_that_cannot_be_met_is_refused(coop: Coop) -> None:
    bad = call(2, FRIENDS.address, ALICE.address, tagged((2, ((0, NEW.key, 1),))), HASH)
    made = coop.tx(bad, actors=(FRIENDS,))
    assert coop.failed(coop.sign(made.tx, (0, BOB.key), (0, CAROL.key))).code == Code.MALFORMED
