"""`coop savings`: what members put aside, with notice or for a term, and how they get it back.

Everything is a call of the contract `savings`; what it asks and says is in its schema.
"""

from typing import Any

from cyclopts import App

from node.cli.acting import act, act_and_show, ask, describe_receipt, open_actor, open_words
from node.cli.cash import DEBIT, make_order
from node.cli.member_session import session
from node.cli.typed import Words, words_of
from node.rpc.amounts import format_amount
from protocol.addresses import format_address
from protocol.contracts.savings.records import (
    ADDRESS_OF,
    NOTICE,
    PRODUCT_KIND,
    SAVINGS,
    TERM,
    TERM_DEPOSIT,
)
from protocol.money import date_from_days

savings_app = App(name="savings", help="Savings: what you put aside, and what it earns.")
PPM_PER_PERCENT = 10_000
SOURCES = {2010: "balance", 2060: "interest"}


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
    session.terminal.show(rows, "\n".join(lines) or "there are none yet")


def _describe(row: dict[str, Any], rates: list[int], words: Words) -> str:
    asset = words.asset(row["asset"])
    parts = []
    for floor, rate in zip(row["floors"], rates, strict=True):
        percent = f"{rate // PPM_PER_PERCENT}.{rate % PPM_PER_PERCENT // 100:02} %"
        above = f" above {format_amount(int(floor), asset.decimals, asset.symbol)}" if int(floor) else ""
        parts.append(percent + above)
    kind = {NOTICE: f", {row['noticeDays']} days' notice", TERM: f", for {row['termDays']} days"}
    return ", ".join(parts) + kind.get(row["kind"], f", {words_of(PRODUCT_KIND)[row['kind']]}")


@savings_app.command(name="open")
def open_account(product: int, amount: str, /, *, dry_run: bool = False) -> None:
    """Open an account with a first deposit; also for a term.

    Args:
        product: Number: see coop savings products.
        amount: As in 100 or 100.50.
        dry_run: Sign and send nothing; show what would happen.
    """
    act_and_show([("savings.open", [str(product), amount])], dry_run=dry_run)


@savings_app.command
def deposit(account: int, amount: str, /, *, dry_run: bool = False) -> None:
    """Put more aside."""
    act_and_show([("savings.deposit", [str(account), amount])], dry_run=dry_run)


@savings_app.command
def withdraw(account: int, amount: str, /, *, dry_run: bool = False) -> None:
    """Take money back."""
    act_and_show([("savings.withdraw", [str(account), amount])], dry_run=dry_run)


@savings_app.command
def notice(account: int, amount: str, /, *, dry_run: bool = False) -> None:
    """Give notice of a withdrawal, where the product asks for it, in place of an older one."""
    actor = open_actor()
    given = actor.words.read_call("savings.give_notice", [str(account), amount], actor.address)
    receipt = act(actor, (given,), dry_run=dry_run)
    done = describe_receipt(receipt, actor.words)[-1]
    session.terminal.show(receipt, f"From {_day(receipt['results'][0])} on.\n{done}")


@savings_app.command
def wait(account: int, amount: str, /, *, dry_run: bool = False) -> None:
    """Let a withdrawal wait until enough is liquid; 0 takes it back.

    Args:
        account: Number: see coop savings show.
        amount: All that is to wait, in place of what waited before.
        dry_run: Sign and send nothing; show what would happen.
    """
    act_and_show([("savings.queue_exit", [str(account), amount])], dry_run=dry_run)


@savings_app.command(name="break")
def break_term(account: int, /, *, dry_run: bool = False) -> None:
    """Take a term deposit back, with its interest; before its end less the part that is lost."""
    act_and_show([("savings.end_term", [str(account)])], dry_run=dry_run)


@savings_app.command
def close(account: int, /, *, dry_run: bool = False) -> None:
    """Close an account with all that it has earned."""
    act_and_show([("savings.close", [str(account)])], dry_run=dry_run)


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
    session.terminal.show(rows, "\n".join(lines) or "nothing is saved")


def _show_account(row: dict[str, Any], product: dict[str, Any], words: Words) -> list[str]:
    asset = words.asset(product["asset"])

    def money(field: str) -> str:
        return format_amount(int(row[field]), asset.decimals, asset.symbol)

    lines = [f"account {row['account']}   {product['name']}   {money('balance')}"]
    lines.append(f"  earned   {money('interest')}, not credited yet")
    if row["matures"]:
        lines.append(f"  ends     {_day(row['matures'])}")
    for field, said in (("locked", "locked"), ("waiting", "waits"), ("notice", "notice")):
        if int(row[field]):
            since = f" from {_day(row['noticeDay'])} on" if field == "notice" else ""
            lines.append(f"  {said:<8} {money(field)}{since}")
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
        f"{SOURCES.get(row['contraClass'], str(row['contraClass'])):<10} "
        f"{format_amount(int(row['balance']), asset.decimals):>14}"
        for row in rows
    ]
    session.terminal.show(rows, "\n".join(lines) or "nothing yet")
