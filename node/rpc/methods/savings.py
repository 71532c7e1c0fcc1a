"""Savings as a page shows them: all accounts of a member, and the statement of one. The plain records are
there as `savings_*`; a statement is that of any account (`books.py`).
"""

from typing import Annotated, Any

import msgspec

from node.rpc.dispatch import Method
from node.rpc.forms import Form
from node.rpc.methods.books import Day, StatementForm, StatementParams, get_statement
from node.rpc.methods.params import AddressParam, At, Limit, Params
from node.rpc.service import Call
from protocol.addresses import format_address
from protocol.contracts.savings.records import (
    ACCOUNTS,
    ADDRESS_OF,
    NO_ACCOUNT,
    SAVINGS,
    TERM,
    TERM_DEPOSIT,
    get_product,
    get_savings,
)
from protocol.errors import Rejected
from protocol.money import compute_day
from protocol.transition import answer_query
from protocol.types import Seconds
from protocol.vm.view import View


class SavingsParams(Params):
    """A member's account."""

    address: AddressParam
    at: At = None


class SavingsStatementParams(Params):
    """A savings account by its number, and which rows: from a sequence on, at most so many."""

    account: Annotated[int, msgspec.Meta(ge=1, lt=1 << 32)]
    from_day: Day | None = None
    to_day: Day | None = None
    first: Annotated[int, msgspec.Meta(ge=1, lt=1 << 48)] = 1
    limit: Limit = 30
    prove: bool = False
    at: At = None


class SavingsForm(Form):
    """A savings account; `interest` is earned and not credited yet, `free` is neither locked nor waits."""

    account: int
    product: int
    product_name: str
    asset: int
    balance: str
    interest: str
    free: str
    locked: str
    waiting: str
    notice: str
    notice_day: int | None
    opened: int
    matures: int | None


class SavingsRead(Form):
    """The savings of a member on a day (of the co-op's calendar, from 1970)."""

    height: int
    as_of: int
    member: int
    accounts: list[SavingsForm]


async def get_savings_of(call: Call, params: SavingsParams) -> SavingsRead:
    """Show what a member saves."""
    height = call.state_height_of(params.at)
    seconds, offset = Seconds(call.time_ms_of(height) // 1_000), call.facts.genesis.utc_offset_seconds
    with call.state(height) as state:
        view = View(state)
        member = call.member_of(view, params.address)
        rows = answer_query(state, seconds, "savings", "accounts", (member,), None, offset)
        assert type(rows) is tuple, "it is a list"
        shown = [_show(view, row) for row in rows]
    return SavingsRead(height, compute_day(seconds, offset), member, shown)


def _show(view: View, row: Any) -> SavingsForm:
    number, _, product_number, _, _, locked, notice, notice_day, opened, matures, *_ = row
    balance, waiting, interest = row[-3:]
    product = get_product(view, product_number)
    return SavingsForm(
        number,
        product_number,
        product.name,
        product.asset,
        str(balance),
        str(interest),
        str(balance - locked - waiting),
        str(locked),
        str(waiting),
        str(notice),
        notice_day if notice else None,
        opened,
        matures or None,
    )


async def get_savings_statement(call: Call, params: SavingsStatementParams) -> StatementForm:
    """Return postings of a savings account with its running balance."""
    height = call.state_height_of(params.at)
    with call.state(height) as state:
        view = View(state)
        if ACCOUNTS.get(view, ACCOUNTS.key(params.account)) is None:
            raise Rejected(NO_ACCOUNT, "savings.account")
        product = get_product(view, get_savings(view, params.account).product)
    wanted = StatementParams(
        address=format_address(ADDRESS_OF, call.facts.hrp),
        account_class=TERM_DEPOSIT if product.kind == TERM else SAVINGS,
        asset=product.asset,
        sub=params.account,
        from_day=params.from_day,
        to_day=params.to_day,
        first=params.first,
        limit=params.limit,
        prove=params.prove,
        at=height,
    )
    return await get_statement(call, wanted)


METHODS: tuple[Method[Any], ...] = (
    Method(
        "savings_get",
        SavingsParams,
        SavingsRead,
        "What a member saves, and what of it is free, locked or waits.",
        get_savings_of,
        ("members.unknown_member", "chain.pruned"),
    ),
    Method(
        "savings_getStatement",
        SavingsStatementParams,
        StatementForm,
        "Postings of a savings account with their running balance.",
        get_savings_statement,
        ("savings.no_account", "chain.height_unavailable", "chain.pruned"),
    ),
)
