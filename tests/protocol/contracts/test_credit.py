"""credit: seven parts that sum to a score, from the chain's own record, which paying earlier never lowers."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.codec import Value
from protocol.contracts.credit import doors
from protocol.contracts.credit import records as r
from protocol.contracts.credit.parts import (
    DECAY,
    LATENESS,
    Facts,
    Mark,
    compute_decay,
    compute_limit,
    compute_parts,
    compute_score,
    compute_weight,
    find_band,
    find_on_curve,
)
from protocol.contracts.savings.records import count_deposit_months
from protocol.errors import CallFailed, Code
from protocol.money import days_from_date
from protocol.vm.program import literal
from protocol.vm.view import View
from tests.protocol.contracts.coop_world import DAY, HASH, Coop, check_books
from tests.protocol.contracts.test_savings import call as save
from tests.protocol.contracts.test_savings import product
from tests.protocol.ledger_world import ALICE, AUTH, BOB, COOP, NONE, Person, person, program

CREDIT = 32
ASSESSOR = person("assessor")
NOTHING = Facts((), 0, 0, False, False, 0, 0, (), 0, (0,) * 7)
"""What is known of somebody who has just become a member."""


def score_of(facts: Facts) -> int:
    return compute_score(compute_parts(facts))


class Bureau(Coop):
    """Alice, Bob and an assessor, who is a member too."""

    def __init__(self) -> None:
        opened = program((AUTH, 1, NONE, (ASSESSOR.address,)))
        super().__init__(opened, program((AUTH, 4, NONE, (ASSESSOR.address, r.ASSESSOR))))
        self.numbers = {who: self.join(who, 100_000) for who in (ALICE, BOB, ASSESSOR)}
        self.gov(product((0,)))
        self.run()

    def score(self, who: Person) -> tuple[int, tuple[int, ...]]:
        found = self.ask("credit", "score", self.numbers[who])
        assert type(found) is tuple
        score, parts, as_of = found
        assert type(score) is int and type(parts) is tuple and as_of == int(self.time) // DAY
        assert score == sum([int(str(part)) for part in parts])
        with self.door() as ctx:
            assert doors.score(ctx, self.numbers[who]).score == score
        return score, tuple([int(str(part)) for part in parts])

    def pays(self, who: Person, days_late: int, principal: int = 1_000, term: int = 360) -> None:
        with self.door() as ctx:
            due = ctx.environment.day - days_late
            doors.note_row(ctx, self.numbers[who], due, principal, days_late, term, False)


# --- formulas


def test_whoever_has_no_record_begins_with_400() -> None:
    parts = compute_parts(NOTHING)
    assert [part.points for part in parts] == [140, 80, 60, 40, 40, 20, 20]
    assert compute_score(parts) == 400


def test_the_best_record_has_all_points_and_the_worst_few() -> None:
    best = Facts((Mark(0, 100, 100_000, 6),), 24, 36, True, True, 1_000, 0, ((0, 6, 0),), 3, (0,) * 7)
    assert score_of(best) == 1_000
    worst = Facts((Mark(0, 100, 0, 6),), 0, 24, False, True, 0, 1_000, ((0, 0, 6),), 0, (0,) * 7)
    assert [part.points for part in compute_parts(worst)] == [0, 0, 0, 80, 0, 15, 20]


def test_the_table_of_decay_halves_each_year_and_is_the_root_it_says() -> None:
    for months, kept in enumerate(DECAY):
        for side, holds in (
            (2 * kept - 1, -1),
            (2 * kept + 1, 1),
        ):  # within half a unit: (2k)^12 around 2^(17*12-n)
            assert (side**12 - 2 ** (17 * 12 - months)) * holds > 0
    assert [compute_decay(age) for age in (-3, 0, 12, 24, 59, 60)] == [
        65_536,
        65_536,
        32_768,
        16_384,
        2_169,
        0,
    ]


def test_the_days_of_a_loan_and_the_months_of_a_mark_count_up_to_a_most() -> None:
    weights = [compute_weight(100, 0, r.TERM_DAYS_MAX + more)[0] for more in (-1, 0, 1)]
    assert weights == [100 * (r.TERM_DAYS_MAX - 1), 100 * r.TERM_DAYS_MAX, 100 * r.TERM_DAYS_MAX]
    assert compute_decay(r.MARK_MONTHS_MAX - 1) > compute_decay(r.MARK_MONTHS_MAX) == 0


def test_a_curve_is_level_outside_and_linear_between() -> None:
    found = [find_on_curve(LATENESS, days) for days in (-5, 0, 7, 18, 30, 90, 180, 500)]
    assert found == [1_000, 1_000, 850, 706, 550, 100, 0, 0]


def test_savings_beside_debt_count_in_the_asset_where_they_are_least() -> None:
    debt = replace(NOTHING, has_borrowed=True, in_use=1)
    for ratio, points in ((0, 0), (100, 30), (200, 60), (1_000, 150), (5_000, 150)):
        assert compute_parts(replace(debt, saved_for_debt=ratio))[r.DEPTH - 1].points == points
    assert compute_parts(replace(NOTHING, saves=True))[r.DEPTH - 1].points == 150


def test_relief_counts_up_to_the_most_of_its_part() -> None:
    relief = (210, 0, 0, 0, 0, 0, 20)
    parts = compute_parts(replace(NOTHING, relief=relief))
    assert [parts[0].points, parts[6].points] == [350, 40]
    assert compute_parts(replace(NOTHING, relief=(211, 0, 0, 0, 0, 0, 0)))[0].points == 350


stands = st.tuples(st.integers(0, 70), st.integers(0, 9), st.integers(0, 9))
facts_of = st.builds(
    Facts,
    marks=st.lists(
        st.builds(
            lambda age, row, late: Mark(age, *compute_weight(row[0], late, row[1]), 1),
            st.integers(0, 70),
            st.tuples(st.integers(1, 1 << 40), st.integers(30, 400)),
            st.integers(-10, 400),
        ),
        max_size=8,
    ).map(tuple),
    deposits=st.integers(0, 24),
    months=st.integers(0, 100),
    saves=st.booleans(),
    has_borrowed=st.booleans(),
    saved_for_debt=st.integers(0, 3_000),
    in_use=st.integers(0, 1_000),
    stood=st.lists(st.tuples(st.integers(0, 70), st.integers(0, 9), st.integers(0, 9)), max_size=4).map(
        tuple
    ),
    attested=st.integers(0, 3),
    relief=st.tuples(*[st.integers(0, most) for most in r.PART_POINTS]),
)


@given(facts_of)
def test_parts_stay_within_their_most_and_sum_to_the_score(facts: Facts) -> None:
    parts = compute_parts(facts)
    assert all(0 <= part.points <= part.most for part in parts)
    assert compute_score(parts) == sum(part.points for part in parts) <= 1_000
    assert compute_parts(facts) == parts


@given(
    facts_of,
    st.integers(1, 1 << 40),
    st.integers(30, 400),
    st.integers(0, 70),
    st.integers(-40, 400),
    st.integers(0, 400),
)
def test_paying_earlier_never_lowers_the_score(
    facts: Facts, principal: int, term: int, age: int, late: int, earlier: int
) -> None:
    def add(days_late: int) -> Facts:
        return replace(facts, marks=(*facts.marks, Mark(age, *compute_weight(principal, days_late, term), 1)))

    assert score_of(add(late - earlier)) >= score_of(add(late))


@given(facts_of, st.integers(0, 1_000), st.integers(0, 3_000))
def test_owing_less_never_lowers_the_score(facts: Facts, less: int, more_saved: int) -> None:
    before = replace(facts, in_use=max(facts.in_use, 1), has_borrowed=True)
    after = replace(
        before, in_use=max(before.in_use - less, 1), saved_for_debt=before.saved_for_debt + more_saved
    )
    assert score_of(after) >= score_of(before)
    assert score_of(replace(after, in_use=0, saved_for_debt=0, saves=after.saved_for_debt > 0)) >= score_of(
        after
    )


def test_the_limit_is_the_least_of_four_and_the_starter_carries_from_400_on() -> None:
    band = find_band(r.DEFAULT_BANDS, 399)
    assert (band, find_band(r.DEFAULT_BANDS, 400)) == (r.DEFAULT_BANDS[1], r.DEFAULT_BANDS[2])
    assert compute_limit(band, 399, 1_000, 5_000, 9_000, 9_000, 9_000) == 1_000
    band = find_band(r.DEFAULT_BANDS, 400)
    assert compute_limit(band, 400, 1_000, 5_000, 9_000, 9_000, 9_000) == 5_000
    assert compute_limit(band, 400, 4_000, 5_000, 9_000, 9_000, 9_000) == 8_000
    assert compute_limit(band, 400, 4_000, 0, 7_999, 9_000, 9_000) == 7_999
    assert compute_limit(band, 400, 4_000, 0, 9_000, 7_998, 9_000) == 7_998
    assert compute_limit(band, 400, 4_000, 0, 9_000, 9_000, 7_997) == 7_997


# --- on the chain


def test_a_new_member_has_400_and_votes_and_offices_count_nothing() -> None:
    bureau = Bureau()
    assert bureau.score(ALICE) == (400, (140, 80, 60, 40, 40, 20, 20))
    assert bureau.score(ASSESSOR)[0] == 400  # holds an office


def test_rows_paid_on_time_raise_and_late_ones_lower_until_they_fade() -> None:
    bureau = Bureau()
    for _ in range(6):
        bureau.pays(ALICE, 0)
        bureau.pays(BOB, 90)
    assert (bureau.score(ALICE)[1][0], bureau.score(BOB)[1][0]) == (350, 51)  # due three months ago
    bureau.run(seconds=5 * 366 * DAY)
    assert bureau.score(ALICE)[1][0] == bureau.score(BOB)[1][0] == 140
    bureau.pays(ALICE, 0)
    view = View(bureau.state)
    assert len(list(r.MARKS.scan(view, bureau.numbers[ALICE]))) == 1  # the old month is forgotten


def test_a_mark_is_kept_as_long_as_it_counts_and_forgotten_a_month_later() -> None:
    bureau = Bureau()  # 2026-01
    bureau.pays(ALICE, 0)
    for year, month, ages in ((2030, 12, [r.MARK_MONTHS_MAX - 1, 0]), (2031, 1, [1, 0])):
        bureau.run(seconds=days_from_date(year, month, 2) * DAY - int(bureau.time))
        bureau.pays(ALICE, 0)
        kept = r.MARKS.scan(View(bureau.state), bureau.numbers[ALICE])
        months = [int(str(r.MARKS.parts(key)[1])) for key, _ in kept]
        assert [months[-1] - marked for marked in months] == ages


def test_short_loans_and_fresh_money_count_nothing() -> None:
    bureau = Bureau()
    bureau.pays(ALICE, 0, term=r.TERM_DAYS_MIN - 1)
    with bureau.door() as ctx:
        doors.note_row(ctx, bureau.numbers[ALICE], 1, 1_000, 0, 360, True)
        doors.undo_row(ctx, bureau.numbers[ALICE], 1, 1_000, 0, 360, True)
    assert bureau.score(ALICE)[0] == 400
    bureau.pays(ALICE, 0, term=r.TERM_DAYS_MIN)
    assert bureau.score(ALICE)[0] > 400


def test_a_reversed_payment_is_as_if_it_had_not_been() -> None:
    bureau = Bureau()
    bureau.pays(ALICE, 5)
    before = bureau.score(ALICE)
    due = int(bureau.time) // DAY - 40
    bureau.pays(ALICE, 40, 777)
    assert bureau.score(ALICE) != before
    bureau.run(seconds=DAY - 1)
    with bureau.door() as ctx:
        doors.undo_row(ctx, bureau.numbers[ALICE], due, 777, 40, 360, False)
    assert bureau.score(ALICE) == before


def test_what_is_overdue_counts_before_it_is_paid_and_worse_every_day() -> None:
    bureau = Bureau()
    number, today = bureau.numbers[ALICE], int(bureau.time) // DAY
    with bureau.door() as ctx:
        doors.note_loan(ctx, number, 1, COOP, 1_000, 800, 360, 200, today)
    seen = []
    for _ in range(4):
        seen.append(bureau.score(ALICE)[1][0])
        bureau.run(seconds=60 * DAY)
    assert seen == sorted(seen, reverse=True) and seen[0] > 140 > seen[-1]
    waiting = bureau.score(ALICE)[1][0]
    with bureau.door() as ctx:
        doors.note_loan(ctx, number, 1, COOP, 1_000, 0, 360)
        doors.note_row(ctx, number, today, 200, ctx.environment.day - today, 360, False)
    assert bureau.score(ALICE)[1][0] == waiting


def test_debt_stands_beside_savings_and_use_is_that_of_the_fullest_loan() -> None:
    bureau = Bureau()
    number = bureau.numbers[ALICE]
    bureau.do(ALICE, save(3, ALICE, 1, 500))
    with bureau.door() as ctx:
        doors.note_loan(ctx, number, 1, COOP, 1_000, 100, 360)
        doors.note_loan(ctx, number, 2, COOP, 2_000, 900, 360)
    assert bureau.score(ALICE)[1][2] == 120  # 500 by 1,000
    rows = bureau.ask("credit", "explain", number)
    assert type(rows) is tuple and rows[5] == (6, 41, 50, 820, 1_000, 0, 450, 1)
    with bureau.door() as ctx:
        doors.note_loan(ctx, number, 1, COOP, 1_000, 0, 360)
        doors.note_loan(ctx, number, 2, COOP, 2_000, 0, 360)
    assert bureau.score(ALICE)[1][2] == 150
    check_books(bureau)


def test_so_many_loans_are_looked_at() -> None:
    bureau = Bureau()
    with bureau.door() as ctx:
        for loan in range(1, r.LOANS_MAX + 1):
            doors.note_loan(ctx, bureau.numbers[BOB], loan, COOP, 10, 10, 360)
        doors.note_loan(ctx, bureau.numbers[BOB], 1, COOP, 10, 9, 360)
        with pytest.raises(CallFailed) as failed:
            doors.note_loan(ctx, bureau.numbers[BOB], 1_000, COOP, 10, 10, 360)
    assert failed.value.code == r.TOO_MANY


def test_guarantees_count_as_their_loans_end_and_half_within_a_ring() -> None:
    bureau = Bureau()
    with bureau.door() as ctx:
        doors.note_guarantee(ctx, bureau.numbers[ALICE], True, False)
        doors.note_guarantee(ctx, bureau.numbers[ALICE], False, True)
        for _ in range(3):
            doors.note_guarantee(ctx, bureau.numbers[BOB], True, False)
    rows = bureau.ask("credit", "explain", bureau.numbers[ALICE])
    assert type(rows) is tuple and rows[4] == (5, 53, 100, 666, 500, 0, 2, 1)
    assert bureau.score(BOB)[1][4] == 100


def test_months_with_a_deposit_are_counted_once_and_for_two_years() -> None:
    bureau = Bureau()
    number = bureau.numbers[ALICE]
    (account,) = bureau.do(ALICE, save(3, ALICE, 1, 10))
    for _ in range(5):
        bureau.do(ALICE, save(4, ALICE, account, 10))
        bureau.run(seconds=31 * DAY)
        bureau.do(ALICE, save(4, ALICE, account, 10))
    view, today = View(bureau.state), int(bureau.time) // DAY
    assert count_deposit_months(view, number, today) == 6
    assert (
        bureau.score(ALICE)[1][1] == 179
    )  # six months of six, of which five are evidence: 80 / 6 + 200 * 5 / 6
    assert count_deposit_months(view, number, today + 700) in (1, 2)
    assert count_deposit_months(view, number, today + 800) == 0
    assert count_deposit_months(view, bureau.numbers[BOB], today) == 0


# --- attestations and disputes


def attest(number: int, kind: int, until: int) -> Value:
    return (CREDIT, 2, 0, (number, kind, until, HASH))


def test_an_assessor_attests_until_a_day_and_never_for_himself() -> None:
    bureau = Bureau()
    number, today = bureau.numbers[ALICE], int(bureau.time) // DAY
    assert bureau.code(BOB, attest(number, r.INCOME, today)) == Code.ROLE
    assert bureau.code(ASSESSOR, attest(bureau.numbers[ASSESSOR], 1, today)) == r.OWN_CASE
    for kind in (r.INCOME, r.COMMUNITY, r.COURSES):
        bureau.do(ASSESSOR, attest(number, kind, today + 10))
    assert bureau.score(ALICE)[1][6] == 50
    bureau.do(ASSESSOR, attest(number, r.COURSES, today - 1))
    assert bureau.score(ALICE)[1][6] == 40
    bureau.run(seconds=11 * DAY)
    assert bureau.score(ALICE)[1][6] == 20


def test_a_dispute_is_answered_once_and_can_give_points_back_for_a_time() -> None:
    bureau = Bureau()
    (number,) = bureau.do(ALICE, (CREDIT, 3, 0, (ALICE.address, r.PUNCTUALITY, HASH)))

    def answer(relief: int, days: int, dispute: Value = number) -> Value:
        return (CREDIT, 4, 0, (dispute, HASH, relief, days))

    assert bureau.code(ALICE, answer(1, 1)) == Code.ROLE
    assert bureau.code(ASSESSOR, answer(1, 1, 99)) == r.NO_DISPUTE
    assert bureau.code(ASSESSOR, answer(351, 1)) == r.TERMS
    assert bureau.code(ASSESSOR, answer(350, 0)) == r.TERMS
    bureau.do(ASSESSOR, answer(60, r.RELIEF_DAYS_MAX))
    assert bureau.code(ASSESSOR, answer(60, 1)) == r.ANSWERED
    assert bureau.score(ALICE)[1][0] == 200
    assert bureau.ask("credit", "dispute", number) == (bureau.numbers[ALICE], 1, HASH, HASH, 60)
    assert bureau.ask("credit", "dispute", 99) is None
    bureau.run(seconds=(r.RELIEF_DAYS_MAX + 1) * DAY)
    assert bureau.score(ALICE)[1][0] == 140
    (own,) = bureau.do(ASSESSOR, (CREDIT, 3, 0, (ASSESSOR.address, 1, HASH)))
    assert bureau.code(ASSESSOR, answer(1, 1, own)) == r.OWN_CASE


def test_a_member_has_so_many_open_disputes() -> None:
    bureau = Bureau()
    ask: Value = (CREDIT, 3, 0, (ALICE.address, 1, HASH))
    for _ in range(r.DISPUTES_OPEN_MAX):
        bureau.do(ALICE, ask)
    assert bureau.code(ALICE, ask) == r.TOO_MANY
    bureau.do(ASSESSOR, (CREDIT, 4, 0, (1, HASH, 0, 1)))
    bureau.do(ALICE, ask)


def test_the_table_of_an_asset_says_what_a_score_is_worth() -> None:
    bureau = Bureau()
    number = bureau.numbers[ALICE]
    bureau.do(ALICE, save(3, ALICE, 1, 500))
    score = bureau.score(ALICE)[0]
    bands: Value = ((0, 0, 9), (score, 30_000, 5), (score + 1, 40_000, 1))
    bad = bureau.gov_outcome((CREDIT, 1, NONE, (COOP, literal(((1, 0, 0),)), 0)))
    assert bad.code == r.TERMS
    assert bureau.gov_outcome((CREDIT, 1, NONE, (COOP, literal(((0, 0, 0), (0, 0, 0))), 0))).code == r.TERMS
    bureau.gov((CREDIT, 1, NONE, (COOP, literal(bands), 1_501)))
    assert bureau.ask("credit", "bands", COOP) == (bands, 1_501)
    assert bureau.ask("credit", "offer", number, COOP) == (1_501, 30_000, 5)
    with bureau.door() as ctx:
        assert doors.limit(ctx, number, COOP, 9_999, 1_400, 9_999) == doors.Offer(1_400, 5, score)
    assert bureau.ask("credit", "bands", 2) == (r.DEFAULT_BANDS, 0)
