"""What both versions of the saving circle have in common: its number, limits, errors and events."""

from typing import Final

from protocol.plugin.v1 import (
    ADDRESS,
    POSITIVE,
    U8,
    ContractId,
    ErrorType,
    EventType,
    Field,
    Integer,
)

NUMBER: Final = ContractId(1_048)
NAME: Final = "rosca"
SEATS_MAX: Final = 50
DAYS_MAX: Final = 366

CIRCLE: Final = Field("circle", Integer("circle", 1, (1 << 32) - 1))
MEMBER: Final = Field("member", ADDRESS)
SEATS: Final = Field("seats", Integer("seats", 2, SEATS_MAX), "members, and rounds")
DAYS: Final = Field("days", Integer("days", 1, DAYS_MAX), "from one round to the next")

NO_CIRCLE: Final = ErrorType(104_801, "NO_CIRCLE", "There is no such circle.")
FULL: Final = ErrorType(104_802, "FULL", "The circle is full, and has begun.")
SEATED: Final = ErrorType(104_803, "SEATED", "The member has a seat in this circle already.")
NOT_SEATED: Final = ErrorType(104_804, "NOT_SEATED", "The member has no seat in this circle.")
NOT_BEGUN: Final = ErrorType(104_805, "NOT_BEGUN", "The circle waits for members.")
PAID: Final = ErrorType(104_806, "PAID", "The member has paid this round.")
UNPAID: Final = ErrorType(104_807, "UNPAID", "Somebody has not paid this round.")
TOO_EARLY: Final = ErrorType(104_808, "TOO_EARLY", "The round is not over.")
OVER: Final = ErrorType(104_809, "OVER", "Every member had the pot: the circle is over.")

ERRORS: Final = (
    NO_CIRCLE,
    FULL,
    SEATED,
    NOT_SEATED,
    NOT_BEGUN,
    PAID,
    UNPAID,
    TOO_EARLY,
    OVER,
)

BEGAN: Final = EventType(NUMBER, 1, "began", (CIRCLE, SEATS), "The last seat of a circle was taken.")
PAID_OUT: Final = EventType(
    NUMBER,
    2,
    "paid_out",
    (CIRCLE, Field("round", U8), MEMBER, Field("pot", POSITIVE)),
    "A member has got the pot.",
)
EVENTS: Final = (BEGAN, PAID_OUT)
