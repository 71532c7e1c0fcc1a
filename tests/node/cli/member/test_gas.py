"""Who pays for gas: the free quota first, then money at the price in force, or a sponsor instead of both."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from node.cli.member.acting import act, find_gas_terms, open_actor, say_fee
from node.cli.member.gas import GAS_SPARE, TRIAL_GAS_BOUGHT, TRIAL_GAS_MIN, GasTerms
from node.cli.member.member_session import session
from node.cli.member.sponsors import end, give, list_sponsored
from node.cli.terminal import Failure
from node.cluster import founding
from node.cluster.founding import CURRENCY_NUMBER, demo_address
from node.cluster.village import call
from protocol.addresses import HRP_TEST, format_address
from protocol.chain.genesis import Genesis
from protocol.codec import Value
from protocol.params import TX_GAS_MAX
from protocol.types import Address
from tests.node import small_chain
from tests.node.cli.member.in_process import open_session
from tests.node.rpc.conftest import Caller
from tests.node.small_chain import SmallChain

PRICE = 1_000_000
"""Minor units a million gas, so that a unit of gas above the free ones costs one."""
QUOTA = 20_000
FREE = 5 * QUOTA


def genesis_that_sells(*arguments: Any, **options: Any) -> Genesis:
    genesis = founding.make_genesis(*arguments, **options)
    calls = (
        call("auth.set_fee", CURRENCY_NUMBER, PRICE),
        call("registry.set_parameter", "quota_gas_per_day", QUOTA, 0),
    )
    return replace(genesis, programs=(*genesis.programs, ((), calls, ())))


@pytest.fixture
def gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Caller]:
    """Three members at a gateway of a chain with little free gas, and more for money."""
    monkeypatch.setattr(small_chain, "make_genesis", genesis_that_sells)
    chain = SmallChain(tmp_path / "store", int(time.time() * 1_000) - 60_000)
    for _ in range(4):
        chain.commit()
    yield from open_session(chain, tmp_path / "home", monkeypatch)


def pay(payer: str, times: int = 1) -> tuple[Value, ...]:
    payments = ((demo_address("cy"), 1),) * times
    return (call("assets.transfer_many", demo_address(payer), CURRENCY_NUMBER, payments, actor=0),)


def balance(gateway: Caller, who: str) -> int:
    address = format_address(demo_address(who), HRP_TEST)
    found = gateway.call("assets_balance", address=address, asset=CURRENCY_NUMBER)
    return int(found["value"]["posted"])


def test_within_the_free_quota_nothing_is_paid(gateway: Caller, capsys: pytest.CaptureFixture[str]) -> None:
    before = balance(gateway, "ada")
    assert act(open_actor(), pay("ada"))["ok"]
    assert balance(gateway, "ada") == before - 1 and "fee" not in capsys.readouterr().err


def test_gas_above_the_free_quota_is_bought_and_said_before(
    gateway: Caller, capsys: pytest.CaptureFixture[str]
) -> None:
    before = balance(gateway, "ada")
    terms = find_gas_terms(open_actor())
    assert (terms.free, terms.price, terms.trial_gas) == (FREE, PRICE, TRIAL_GAS_BOUGHT)
    receipt = act(open_actor(), pay("ada", 150))
    fee = before - balance(gateway, "ada") - 150
    assert receipt["ok"] and FREE < int(receipt["gas"]) < FREE + fee
    assert f"fee       {fee // 100:,}.{fee % 100:02} CNY, for {fee:,} gas" in capsys.readouterr().err


def test_a_sponsor_pays_and_the_member_keeps_the_quota(
    gateway: Caller, capsys: pytest.CaptureFixture[str]
) -> None:
    session.acts_as = "bo"
    give("ada", gas=30_000)
    session.acts_as = "ada"
    own = find_gas_terms(open_actor()).free
    session.sponsor = "bo"
    terms = find_gas_terms(open_actor())
    assert (terms.payer, terms.free) == (demo_address("bo"), 30_000)
    used = int(act(open_actor(), pay("ada"))["gas"])
    assert find_gas_terms(open_actor()).free == 30_000 - used
    list_sponsored()
    assert f"{used:,} of 30,000 gas used" in capsys.readouterr().out
    session.sponsor = None
    assert find_gas_terms(open_actor()).free == own
    end(1)
    session.sponsor = "bo"
    with pytest.raises(Failure) as refused:
        act(open_actor(), pay("ada"))
    assert refused.value.label == "gas.no_sponsor" and "pays for no gas of ada" in refused.value.why


@pytest.mark.parametrize("used", [1_000, 70_000, 99_999, 100_000])
def test_a_limit_never_leaves_what_is_free_when_no_gas_is_sold(used: int) -> None:
    terms = GasTerms(0, 100_000)
    assert used <= terms.choose_limit(used) <= 100_000 and terms.compute_fee(100_000) == 0


def test_limits_and_fees() -> None:
    sold, sponsor = GasTerms(0, 100_000, 10, 1), Address(bytes(20))
    assert sold.choose_limit(100_000) == 130_000 + GAS_SPARE
    assert sold.choose_limit(TX_GAS_MAX) == TX_GAS_MAX
    assert [sold.compute_fee(gas) for gas in (100_000, 100_001, 200_000, 200_001)] == [0, 1, 1, 2]
    assert GasTerms(sponsor, 5).trial_gas == TRIAL_GAS_MIN
    assert GasTerms(0, 3 * TX_GAS_MAX).trial_gas == TX_GAS_MAX


def test_what_costs_nothing_is_not_mentioned(gateway: Caller, capsys: pytest.CaptureFixture[str]) -> None:
    say_fee(GasTerms(0, 100, PRICE, CURRENCY_NUMBER), 100, open_actor().words)
    assert capsys.readouterr().err == ""
    say_fee(GasTerms(0, 100, PRICE, CURRENCY_NUMBER), 101, open_actor().words)
    assert "0.01 CNY" in capsys.readouterr().err
