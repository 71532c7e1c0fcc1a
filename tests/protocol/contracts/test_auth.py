"""auth: opening, policies and rotation, actors of many kinds, roles, lanes. Quota is in test_transition."""

import pytest

from protocol.chain.transaction import SignedTransaction
from protocol.codec import Value
from protocol.contracts import REGISTRY, auth
from protocol.contracts.policies import compute_address, single_key_policy
from protocol.errors import CallFailed, Code, Rejected
from protocol.params import QUERY_ITEMS_MAX, ROLE_NAME_BYTES_MAX, SEEN_PRUNED_PER_BLOCK_MAX
from protocol.transition import check_admission
from protocol.types import Address, Height, PublicKey, Seconds
from protocol.vm.context import Context, Environment
from protocol.vm.view import MemoryState, View
from tests.protocol.ledger_world import (
    ALICE,
    AUTH,
    BOB,
    CAROL,
    NONE,
    STRANGER,
    TILL,
    Person,
    World,
    founding,
    program,
)

TWO_OF_THREE: Value = (2, ((0, ALICE.key, 1), (0, BOB.key, 1), (0, CAROL.key, 1)))
CLUB = Person(PublicKey(b""), compute_address(TWO_OF_THREE))
Keys = tuple[tuple[int, PublicKey], ...]
Reveals = tuple[tuple[int, Value], ...]


def open_all(*addresses: Address) -> Value:
    return program(*[(AUTH, 1, NONE, (address,)) for address in addresses])


def club_world(*more: Value) -> World:
    world = World((*founding(), open_all(CLUB.address), *more))
    world.ok(world.cash_in(CLUB, 1_000), world.cash_in(ALICE, 1_000))
    return world


def as_club(world: World, *keys: PublicKey, reveal: Value = TWO_OF_THREE) -> SignedTransaction:
    tx = world.pay(CLUB, ALICE, 10).tx
    reveals = () if reveal is None else ((0, reveal),)
    return world.sign(tx, *[(0, key) for key in keys], reveals=reveals)


def code_of(world: World, tx: SignedTransaction) -> int:
    with pytest.raises(Rejected) as failure:
        check_admission(world.state, world.rules, world.time, tx)
    return failure.value.code


# --- existence and roles


def test_open_tells_whether_it_is_new() -> None:
    world = World((*founding(), program((AUTH, 4, NONE, (ALICE.address, auth.REGISTRAR)))))
    (receipt,) = world.ok(world.tx((AUTH, 1, 0, (STRANGER.address,)), (AUTH, 1, 0, (BOB.address,))))
    assert receipt.results == (True, False)
    assert [e.fields for e in receipt.events] == [(STRANGER.address,)]
    assert world.failed(world.tx((AUTH, 1, 0, (TILL.address,)), actors=(BOB,))).code == Code.ROLE


def test_roles_are_granted_and_revoked_by_gov_only() -> None:
    grant = (AUTH, 4, NONE, (ALICE.address, "board"))
    world = World((*founding(), program(grant, (AUTH, 4, NONE, (ALICE.address, "audit")))))
    assert world.ask("auth", "roles", ALICE.address) == ("audit", "board")
    assert world.failed(world.tx(grant)).code == Code.ROLE
    world = World((*founding(), program(grant, (AUTH, 5, NONE, (ALICE.address, "board")))))
    assert world.ask("auth", "roles", ALICE.address) == ()
    with pytest.raises(Rejected) as failure:
        World((*founding(), program((AUTH, 5, NONE, (ALICE.address, "board")))))
    assert failure.value.code == Code.ROLE


def test_role_name_at_the_limit_and_one_beyond() -> None:
    name = "r" * ROLE_NAME_BYTES_MAX
    world = World((*founding(), program((AUTH, 4, NONE, (ALICE.address, name)))))
    assert world.ask("auth", "roles", ALICE.address) == (name,)
    with pytest.raises(Rejected) as failure:
        World((*founding(), program((AUTH, 4, NONE, (ALICE.address, name + "r")))))
    assert failure.value.code == Code.TYPE


def test_roles_query_is_bounded() -> None:
    grants = [program((AUTH, 4, NONE, (ALICE.address, f"r{n}"))) for n in range(QUERY_ITEMS_MAX + 1)]
    answer = World((*founding(), *grants)).ask("auth", "roles", ALICE.address)
    assert type(answer) is tuple and len(answer) == QUERY_ITEMS_MAX


def test_account_that_does_not_exist() -> None:
    assert World().ask("auth", "account", STRANGER.address) is None
    assert World().ask("auth", "fee") is None


# --- policies


def test_policy_is_revealed_once_and_kept() -> None:
    world = club_world()
    world.ok(as_club(world, ALICE.key, CAROL.key))
    assert world.ask("auth", "account", CLUB.address) is not None
    answer = world.ask("auth", "account", CLUB.address)
    assert type(answer) is tuple and answer[0] == 1 and answer[3] == TWO_OF_THREE
    world.ok(as_club(world, BOB.key, CAROL.key, reveal=None))
    world.ok(as_club(world, ALICE.key, BOB.key))  # a second reveal, perhaps sent at the same time
    answer = world.ask("auth", "account", CLUB.address)
    assert type(answer) is tuple and answer[0] == 1


@pytest.mark.parametrize(
    "keys, reveal",
    [
        ((ALICE.key,), TWO_OF_THREE),
        ((ALICE.key, TILL.key), TWO_OF_THREE),
        ((ALICE.key, BOB.key, TILL.key), TWO_OF_THREE),
        ((ALICE.key, BOB.key), None),
        ((ALICE.key,), None),
        ((ALICE.key,), single_key_policy(ALICE.key)),
        ((ALICE.key, BOB.key), (1, ((0, ALICE.key, 1), (0, BOB.key, 1)))),
    ],
)
def test_policy_that_is_not_met(keys: tuple[PublicKey, ...], reveal: Value) -> None:
    world = club_world()
    assert code_of(world, as_club(world, *keys, reveal=reveal)) == Code.POLICY_UNMET


def test_reveal_of_an_unreadable_policy() -> None:
    broken: Value = (9, ((0, ALICE.key, 1),))
    account = Person(ALICE.key, compute_address(broken))
    world = World((*founding(), open_all(account.address)))
    tx = world.sign(world.pay(account, BOB, 1).tx, (0, ALICE.key), reveals=((0, broken),))
    assert code_of(world, tx) == Code.MALFORMED


def test_every_actor_must_be_met() -> None:
    world = club_world()
    tx = world.tx(actors=(ALICE, BOB), raw_program=program((0, 0, 0, 1, 1, 0))).tx
    ordered = sorted((ALICE, BOB), key=lambda p: p.address)
    assert code_of(world, world.sign(tx, (0, ordered[0].key))) == Code.POLICY_UNMET
    assert code_of(world, world.sign(tx, (0, ordered[0].key), (1, ordered[0].key))) == Code.POLICY_UNMET
    world.ok(world.sign(tx, (0, ordered[0].key), (1, ordered[1].key)))


def test_second_actor_must_exist() -> None:
    world = club_world()
    tx = world.tx(actors=(ALICE, STRANGER), raw_program=program((0, 0, 0, 1, 1, 0))).tx
    index = tx.actors.index(ALICE.address)
    tx = world.tx(actors=(ALICE, STRANGER), payer=index, raw_program=program((0, 0, 0, 1, 1, 0))).tx
    keys = [(i, (ALICE if a == ALICE.address else STRANGER).key) for i, a in enumerate(tx.actors)]
    assert code_of(world, world.sign(tx, *keys)) == Code.NO_ACCOUNT


def act(
    world: World, actors: tuple[Address, ...], keys: Keys, reveals: tuple[tuple[int, Value], ...]
) -> None:
    auth.check_actors(View(world.state), actors, keys, reveals)


def test_account_leaf_needs_that_account_to_be_met_first() -> None:
    firm: Value = (1, ((1, ALICE.address, 1),))
    address = compute_address(firm)
    world = World((*founding(), open_all(address)))
    actors = tuple(sorted((address, ALICE.address)))
    at, alice = actors.index(address), actors.index(ALICE.address)
    act(world, actors, ((alice, ALICE.key),), ((at, firm),))
    with pytest.raises(Rejected):
        act(world, actors, (), ((at, firm),))
    with pytest.raises(Rejected):
        act(world, (address,), (), ((0, firm),))


def test_accounts_that_only_name_each_other_can_never_act() -> None:
    world = World()
    view = View(world.state)
    for one, other in ((ALICE, BOB), (BOB, ALICE)):
        view.put(auth.ACCOUNT.key(one.address), (1, 1, (), 0, 0))
        view.put(auth.POLICIES.key(one.address), (1, (1, ((1, other.address, 1),))))
    actors = tuple(sorted((ALICE.address, BOB.address)))
    with pytest.raises(Rejected) as failure:
        auth.check_actors(view, actors, (), ())
    assert failure.value.code == Code.POLICY_UNMET


def test_role_leaf_needs_an_actor_who_holds_the_role() -> None:
    body: Value = (1, ((2, "board", 1),))
    address = compute_address(body)
    grant = program((AUTH, 4, NONE, (ALICE.address, "board")))
    world = World((*founding(), open_all(address), grant))
    for who, is_met in ((ALICE, True), (BOB, False)):
        actors = tuple(sorted((address, who.address)))
        keys, reveals = ((actors.index(who.address), who.key),), ((actors.index(address), body),)
        if is_met:
            act(world, actors, keys, reveals)
        else:
            with pytest.raises(Rejected):
                act(world, actors, keys, reveals)


# --- changing policies


def test_rotation_keeps_the_address() -> None:
    world = club_world()
    (receipt,) = world.ok(world.tx((AUTH, 3, 0, (ALICE.address, STRANGER.key))))
    assert receipt.results == (1,)
    old = world.pay(ALICE, BOB, 1)
    assert code_of(world, old) == Code.POLICY_UNMET
    world.ok(world.sign(old.tx, (0, STRANGER.key)))


def test_set_policy_replaces_it_and_counts_versions() -> None:
    world = club_world()
    (receipt,) = world.ok(world.tx((AUTH, 2, 0, (ALICE.address, (0, 2, _tagged(TWO_OF_THREE))))))
    assert receipt.results == (1,) and receipt.events[0].fields == (ALICE.address, 1)
    tx = world.pay(ALICE, BOB, 1)
    assert code_of(world, tx) == Code.POLICY_UNMET
    world.ok(world.sign(tx.tx, (0, BOB.key), (0, CAROL.key)))


def _tagged(policy: Value) -> Value:
    assert type(policy) is tuple and type(policy[1]) is tuple
    return (0, *[(0, *leaf) for leaf in policy[1] if type(leaf) is tuple])


def test_set_policy_refuses_what_is_no_policy() -> None:
    world = club_world()
    receipt = world.failed(world.tx((AUTH, 2, 0, (ALICE.address, (0, 5, (0, (0, 0, ALICE.key, 1)))))))
    assert receipt.code == Code.MALFORMED and receipt.reason is not None
    assert receipt.reason.rule == "auth.policy"


def test_policy_of_another_account_cannot_be_set() -> None:
    world = club_world()
    receipt = world.failed(world.tx((AUTH, 3, 0, (BOB.address, ALICE.key))))
    assert receipt.code == Code.POLICY_UNMET


def test_every_actor_of_a_transaction_exists_so_set_policy_finds_its_account() -> None:
    environment = Environment(Seconds(0), 0, Height(1), 0, bytes(32), ())
    context = Context(View(MemoryState()), REGISTRY, environment, auth.CONTRACT, ALICE.address)
    with pytest.raises(CallFailed) as failure:
        auth._rotate(context, ALICE.address, ALICE.key)
    assert failure.value.code == Code.NO_ACCOUNT


# --- pruning


def test_pruning_stops_at_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    assert SEEN_PRUNED_PER_BLOCK_MAX == 10_000
    monkeypatch.setattr(auth, "SEEN_PRUNED_PER_BLOCK_MAX", 3)
    view = View(MemoryState())
    for n in range(5):
        view.put(auth.SEEN.key(100 + n, bytes([n]) * 16), (1,))
    assert auth.prune_seen(view, Seconds(100)) == 0
    assert auth.prune_seen(view, Seconds(103)) == 3
    assert auth.prune_seen(view, Seconds(999)) == 2
