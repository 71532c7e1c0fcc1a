"""Version 2: a seat counts what it has paid and got, and a member may leave before the circle begins.

Seats of version 1 are brought up to date as they are read.
"""

from typing import Final

from coop_rosca.first import (
    CALLERS,
    CIRCLES,
    COUNTER,
    OPEN,
    PAY_OUT,
    QUERY_CIRCLE,
    QUERY_OF,
    SEATED_AT,
    end_round,
    find_circle,
    find_place,
    take_payment,
    take_place,
)
from coop_rosca.terms import (
    CIRCLE,
    ERRORS,
    EVENTS,
    FULL,
    MEMBER,
    NAME,
    NOT_SEATED,
    NUMBER,
    PAID_OUT,
    SEATS_MAX,
)
from protocol.plugin.v1 import (
    AMOUNT,
    BOOL,
    POSITIVE,
    U8,
    Address,
    Change,
    Ctx,
    Field,
    Fields,
    Invariant,
    Lookup,
    Many,
    Method,
    Owner,
    Query,
    QueryCtx,
    Record,
    Records,
    contract,
    data_key,
    fail,
    require,
    uint_key,
)


def _count(fields: Record) -> Record:
    """Schema 1 knew whether a seat had the pot; from now on pots are counted, and what was got."""
    member, paid, has_pot = fields
    return (member, paid, 1 if has_pot else 0, 0)


SEAT: Final = Records(
    NUMBER,
    3,
    "seat",
    (uint_key("circle", 32), uint_key("place", 8)),
    (
        MEMBER,
        Field("paid", U8, "last round paid"),
        Field("pots", U8),
        Field("got", AMOUNT, "since version 2 runs"),
    ),
    "Seats, in the order of the pots.",
    (Lookup(4, "by_member", ("member",), (data_key("member", 20),)),),
    schema=2,
    migrations=(_count,),
)


def _find_seat(ctx: Ctx, circle: int, place: int) -> Record:
    seat = ctx.get(SEAT, circle, place)
    if seat is None:
        fail(NOT_SEATED, None, circle)
    return seat


def _join(ctx: Ctx, member: Address, circle: int) -> int:
    place = take_place(ctx, member, circle)
    ctx.put(SEAT, (circle, place), member, 0, 0, 0)
    return place


def _pay(ctx: Ctx, member: Address, circle: int) -> int:
    place = find_place(ctx, member, circle)
    _, paid, pots, got = _find_seat(ctx, circle, place)
    rounds = take_payment(ctx, member, circle, paid)
    ctx.put(SEAT, (circle, place), member, rounds, pots, got)
    return rounds


def _pay_out(ctx: Ctx, circle: int) -> int:
    rounds, asset, pot = end_round(ctx, circle)
    member, paid, pots, got = _find_seat(ctx, circle, rounds)
    ctx.leg(member, asset, pot, circle)
    ctx.put(SEAT, (circle, rounds), member, paid, pots + 1, got + pot)
    ctx.emit(PAID_OUT, circle, rounds, member, pot)
    return pot


def _leave(ctx: Ctx, member: Address, circle: int) -> bool:
    """Give a seat back; the last one moves up into it."""
    asset, amount, seats, days, taken, rounds, due, paid = find_circle(ctx, circle)
    require(rounds == 0, FULL, seats, taken)
    place = find_place(ctx, member, circle)
    last = _find_seat(ctx, circle, taken)
    ctx.put(SEAT, (circle, place), *last)
    ctx.put(SEATED_AT, (circle, last[0]), place)
    ctx.delete(SEAT, circle, taken)
    ctx.delete(SEATED_AT, circle, member)
    ctx.put(CIRCLES, (circle,), asset, amount, seats, days, taken - 1, rounds, due, paid)
    return True


def _query_seats(ctx: QueryCtx, circle: int) -> tuple[Record, ...]:
    return tuple([(key[1], *seat) for key, seat in ctx.scan(SEAT, circle, limit=SEATS_MAX)])


def _one_pot(changes: tuple[Change, ...]) -> bool:
    for _, before, after in changes:
        if after is not None and after[2] > 1:
            return False
        if before is not None and before[2] and (after is None or after[2] < 1 or after[0] != before[0]):
            return False
    return True


CONTRACT: Final = contract(
    NUMBER,
    NAME,
    2,
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
            400,
            _pay,
            "Pay this round; returns its number.",
        ),
        Method(PAY_OUT, "pay_out", (CIRCLE,), POSITIVE, CALLERS, 400, _pay_out, "Pay the pot of this round."),
        Method(
            5,
            "leave",
            (MEMBER, CIRCLE),
            BOOL,
            (Owner("member"),),
            400,
            _leave,
            "Give a seat back, before the circle begins.",
        ),
    ),
    queries=(
        QUERY_CIRCLE,
        Query(
            "seats",
            (CIRCLE,),
            Many(Fields((Field("place", U8), *SEAT.fields)), SEATS_MAX),
            _query_seats,
            "List the seats of a circle.",
        ),
        QUERY_OF,
    ),
    events=EVENTS,
    errors=ERRORS,
    invariants=(Invariant("one_pot", SEAT, _one_pot, "Everybody gets the pot once."),),
)
