"""Version 1: open a circle, take a seat, pay each round, get the pot in the order of the seats.

A circle begins when its last seat is taken. A round ends when its time is over and everybody has paid; then
the chain pays the pot by itself, and anybody may ask for it as well. Who does not pay holds the others up,
and nobody's money is at risk for longer than one round.
"""

from typing import Any, Final

from coop_rosca.terms import (
    BEGAN,
    CIRCLE,
    DAYS,
    ERRORS,
    EVENTS,
    FULL,
    MEMBER,
    NAME,
    NO_CIRCLE,
    NOT_BEGUN,
    NOT_SEATED,
    NUMBER,
    OVER,
    PAID,
    PAID_OUT,
    SEATED,
    SEATS,
    SEATS_MAX,
    TOO_EARLY,
    UNPAID,
)
from protocol.plugin.v1 import (
    ADDRESS,
    ASSET,
    BOOL,
    POSITIVE,
    SECONDS,
    SECONDS_PER_DAY,
    U8,
    U32,
    Address,
    Change,
    Ctx,
    Field,
    Fields,
    Integer,
    Invariant,
    Lookup,
    Many,
    Maybe,
    Method,
    Owner,
    Query,
    QueryCtx,
    Record,
    Records,
    Signed,
    System,
    contract,
    data_key,
    fail,
    require,
    uint_key,
)

AMOUNT_MAX: Final = (1 << 55) - 1
AMOUNT: Final = Field("amount", Integer("payment", 1, AMOUNT_MAX), "that each member pays each round")
PAY_OUT: Final = 4

CIRCLES: Final = Records(
    NUMBER,
    1,
    "circle",
    (uint_key("circle", 32),),
    (
        Field("asset", ASSET),
        AMOUNT,
        SEATS,
        DAYS,
        Field("taken", U8, "seats that are taken"),
        Field("round", U8, "0: it waits for members; more than the seats: it is over"),
        Field("due", SECONDS, "end of the round"),
        Field("paid", U8, "members that have paid this round"),
    ),
    "Saving circles.",
)
SEATED_AT: Final = Records(
    NUMBER,
    2,
    "seated_at",
    (uint_key("circle", 32), data_key("member", 20)),
    (Field("place", U8),),
    "Which seat a member has.",
)
SEAT: Final = Records(
    NUMBER,
    3,
    "seat",
    (uint_key("circle", 32), uint_key("place", 8)),
    (MEMBER, Field("paid", U8, "last round paid"), Field("has_pot", BOOL)),
    "Seats, in the order of the pots.",
    (Lookup(4, "by_member", ("member",), (data_key("member", 20),)),),
)
COUNTER: Final = Records(NUMBER, 5, "counter", (), (Field("circles", U32),), "Number of the newest circle.")


def find_circle(ctx: QueryCtx, circle: int) -> Record:
    found = ctx.get(CIRCLES, circle)
    if found is None:
        fail(NO_CIRCLE, None, circle)
    return found


def open_circle(ctx: Ctx, asset: int, amount: int, seats: int, days: int) -> int:
    counter = ctx.get(COUNTER)
    circle = 1 if counter is None else counter[0] + 1
    ctx.put(COUNTER, (), circle)
    ctx.open(asset, circle)
    ctx.put(CIRCLES, (circle,), asset, amount, seats, days, 0, 0, 0, 0)
    return circle


def take_place(ctx: Ctx, member: Address, circle: int) -> int:
    asset, amount, seats, days, taken, rounds, due, _ = find_circle(ctx, circle)
    require(taken < seats, FULL, seats, taken + 1)
    require(ctx.get(SEATED_AT, circle, member) is None, SEATED, None, circle)
    ctx.put(SEATED_AT, (circle, member), taken + 1)
    if taken + 1 == seats:
        rounds, due = 1, ctx.time + days * SECONDS_PER_DAY
        ctx.at(due, PAY_OUT, circle)
        ctx.emit(BEGAN, circle, seats)
    ctx.put(CIRCLES, (circle,), asset, amount, seats, days, taken + 1, rounds, due, 0)
    return int_of(taken) + 1


def int_of(value: Any) -> int:
    number: int = value
    return number


def find_place(ctx: Ctx, member: Address, circle: int) -> int:
    seated = ctx.get(SEATED_AT, circle, member)
    if seated is None:
        fail(NOT_SEATED, None, circle)
    return int_of(seated[0])


def take_payment(ctx: Ctx, member: Address, circle: int, last_paid: int) -> int:
    """Collect a payment for the round that runs; returns the round."""
    asset, amount, seats, days, taken, rounds, due, paid = find_circle(ctx, circle)
    require(rounds > 0, NOT_BEGUN, seats, taken)
    require(rounds <= seats, OVER, seats, rounds)
    require(last_paid < rounds, PAID, None, rounds)
    ctx.collect(member, asset, amount, circle)
    ctx.put(CIRCLES, (circle,), asset, amount, seats, days, taken, rounds, due, paid + 1)
    return int_of(rounds)


def end_round(ctx: Ctx, circle: int) -> tuple[int, int, int]:
    """End a round; returns it with the asset and the pot, which the caller pays."""
    asset, amount, seats, days, taken, rounds, due, paid = find_circle(ctx, circle)
    require(rounds > 0, NOT_BEGUN, seats, taken)
    require(rounds <= seats, OVER, seats, rounds)
    require(ctx.time >= due, TOO_EARLY, due, ctx.time)
    require(paid == seats, UNPAID, seats, paid)
    following = ctx.time + days * SECONDS_PER_DAY
    if rounds < seats:
        ctx.at(following, PAY_OUT, circle)
    ctx.put(CIRCLES, (circle,), asset, amount, seats, days, taken, rounds + 1, following, 0)
    return int_of(rounds), int_of(asset), amount * seats


def _join(ctx: Ctx, member: Address, circle: int) -> int:
    place = take_place(ctx, member, circle)
    ctx.put(SEAT, (circle, place), member, 0, False)
    return place


def _pay(ctx: Ctx, member: Address, circle: int) -> int:
    place = find_place(ctx, member, circle)
    seat = ctx.get(SEAT, circle, place)
    if seat is None:
        fail(NOT_SEATED, None, circle)
    rounds = take_payment(ctx, member, circle, seat[1])
    ctx.put(SEAT, (circle, place), member, rounds, seat[2])
    return rounds


def _pay_out(ctx: Ctx, circle: int) -> int:
    rounds, asset, pot = end_round(ctx, circle)
    seat = ctx.get(SEAT, circle, rounds)
    if seat is None:
        fail(NOT_SEATED, None, circle)
    ctx.leg(seat[0], asset, pot, circle)
    ctx.put(SEAT, (circle, rounds), seat[0], seat[1], True)
    ctx.emit(PAID_OUT, circle, rounds, seat[0], pot)
    return pot


def _query_circle(ctx: QueryCtx, circle: int) -> Record | None:
    return ctx.get(CIRCLES, circle)


def _query_seats(ctx: QueryCtx, circle: int) -> tuple[Record, ...]:
    return tuple([(key[1], *seat) for key, seat in ctx.scan(SEAT, circle, limit=SEATS_MAX)])


def _query_of(ctx: QueryCtx, member: Address) -> tuple[int, ...]:
    return tuple([int_of(key[0]) for key, _ in ctx.find(SEAT, "by_member", member)])


def _one_pot(changes: tuple[Change, ...]) -> bool:
    """Nobody loses the mark of his pot, gets it twice, or gives up a seat after it."""
    for _, before, after in changes:
        if before is not None and before[2] and (after is None or not after[2] or after[0] != before[0]):
            return False
    return True


OPEN: Final = Method(
    1,
    "open",
    (Field("asset", ASSET), AMOUNT, SEATS, DAYS),
    CIRCLE.kind,
    (Signed(),),
    120,
    open_circle,
    "Open a circle; returns its number.",
)
CALLERS: Final = (Signed(), System("sched:rosca"))
QUERY_CIRCLE: Final = Query(
    "circle", (CIRCLE,), Maybe(Fields(CIRCLES.fields)), _query_circle, "Return a circle."
)
QUERY_OF: Final = Query(
    "of", (MEMBER,), Many(CIRCLE.kind, 100), _query_of, "List the circles in which a member has a seat."
)

CONTRACT: Final = contract(
    NUMBER,
    NAME,
    1,
    "Saving circles: everybody pays every round, and everybody gets the pot once.",
    records=(CIRCLES, SEATED_AT, SEAT, COUNTER),
    methods=(
        OPEN,
        Method(
            2, "join", (MEMBER, CIRCLE), U8, (Owner("member"),), 400, _join, "Take a seat; returns its place."
        ),
        Method(
            3,
            "pay",
            (MEMBER, CIRCLE),
            U8,
            (Owner("member"),),
            700,
            _pay,
            "Pay this round; returns its number.",
        ),
        Method(PAY_OUT, "pay_out", (CIRCLE,), POSITIVE, CALLERS, 400, _pay_out, "Pay the pot of this round."),
    ),
    queries=(
        QUERY_CIRCLE,
        Query(
            "seats",
            (CIRCLE,),
            Many(
                Fields(
                    (Field("place", U8), Field("member", ADDRESS), Field("paid", U8), Field("has_pot", BOOL))
                ),
                SEATS_MAX,
            ),
            _query_seats,
            "List the seats of a circle.",
        ),
        QUERY_OF,
    ),
    events=EVENTS,
    errors=ERRORS,
    invariants=(Invariant("one_pot", SEAT, _one_pot, "Everybody gets the pot once."),),
)
