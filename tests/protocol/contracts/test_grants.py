"""grants: every limit at the limit and one beyond, periods, sponsors, and that nothing else is given."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.chain.transaction import SignedTransaction
from protocol.codec import Value, encode
from protocol.contracts import auth, grants
from protocol.contracts.periods import DAYS, MONTHS, ONCE
from protocol.errors import Code, Rejected
from protocol.money import days_from_date
from protocol.params import GRANT_ASSETS_MAX, GRANT_COUNTERPARTIES_MAX, GRANT_METHODS_MAX
from protocol.transition import check_admission, simulate
from protocol.types import Address
from protocol.vm.program import literal
from tests.protocol.ledger_world import (
    ALICE,
    ASSETS,
    AUTH,
    BOB,
    CAROL,
    COOP,
    NONE,
    STRANGER,
    TILL,
    TILL2,
    Person,
    World,
    create_asset,
    founding,
    program,
)

GRANTS = 6
TRANSFER = (ASSETS, 7)
DAY = 20_454  # of the world's first block
ALWAYS = (ONCE, 1, 0)
SECONDS_PER_DAY = 86_400


def grant_call(
    grantee: Person = BOB,
    methods: Value = (TRANSFER,),
    caps: Value = ((COOP, 100, 250),),
    parties: Value = (),
    uses: int | None = None,
    expires: int = 0,
    period: Value = ALWAYS,
    gas: int = 0,
    grantor: Person = ALICE,
) -> Value:
    terms = (grantor.address, grantee.address, methods, caps, parties, uses, expires, period, gas)
    return (GRANTS, 1, 0, tuple(literal(term) for term in terms))


def granted(**terms: Any) -> World:
    """Found a world in which Alice has 10,000 and grant 1 of these terms is given to Bob."""
    world = World((*founding(), create_asset("PTS")))
    world.ok(world.cash_in(ALICE, 10_000), world.cash_in(BOB, 10_000))
    (receipt,) = world.ok(world.tx(grant_call(**terms)))
    assert receipt.results == (1,)
    return world


def pull(
    world: World, amount: int, to: Person = CAROL, by: Person = BOB, grant: int = 1, **options: Any
) -> SignedTransaction:
    """Make the payment that a grantee makes with Alice's money."""
    call = (ASSETS, 7, (0, grant), (ALICE.address, to.address, COOP, amount, None))
    return world.tx(call, actors=(by,), **options)


def exceeded(world: World, tx: SignedTransaction, rule: str, code: int = Code.GRANT_EXCEEDED) -> None:
    receipt = world.failed(tx)
    assert receipt.reason is not None and (receipt.code, receipt.reason.rule) == (code, rule)


def balance(world: World, person: Person) -> int:
    answer = world.ask("assets", "balance", person.address, COOP)
    assert type(answer) is tuple and type(answer[0]) is int
    return answer[0]


# --- limits


def test_grantee_moves_the_grantors_money() -> None:
    world = granted()
    world.ok(pull(world, 100))
    assert (balance(world, ALICE), balance(world, BOB), balance(world, CAROL)) == (9_900, 10_000, 100)


def test_per_call_at_the_limit_and_one_beyond() -> None:
    world = granted()
    world.ok(pull(world, 100))
    exceeded(world, pull(world, 101), "grants.per_call")


def test_per_call_counts_all_that_one_call_moves() -> None:
    world = granted(methods=((ASSETS, 8),))

    def many(*amounts: int) -> SignedTransaction:
        payments = literal(tuple((CAROL.address, n) for n in amounts))
        return world.tx((ASSETS, 8, (0, 1), (ALICE.address, COOP, payments)), actors=(BOB,))

    world.ok(many(60, 40))
    exceeded(world, many(60, 41), "grants.per_call")


def test_per_period_at_the_limit_and_one_beyond() -> None:
    world = granted()
    world.ok(pull(world, 100), pull(world, 100))
    exceeded(world, pull(world, 51), "grants.per_period")
    world.ok(pull(world, 50))
    exceeded(world, pull(world, 1), "grants.per_period")


def test_a_failed_program_uses_nothing_of_a_grant() -> None:
    world = granted(uses=1)
    call = (ASSETS, 7, (0, 1), (ALICE.address, CAROL.address, COOP, 100, None))
    world.failed(world.tx(call, (0, 0, 0, 1, 2, 0), actors=(BOB,)))
    world.ok(pull(world, 100))


def test_uses_at_the_limit_and_one_beyond() -> None:
    world = granted(uses=2)
    world.ok(pull(world, 1), pull(world, 1))
    exceeded(world, pull(world, 1), "grants.uses")


def test_expiry_at_the_limit_and_one_beyond() -> None:
    world = granted(expires=World().time + 10)
    world.ok(pull(world, 1), seconds=9)
    exceeded(world, pull(world, 1), "grants.expires", Code.EXPIRED)


def test_periods_begin_again_by_the_calendar() -> None:
    world = granted(period=(DAYS, 2, DAY))
    world.ok(pull(world, 100), pull(world, 100), pull(world, 50))
    exceeded(world, pull(world, 1), "grants.per_period")
    world.run(seconds=SECONDS_PER_DAY)
    exceeded(world, pull(world, 1), "grants.per_period")
    world.run(seconds=SECONDS_PER_DAY)
    world.ok(pull(world, 100), pull(world, 100), pull(world, 50))
    exceeded(world, pull(world, 1), "grants.per_period")


def test_unused_periods_do_not_add_up() -> None:
    world = granted(period=(MONTHS, 1, days_from_date(2025, 1, 31)))
    world.run(seconds=200 * SECONDS_PER_DAY)
    world.ok(pull(world, 100), pull(world, 100), pull(world, 50))
    exceeded(world, pull(world, 1), "grants.per_period")


def test_before_the_first_period() -> None:
    world = granted(period=(DAYS, 1, DAY + 1))
    exceeded(world, pull(world, 1), "grants.anchor_day", Code.NOT_YET)
    world.run(seconds=SECONDS_PER_DAY)
    world.ok(pull(world, 1))


def test_counterparties() -> None:
    world = granted(parties=(CAROL.address, TILL.address))
    world.ok(pull(world, 1))
    exceeded(world, pull(world, 1, to=BOB), "grants.counterparty")


def test_an_asset_that_is_not_named() -> None:
    world = granted(caps=((2, 100, 100),))
    exceeded(world, pull(world, 1), "grants.asset")


def test_holds_count_as_spent_even_when_given_back() -> None:
    world = granted(methods=((ASSETS, 5),))

    def ask_cash(amount: int) -> SignedTransaction:
        call = (ASSETS, 5, (0, 1), (ALICE.address, TILL.address, COOP, amount, b"r"))
        return world.tx(call, actors=(BOB,))

    world.ok(ask_cash(100), ask_cash(100))
    exceeded(world, ask_cash(51), "grants.per_period")
    world.run(seconds=2 * SECONDS_PER_DAY)
    assert balance(world, ALICE) == 10_000
    exceeded(world, ask_cash(51), "grants.per_period")


# --- what a grant does not give


def test_methods_that_are_not_named() -> None:
    world = granted(methods=((ASSETS, 8),))
    exceeded(world, pull(world, 1), "grants.method")


def test_only_the_grantee_may_use_it() -> None:
    world = granted()
    exceeded(world, pull(world, 1, by=CAROL), "grants.unknown")
    exceeded(world, pull(world, 1, grant=2), "grants.unknown")


def test_money_of_others_stays_out_of_reach() -> None:
    world = granted()
    call = (ASSETS, 7, (0, 1), (CAROL.address, BOB.address, COOP, 1, None))
    exceeded(world, world.tx(call, actors=(BOB,)), "vm.owner", Code.POLICY_UNMET)
    call = (ASSETS, 7, (0, 1), (BOB.address, CAROL.address, COOP, 1, None))
    exceeded(world, world.tx(call, actors=(BOB,)), "vm.owner", Code.POLICY_UNMET)


@pytest.mark.parametrize("method", [(AUTH, 3), (GRANTS, 1), (ASSETS, 6), (ASSETS, 1)])
def test_methods_of_the_kernel_and_those_that_need_more_than_an_owner(method: Value) -> None:
    world = World()
    receipt = world.failed(world.tx(grant_call(methods=(method,))))
    assert receipt.code == grants.NOT_GRANTABLE


def test_a_method_that_is_not_there() -> None:
    world = World()
    assert world.failed(world.tx(grant_call(methods=((ASSETS, 99),)))).code == Code.UNKNOWN_METHOD


@pytest.mark.parametrize("actor", [(0,), (NONE, 1), (0, "1"), (0, -1), (0, 1 << 48), (0, 1, 2), ()])
def test_an_actor_that_is_neither_an_index_nor_a_grant(actor: Value) -> None:
    world = granted()
    call = (ASSETS, 7, actor, (ALICE.address, CAROL.address, COOP, 1, None))
    with pytest.raises(Rejected) as failure:
        check_admission(world.state, world.rules, world.time, world.tx(call, actors=(BOB,)))
    assert failure.value.code == Code.MALFORMED


@pytest.mark.parametrize("call", [(ASSETS, 6, (0, 1), (1,)), (ASSETS, 7, (0, 0), (b"", b"", 1, 1, None))])
def test_authority_that_no_grant_gives(call: Value) -> None:
    world = granted()
    with pytest.raises(Rejected) as failure:
        check_admission(world.state, world.rules, world.time, world.tx(call, actors=(BOB,)))
    assert failure.value.code == Code.TYPE


# --- giving and ending


def test_only_the_owner_gives_and_both_may_end() -> None:
    world = granted()
    assert world.failed(world.tx(grant_call(), actors=(BOB,))).code == Code.POLICY_UNMET
    revoke = (GRANTS, 2, 0, ((3, "actor", 0), 1))
    assert world.failed(world.tx(revoke, actors=(CAROL,))).code == grants.NO_GRANT
    world.ok(world.tx(revoke, actors=(BOB,)))
    assert world.failed(world.tx(revoke)).code == grants.NO_GRANT
    exceeded(world, pull(world, 1), "grants.unknown")
    world.ok(world.tx(grant_call()), world.tx((GRANTS, 2, 0, (ALICE.address, 2))))
    assert world.ask("grants", "grant", 2) is None


def test_revoked_within_a_program_it_is_gone_at_once() -> None:
    world = granted()
    ordered = sorted((ALICE, BOB), key=lambda p: p.address)
    alice, bob = ordered.index(ALICE), ordered.index(BOB)
    pay = (ASSETS, 7, (bob, 1), (ALICE.address, CAROL.address, COOP, 1, None))
    revoke = (GRANTS, 2, alice, (ALICE.address, 1))
    receipt = world.failed(world.tx(pay, revoke, pay, actors=(ALICE, BOB)))
    assert receipt.failed_instruction == 2 and receipt.code == Code.GRANT_EXCEEDED


@pytest.mark.parametrize(
    "terms, rule",
    [
        ({"methods": (TRANSFER, TRANSFER)}, "grants.method_once"),
        ({"caps": ((COOP, 1, 1), (COOP, 2, 2))}, "grants.asset_once"),
        ({"parties": (BOB.address, BOB.address)}, "grants.party_once"),
        ({"methods": ()}, "grants.allows_nothing"),
        ({"expires": 1}, "grants.expires"),
    ],
)
def test_terms_that_contradict_themselves(terms: dict[str, Any], rule: str) -> None:
    world = World()
    exceeded(world, world.tx(grant_call(**terms)), rule, grants.TERMS)


def test_sizes_at_the_limit_and_one_beyond() -> None:
    methods = tuple((ASSETS, n) for n in range(GRANT_METHODS_MAX + 1))
    caps = tuple((n, 1, 1) for n in range(GRANT_ASSETS_MAX + 1))
    parties = tuple(bytes([n]) * 20 for n in range(GRANT_COUNTERPARTIES_MAX + 1))
    world = World()
    world.ok(world.tx(grant_call(caps=caps[:-1], parties=parties[:-1])))
    for terms in ({"methods": methods}, {"caps": caps}, {"parties": parties}):
        with pytest.raises(Rejected) as failure:
            world.run(world.tx(grant_call(**terms)))
        assert failure.value.code == Code.TYPE
    exceeded(world, world.tx(grant_call(methods=methods[:-1])), "grants.method", Code.UNKNOWN_METHOD)


def test_queries() -> None:
    world = granted(uses=5)
    world.ok(world.tx(grant_call(grantee=CAROL)), pull(world, 7))
    assert world.ask("grants", "by_grantor", ALICE.address) == (1, 2)
    assert world.ask("grants", "by_grantee", CAROL.address) == (2,)
    answer = world.ask("grants", "grant", 1)
    assert type(answer) is tuple and answer[6] == 4 and answer[-2] == (7,)


# --- sponsors


def sponsored(world: World, gas: int = 50_000, payer: Address = ALICE.address) -> SignedTransaction:
    return world.pay(BOB, CAROL, 1, payer=payer, gas=gas)


def code_of(world: World, tx: SignedTransaction) -> int:
    with pytest.raises(Rejected) as failure:
        check_admission(world.state, world.rules, world.time, tx)
    with pytest.raises(Rejected):
        world.run(tx)
    return failure.value.code


def free_gas(world: World, person: Person) -> int:
    answer = world.ask("auth", "account", person.address)
    assert type(answer) is tuple and type(answer[2]) is int
    return answer[2]


def test_sponsor_pays_the_gas_and_the_signer_keeps_the_nonce() -> None:
    world = granted(methods=(), gas=120_000)
    before = free_gas(world, BOB), free_gas(world, ALICE)
    tx = world.pay(BOB, CAROL, 1, payer=ALICE.address, gas=50_000, lane=2, sequence=1)
    (receipt,) = world.ok(tx)
    assert free_gas(world, BOB) >= before[0] and before[1] - receipt.gas + 3 >= free_gas(world, ALICE)
    answer = world.ask("auth", "account", BOB.address)
    assert type(answer) is tuple and answer[1] == (0, 0, 1)
    assert code_of(world, tx) == Code.NONCE_USED
    answer = world.ask("grants", "grant", 1)
    assert type(answer) is tuple and answer[-1] == receipt.gas


def test_sponsored_gas_at_the_limit_and_one_beyond() -> None:
    world = granted(methods=(), gas=60_000, period=(DAYS, 1, DAY))
    used = world.ok(sponsored(world))[0].gas
    assert code_of(world, sponsored(world, 60_000 - used + 1)) == Code.GRANT_EXCEEDED
    world.ok(sponsored(world, 60_000 - used))
    world.run(seconds=SECONDS_PER_DAY)
    world.ok(sponsored(world, 60_000))


def test_sponsor_pays_for_programs_that_fail_too() -> None:
    world = granted(methods=(), gas=60_000)
    receipt = world.failed(world.pay(BOB, CAROL, 1 << 40, payer=ALICE.address, gas=50_000))
    answer = world.ask("grants", "grant", 1)
    assert type(answer) is tuple and answer[-1] == receipt.gas


def test_who_is_not_sponsored() -> None:
    world = granted()
    assert code_of(world, sponsored(world)) == Code.GRANT_EXCEEDED
    assert code_of(world, sponsored(world, payer=STRANGER.address)) == Code.GRANT_EXCEEDED
    for terms, code in (
        ({"expires": World().time + 1}, Code.EXPIRED),
        ({"period": (DAYS, 1, DAY + 1)}, Code.NOT_YET),
    ):
        world = granted(methods=(), gas=60_000, **terms)
        assert code_of(world, sponsored(world)) == code
    world = granted(methods=(), gas=60_000)
    world.ok(world.tx((GRANTS, 2, 0, (ALICE.address, 1))))
    assert code_of(world, sponsored(world)) == Code.GRANT_EXCEEDED


def test_a_second_sponsoring_grant_is_refused_until_the_first_ends() -> None:
    world = granted(methods=(), gas=60_000)
    assert world.failed(world.tx(grant_call(gas=1))).code == grants.SPONSORED
    world.ok(world.tx((GRANTS, 2, 0, (ALICE.address, 1)), grant_call(gas=70_000)))
    world.ok(sponsored(world, 70_000))


def test_a_sponsored_program_may_revoke_what_pays_for_it() -> None:
    world = granted(methods=(), gas=60_000)
    world.ok(world.tx((GRANTS, 2, 0, (BOB.address, 1)), actors=(BOB,), payer=ALICE.address, gas=50_000))
    assert code_of(world, sponsored(world)) == Code.GRANT_EXCEEDED


def fee_world(caps: Value) -> World:
    """Return a world where gas is five units each and Alice's bucket is empty."""
    programs = (*founding(), program((AUTH, 6, NONE, (COOP, 5_000_000))))
    world = World(programs)
    world.ok(world.cash_in(ALICE, 1_000_000), world.cash_in(BOB, 10))
    world.ok(world.tx(grant_call(methods=(), caps=caps, gas=1_000_000)))
    world.state.apply(
        {auth.ACCOUNT.key(ALICE.address): auth_row(auth.QUOTA_CAPACITY * auth.QUOTA_UNIT, world.time)}
    )
    return world


def auth_row(debt: int, time: int) -> bytes:
    return encode((1, 0, (), debt, time))


def test_fee_of_a_sponsor_counts_against_the_caps_at_the_limit_and_one_beyond() -> None:
    for caps, is_paid in (
        (((COOP, 50_000, 60_000),), True),
        (((COOP, 49_999, 60_000),), False),
        (((COOP, 60_000, 49_999),), False),
        ((), False),
    ):
        world = fee_world(caps)
        tx = world.pay(BOB, CAROL, 1, payer=ALICE.address, gas=10_000, price=5_000_000)
        if is_paid:
            world.ok(tx)
            assert balance(world, ALICE) == 950_000
            answer = world.ask("grants", "grant", 1)
            assert type(answer) is tuple and answer[-2] == (50_000,)
        else:
            assert code_of(world, tx) == Code.GRANT_EXCEEDED


# --- whatever is tried


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(st.integers(1, 130), st.sampled_from([CAROL, BOB, TILL2]), st.sampled_from([1, 40_000])),
        max_size=12,
    )
)
def test_no_history_exceeds_the_caps(pulls: list[tuple[int, Person, int]]) -> None:
    world = granted(period=(DAYS, 1, DAY), parties=(CAROL.address, BOB.address), uses=8)
    moved: dict[int, int] = {}
    uses = 0
    for amount, to, seconds in pulls:
        before = balance(world, ALICE)
        context = world.next_context(seconds)
        tx = pull(world, amount, to, valid_until=context.time_ms // 1_000)
        expected = simulate(world.state, world.rules, context, tx)
        (receipt,) = world.run(tx, seconds=seconds).receipts
        assert receipt == expected
        day = world.time_ms // 1_000 // SECONDS_PER_DAY
        went = before - balance(world, ALICE)
        assert went == (amount if receipt.is_ok else 0) and went <= 100
        moved[day] = moved.get(day, 0) + went
        uses += receipt.is_ok
        should = amount <= 100 and moved[day] - went + amount <= 250 and uses - receipt.is_ok < 8
        assert receipt.is_ok == (should and to is not TILL2)
    assert all(sum_ <= 250 for sum_ in moved.values()) and uses <= 8
