"""Priorities: members spread equal credits over options, and the options are ranked by what that bought.

A participatory budget. n votes for one option cost n * n credits, so who cares much about one thing says so
at a price. It ranks and moves no money: the budget that follows is a proposal of its own.

*Source*: contracts.md 5.6.
"""

from typing import Final, TypeAlias

from protocol.codec import Value
from protocol.contracts.members.records import get_by_account
from protocol.contracts.voting.ballots import find_open, take_part
from protocol.contracts.voting.records import ID
from protocol.elections.quadratic import compute_votes
from protocol.types import Address
from protocol.vm.context import Context, fail
from protocol.vm.keys import uint_key
from protocol.vm.kinds import U8, U63, Field, Fields, Integer, Many, Text
from protocol.vm.tables import SCHEMA, Table
from protocol.vm.view import View

NO_PRIORITIES: Final = 2222
CREDITS: Final = 2223

OPTIONS_MAX: Final = 32
CREDITS_MAX: Final = 1_000_000

OPTION: Final = Integer("option", 0, OPTIONS_MAX - 1)
OPTION_NAME: Final = Text("option", 64)
OPTION_NAMES: Final = Many(OPTION_NAME, OPTIONS_MAX, 2)
CREDIT_COUNT: Final = Integer("credits", 1, CREDITS_MAX)
SPREAD: Final = Many(Fields((Field("option", OPTION), Field("credits", CREDIT_COUNT))), OPTIONS_MAX, 1)

PrioritiesRow: TypeAlias = tuple[int, int, int]
OptionRow: TypeAlias = tuple[int, str, int]
SpreadRow: TypeAlias = tuple[int, tuple[tuple[int, int], ...]]

PRIORITIES: Final[Table[PrioritiesRow]] = Table(
    ID,
    20,
    "priorities",
    (uint_key("proposal", 32),),
    (Field("credits", CREDIT_COUNT, "of each member"), Field("options", U8)),
    doc="What members rank.",
)
OPTIONS: Final[Table[OptionRow]] = Table(
    ID,
    21,
    "option",
    (uint_key("proposal", 32), uint_key("option", 8)),
    (Field("name", OPTION_NAME), Field("votes", U63, "in thousandths")),
    doc="Options, with what credits have bought for them.",
)
SPREADS: Final[Table[SpreadRow]] = Table(
    ID,
    22,
    "spread",
    (uint_key("proposal", 32), uint_key("member", 32)),
    (Field("spread", SPREAD),),
    doc="Who put how many credits where.",
)


def open_priorities(view: View, number: int, names: tuple[str, ...], credit_count: int) -> None:
    """Make a proposal one that ranks options."""
    PRIORITIES.put(view, PRIORITIES.key(number), (SCHEMA, credit_count, len(names)))
    for option, name in enumerate(names):
        OPTIONS.put(view, OPTIONS.key(number, option), (SCHEMA, name, 0))


def spread(ctx: Context, account: Address, number: int, wanted: tuple[tuple[int, int], ...]) -> Value:
    """Spread one's credits, or spread them anew where the policy allows it; returns what is left of them."""
    view = ctx.view
    proposal, policy = find_open(ctx, number)
    row = PRIORITIES.need(view, PRIORITIES.key(number), NO_PRIORITIES, "voting.priorities", number)
    options = [option for option, _ in wanted]
    if len(set(options)) != len(options) or max(options) >= row[2]:
        fail(CREDITS, "voting.options", row[2], max(options))
    spent = sum([amount for _, amount in wanted])
    if spent > row[1]:
        fail(CREDITS, "voting.credits", row[1], spent)
    member, _ = get_by_account(view, account)
    key = SPREADS.key(number, member)
    old = SPREADS.get(view, key)
    take_part(ctx, number, proposal, policy, member, is_first=old is None)
    if old is not None:
        _add(view, number, old[1], -1)
    _add(view, number, wanted, 1)
    SPREADS.put(view, key, (SCHEMA, wanted))
    return row[1] - spent


def _add(view: View, number: int, wanted: tuple[tuple[int, int], ...], sign: int) -> None:
    for option, amount in wanted:
        key = OPTIONS.key(number, option)
        row = OPTIONS.get(view, key)
        assert row is not None, "options are fixed when they are put to the vote"
        OPTIONS.put(view, key, (SCHEMA, row[1], row[2] + sign * compute_votes(amount)))


def list_ranking(view: View, number: int) -> tuple[tuple[int, str, int], ...]:
    """List (option, name, votes in thousandths), the most wanted first, ties in the order of the options."""
    found = [(option, row[1], row[2]) for option, (_, row) in enumerate(OPTIONS.scan(view, number))]
    return tuple(sorted(found, key=lambda item: (-item[2], item[0])))
