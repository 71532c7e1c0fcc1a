"""lending: what every product that can be made promises of every loan, and what such a loan costs a year."""

from collections import Counter
from random import Random
from typing import Any

import pytest

from protocol.contracts.lending.product import Product
from protocol.contracts.lending.records import RATE_MAX_PPM, TERMS, Instalment
from protocol.contracts.lending.terms import check_rate, compute_fee, compute_rate, make_rows
from protocol.errors import CallFailed, Code
from protocol.finance.annual_rate import RATE_MAX_PPM as ANNUAL_MAX_PPM
from protocol.finance.annual_rate import TOLERANCE_PPM
from protocol.finance.schedule import Method
from protocol.vm.view import MemoryState, View
from tests.protocol.contracts.test_lending import PRODUCT
from tests.protocol.drawn_products import ADDONS_PPM, draw_loan, draw_product, draw_start

LOANS = 100_000
PARTS = 8
LOANS_CI = 400
AT_ANY_DAY = (Method.BULLET, Method.BALLOON, Method.CUSTOM)
"""Methods whose last row may be what the product says."""


def draw(random: Random) -> tuple[Product, int, int, int]:
    """Draw a product at the rate that a score gets, with (principal, rows, day of the disbursement)."""
    terms = draw_product(random)
    values: dict[str, Any] = {**PRODUCT, **terms}
    if values["by_score"]:
        values["rate_ppm"] = min(values["rate_ppm"] + random.choice(ADDONS_PPM), RATE_MAX_PPM)
    return Product(**values), *draw_loan(random, terms), draw_start(random)


def check_rows(product: Product, principal: int, start: int, rows: tuple[Instalment, ...]) -> None:
    """What contracts.md 9 asks of every loan."""
    assert sum(row.principal for row in rows) == principal
    assert min(min(row.principal, row.interest, row.deferred) for row in rows) >= 0
    days = [start, *(row.due_day for row in rows)]
    assert days == sorted(set(days))
    held = min(product.grace_interest, len(rows) - 1)
    assert not any(row.interest for row in rows[:held])
    if product.interest_free >= len(rows) or not product.rate_ppm:
        assert not any(row.interest or row.deferred for row in rows)
    assert all(row.deferred == 0 for row in rows[held:]) or product.method == Method.BULLET
    others = [row.principal + row.interest for row in rows[product.grace_principal : -1]]
    if others and product.method not in AT_ANY_DAY:
        assert rows[-1].principal <= 2 * max(others), (product, rows)


def check_cost(product: Product, principal: int, rows: tuple[Instalment, ...]) -> bool:
    """Check what a loan costs a year, by the change of sign that the chain sees; False: it has no rate."""
    view = View(MemoryState())
    fee, total = compute_fee(product, principal), sum(row.principal + row.interest for row in rows)
    assert total >= principal > fee >= 0
    rate = compute_rate(product, principal, rows)
    if rate is None:
        wrong = [0, product.rate_ppm, ANNUAL_MAX_PPM]
    else:
        assert rate == 0 or total > principal or fee
        for right in (max(rate - TOLERANCE_PPM + 1, 0), rate, rate + TOLERANCE_PPM - 1):
            check_rate(view, product, principal, rows, right)
        wrong = [rate + TOLERANCE_PPM + 1, rate - TOLERANCE_PPM - 1]
    for annual_ppm in [ppm for ppm in wrong if ppm >= 0]:
        with pytest.raises(CallFailed) as refused:
            check_rate(view, product, principal, rows, annual_ppm)
        assert refused.value.code == TERMS
    return rate is not None


def check_loans(seed: int, count: int) -> Counter[str]:
    """Draw so many loans of as many products, and check each; returns what came of them."""
    random, done = Random(seed), Counter[str]()
    for _ in range(count):
        product, principal, wanted, start = draw(random)
        try:
            rows = make_rows(product, principal, wanted, start)
        except CallFailed as failed:
            assert failed.code == Code.LIMIT and failed.reason is not None
            assert failed.reason.rule in ("schedule.last_instalment", "schedule.instalment_unit"), failed
            done["refused"] += 1
            continue
        assert len(rows) == wanted
        check_rows(product, principal, start, rows)
        done["made" if check_cost(product, principal, rows) else "no rate"] += 1
        done[Method(product.method).name] += 1
    assert done["refused"] < count // 20 and done["no rate"] < count // 20, done
    assert all(done[method.name] > count // 20 for method in Method), done
    return done


def test_loans_of_every_product_repay_what_was_lent_and_cost_what_is_said() -> None:
    check_loans(LOANS, LOANS_CI)


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(PARTS))
def test_a_hundred_thousand_loans_of_every_product(seed: int) -> None:
    check_loans(seed, LOANS // PARTS)
