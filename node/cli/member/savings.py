"""`coop savings`: what members put aside, with notice or for a term, and how they get it back.

Everything is a call of the contract `savings`; what it asks and says is in its schema. The product's own
daily job is no business of the member who woke it, so it is not shown.
"""

from typing import Any

from cyclopts import App

from node.cli.member.acting import act, ask, describe_receipt, open_actor, open_words
from node.cli.member.cash import DEBIT, make_order
from node.cli.member.member_session import session
from node.cli.member.typed import Words
from node.rpc.amounts import format_amount
from protocol.addresses import format_address
from protocol.contracts.savings.records import (
    ADDRESS_OF,
    DEMAND,
    GROUP,
    MINIMUM,
    NOTICE,
    REGULAR,
    SAVINGS,
    TERM,
    TERM_DEPOSIT,
)
from protocol.money import date_from_days

savings_app = App(name="savings", help="Savings: what you put aside, and what it earns.")
PPM_PER_PERCENT = 10_000
SOURCES = {2010: ("balance", "余额"), 2060: ("interest", "利息")}
KINDS = {
    DEMAND: ("on demand", "活期"),
    NOTICE: ("{noticeDays} days' notice", "提前 {noticeDays} 天通知"),
    TERM: ("for {termDays} days", "定期 {termDays} 天"),
    REGULAR: (
        "in months with {monthly} put aside, from the day it is there",
        "每月存满 {monthly} 之日起，当月计息",
    ),
    GROUP: ("on demand, for groups", "活期，限团体"),
}
LOWEST = ("on the lowest balance of the period", "按期内最低余额")
MARKS = {"locked": ("locked", "锁定"), "waiting": ("waits", "排队"), "notice": ("notice", "通知")}


def _say(texts: tuple[str, str]) -> str:
    return texts[session.terminal.language == "zh"]


def _act(name: str, texts: list[str], dry_run: bool) -> None:
    actor = open_actor()
    receipt = act(actor, (actor.words.read_call(name, texts, actor.address),), dry_run=dry_run)
    own = [event for event in receipt["events"] if event["contract"] != "sched"]
    session.terminal.show(
        receipt, lambda: "\n".join(describe_receipt({**receipt, "events": own}, actor.words))
    )


@savings_app.command
def products() -> None:
    """List what members can save in, and what it earns a year."""
    client = session.client()
    words = open_words(client, session.home.chain().genesis)
    rows = client.call("savings_products")["value"]
    lines = []
    for row in rows:
        rates = client.call("savings_rates", product=row["product"])["value"][0]["rates"]
        row["rates"] = rates
        lines.append(f"{row['product']:>3}  {row['name']:<20} {_describe(row, rates, words)}")
    session.terminal.show(rows, "\n".join(lines) or _say(("there are none yet", "暂无产品")))


def _describe(row: dict[str, Any], rates: list[int], words: Words) -> str:
    asset = words.asset(row["asset"])
    parts = []
    for floor, rate in zip(row["floors"], rates, strict=True):
        percent = f"{rate // PPM_PER_PERCENT}.{rate % PPM_PER_PERCENT // 100:02} %"
        above = format_amount(int(floor), asset.decimals, asset.symbol)
        parts.append(percent + (_say((f" above {above}", f"（{above} 以上）")) if int(floor) else ""))
    monthly = format_amount(int(row["monthly"]), asset.decimals, asset.symbol)
    parts.append(_say(KINDS[row["kind"]]).format(**{**row, "monthly": monthly}))
    if row["basis"] == MINIMUM:
        parts.append(_say(LOWEST))
    return _say((", ", "，")).join(parts)


@savings_app.command(name="open")
def open_account(product: int, amount: str, /, *, dry_run: bool = False) -> None:
    """Open an account with a first deposit; also for a term.

    Args:
        product: Number: see coop savings products.
        amount: As in 100 or 100.50.
        dry_run: Sign and send nothing; show what would happen.
    """
    _act("savings.open", [str(product), amount], dry_run)


@savings_app.command
def deposit(account: int, amount: str, /, *, dry_run: bool = False) -> None:
    """Put more aside."""
    _act("savings.deposit", [str(account), amount], dry_run)


@savings_app.command
def withdraw(account: int, amount: str, /, *, dry_run: bool = False) -> None:
    """Take money back."""
    _act("savings.withdraw", [str(account), amount], dry_run)


@savings_app.command
def notice(account: int, amount: str, /, *, dry_run: bool = False) -> None:
    """Give notice of a withdrawal, where the product asks for it, in place of an older one."""
    actor = open_actor()
    given = actor.words.read_call("savings.give_notice", [str(account), amount], actor.address)
    receipt = act(actor, (given,), dry_run=dry_run)
    done = describe_receipt(receipt, actor.words)[-1]
    day = _day(receipt["results"][0])
    session.terminal.show(receipt, f"{_say((f'From {day} on.', f'自 {day} 起可取。'))}\n{done}")


@savings_app.command
def wait(account: int, amount: str, /, *, dry_run: bool = False) -> None:
    """Let a withdrawal wait until enough is liquid; 0 takes it back.

    Args:
        account: Number: see coop savings show.
        amount: All that is to wait, in place of what waited before.
        dry_run: Sign and send nothing; show what would happen.
    """
    _act("savings.queue_exit", [str(account), amount], dry_run)


@savings_app.command(name="break")
def break_term(account: int, /, *, dry_run: bool = False) -> None:
    """Take a term deposit back, with its interest; before its end less the part that is lost."""
    _act("savings.end_term", [str(account)], dry_run)


@savings_app.command
def close(account: int, /, *, dry_run: bool = False) -> None:
    """Close an account with all that it has earned."""
    _act("savings.close", [str(account)], dry_run)


@savings_app.command
def order(account: int, amount: str, first: str, /, *, every: str = "month", until: str = "") -> None:
    """Let the chain put something aside for you again and again; see also coop order list and cancel.

    Args:
        account: Number: see coop savings show.
        amount: Of each deposit.
        first: Date of the first one, as in 2030-01-31T09:00; the 31st of shorter months is their last day.
        every: once, day, week or month.
        until: Date of the last one; without end if not said.
    """
    client = session.client()
    kept = ask(client, "savings_account", account=account)
    product = ask(client, "savings_product", product=kept["product"])
    symbol = open_words(client, session.home.chain().genesis).asset(product["asset"]).symbol
    said = f"Save {amount} {symbol} in account {account} each {every}, first on {first}"
    texts = [str(account), amount]
    make_order("savings.deposit", texts, said, first, every, until, asset=product["asset"], to=ADDRESS_OF)


@savings_app.command
def show(member: str = "", /) -> None:
    """Show your accounts, or those of another member.

    Args:
        member: Contact, address or number; you without it.
    """
    client, chain = session.client(), session.home.chain()
    words = open_words(client, chain.genesis)
    who = member or format_address(session.me()[1], chain.hrp)
    rows = client.call("savings_accounts", member=words.member(who))["value"]
    lines = []
    for row in rows:
        product = ask(client, "savings_product", product=row["product"])
        lines += _show_account(row, product, words)
    session.terminal.show(rows, "\n".join(lines) or _say(("nothing is saved", "没有储蓄")))


def _show_account(row: dict[str, Any], product: dict[str, Any], words: Words) -> list[str]:
    asset = words.asset(product["asset"])

    def money(field: str) -> str:
        return format_amount(int(row[field]), asset.decimals, asset.symbol)

    lines = [f"{_say(('account', '账户'))} {row['account']}   {product['name']}   {money('balance')}"]
    lines.append(
        _say(
            (f"  earned   {money('interest')}, not credited yet", f"  利息     {money('interest')}，尚未入账")
        )
    )
    if product["kind"] == REGULAR:
        put_in, due = money("putIn"), format_amount(int(product["monthly"]), asset.decimals, asset.symbol)
        lines.append(
            _say((f"  month    {put_in} of {due} put aside", f"  本月     已存 {put_in}，应存 {due}"))
        )
    if row["matures"]:
        lines.append(f"  {_say(('ends  ', '到期'))}   {_day(row['matures'])}")
    for field, said in MARKS.items():
        if int(row[field]):
            day = _day(row["noticeDay"])
            since = _say((f" from {day} on", f"，自 {day} 起")) if field == "notice" else ""
            lines.append(f"  {_say(said):<8} {money(field)}{since}")
    return lines


def _day(day: int) -> str:
    year, month, of_month = date_from_days(day)
    return f"{year}-{month:02}-{of_month:02}"


@savings_app.command
def statement(account: int, /, *, limit: int = 20) -> None:
    """Show what was posted to a savings account, newest first, with the balance after it.

    Args:
        account: Number: see coop savings show.
        limit: Most lines.
    """
    client, chain = session.client(), session.home.chain()
    words = open_words(client, chain.genesis)
    kept = ask(client, "savings_account", account=account)
    product = ask(client, "savings_product", product=kept["product"])
    asset = words.asset(product["asset"])
    rows = client.call(
        "ledger_statement",
        account={
            "owner": format_address(ADDRESS_OF, chain.hrp),
            "class": TERM_DEPOSIT if product["kind"] == TERM else SAVINGS,
            "asset": asset.number,
            "sub": account,
        },
        limit=min(limit, 200),
    )["value"]
    lines = [
        f"{words.show_time(row['time'])}  {'-' if row['side'] == DEBIT else '+'}"
        f"{format_amount(int(row['amount']), asset.decimals):>12}  "
        f"{_source(row['contraClass']):<10} "
        f"{format_amount(int(row['balance']), asset.decimals):>14}"
        for row in rows
    ]
    session.terminal.show(rows, "\n".join(lines) or _say(("nothing yet", "暂无记录")))


def _source(contra_class: int) -> str:
    found = SOURCES.get(contra_class)
    return str(contra_class) if found is None else _say(found)
