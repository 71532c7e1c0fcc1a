"""Cash over the counter, payments that wait or come back every month, and the statement of an account."""

from typing import Any

from cyclopts import App

from node.cli.member.acting import (
    Actor,
    act,
    act_and_show,
    ask,
    ask_all,
    describe_receipt,
    name_of,
    open_actor,
    open_words,
)
from node.cli.member.member_session import session
from node.cli.member.statements import verify_statement
from node.cli.member.typed import NOTHING, find_method, pin_program
from node.cli.terminal import Exit, Failure
from node.rpc.amounts import format_amount
from protocol import codec
from protocol.addresses import format_address, parse_address
from protocol.codec import Value
from protocol.types import Address
from protocol.vm.program import literal

cash_app = App(name="cash", help="Cash at the counter: for cashiers, and for members who want some.")
escrow_app = App(name="escrow", help="Money set aside until what was agreed has happened.")
order_app = App(name="order", help="Standing orders: payments that the chain makes by itself.")

JOB_GAS = 100_000
NO_PARAMETERS = codec.encode(())
DEBIT = 0
EACH_DAY = 1
UNITS = {"once": 0, "day": EACH_DAY, "week": 2, "month": 3}
STATES = {0: "waits", 1: "in quarantine"}


@cash_app.command(name="in")
def cash_in(member: str, amount: str, ref: str, /, *, currency: str = "CNY", dry_run: bool = False) -> None:
    """Credit somebody with cash that you have received as a cashier.

    Args:
        member: Contact or address.
        amount: As in 100 or 100.50.
        ref: Number of the paper receipt; each only once.
        currency: Its symbol.
        dry_run: Sign and send nothing; show what would happen.
    """
    act_and_show([("assets.cash_in", [member, currency, amount, ref])], dry_run=dry_run)


@cash_app.command(name="out")
def cash_out(cashier: str, amount: str, ref: str, /, *, currency: str = "CNY", dry_run: bool = False) -> None:
    """Ask a cashier for cash; the amount waits until the cashier has paid it.

    Args:
        cashier: Contact or address.
        amount: As in 100 or 100.50.
        ref: Your own number for it.
        currency: Its symbol.
        dry_run: Sign and send nothing; show what would happen.
    """
    act_and_show([("assets.cash_out", [cashier, currency, amount, ref])], dry_run=dry_run)


@cash_app.command
def confirm(hold: int, /, *, dry_run: bool = False) -> None:
    """Confirm cash that waits: as a second cashier, or as the cashier who pays it out."""
    act_and_show([("assets.confirm_cash", [str(hold)])], dry_run=dry_run)


@escrow_app.command(name="open")
def open_escrow(
    payee: str,
    amount: str,
    /,
    *,
    arbiter: str,
    deadline: str = "+30d",
    terms: str = NOTHING,
    currency: str = "CNY",
    dry_run: bool = False,
) -> None:
    """Set money aside for somebody.

    Args:
        payee: Contact or address.
        amount: As in 100 or 100.50.
        arbiter: Who decides when you disagree.
        deadline: When it comes back by itself: +30d, or a date.
        terms: Digest of what was agreed: @FILE, or 0x-hex.
        currency: Its symbol.
        dry_run: Sign and send nothing; show what would happen.
    """
    act_and_show([("assets.escrow", [payee, currency, amount, arbiter, deadline, terms])], dry_run=dry_run)


@escrow_app.command
def release(hold: int, /, *, dry_run: bool = False) -> None:
    """Pay what was set aside, as the payer or the arbiter."""
    act_and_show([("assets.release_escrow", [str(hold)])], dry_run=dry_run)


@escrow_app.command
def refund(hold: int, /, *, dry_run: bool = False) -> None:
    """Give back what was set aside, as the payee or the arbiter."""
    act_and_show([("assets.refund_escrow", [str(hold)])], dry_run=dry_run)


@order_app.command(name="create")
def create_order(
    payee: str, amount: str, first: str, /, *, every: str = "month", until: str = "", memo: str = NOTHING,
    currency: str = "CNY",
) -> None:  # fmt: skip
    """Let the chain pay somebody again and again: a grant to yourself says how much, a job says when.

    Args:
        payee: Contact or address.
        amount: Of each payment.
        first: Date of the first one, as in 2030-01-31T09:00; the 31st of shorter months is their last day.
        every: once, day, week or month.
        until: Date of the last one; without end if not said.
        memo: For the payee; everybody can read it.
        currency: Its symbol.
    """
    said = f"Pay {amount} {currency} to {payee} each {every}, first on {first}"
    make_order("assets.transfer", [payee, currency, amount, memo], said, first, every, until)


def make_order(
    name: str,
    texts: list[str],
    said: str,
    first: str,
    every: str,
    until: str,
    *,
    asset: int | None = None,
    to: Address | None = None,
) -> None:
    """Let the chain call a method that pays an amount, again and again.

    Args:
        texts: arguments of the method after the payer's, as they are typed.
        said: what it does, in words.
        asset: that is paid, when the method does not say it.
        to: who is paid, when the method does not say it.
    """
    actor = open_actor()
    words = actor.words
    unit = _read_unit(every)
    contract, method = find_method(name)
    known: dict[str, Value] = {} if asset is None else {"asset": asset}
    for field, text in zip(method.arguments[1:], texts, strict=True):
        known[field.name] = words.read(field, text, known)
    minor = known["amount"]
    payment = (contract.id, method.id, [known[field.name] for field in method.arguments[1:]])
    ends = words.seconds(until) if until else 0
    session.terminal.note(said)
    place_order(
        actor,
        payment,
        ((known["asset"], minor, minor),),
        (known.get("to", to),),
        words.seconds(first),
        unit,
        ends,
    )


def place_order(
    actor: Actor,
    payment: tuple[int, int, list[Value]],
    caps: Value,
    payees: Value,
    first: int,
    unit: int,
    ends: int,
    *,
    per_period: bool = True,
) -> None:
    """Grant oneself a method within caps, and schedule a job that calls it by this grant.

    Args:
        payment: contract, method, and its arguments after the payer.
        first: time of the first run, Unix seconds.
        ends: time of the last one; 0: never.
        per_period: the caps hold anew for each of the job's periods, and a period that was missed is made up
            for; else one cap holds for all, and one run is enough for all that was missed.
    """
    me, (contract, method, values) = actor.address, payment
    create, schedule = find_method("grants.create"), find_method("sched.create")
    period = (1, 1, 0) if per_period else (0, 1, 0)
    terms: list[Any] = [me, me, ((contract, method),), caps, payees, None, ends, period, 0]
    grant_call = (create[0].id, create[1].id, 0, tuple([literal(value) for value in terms]))
    granted = act(actor, (grant_call,))
    grant = int(granted["results"][0])
    program = pin_program(((contract, method, (0, grant), (me, *values)),))
    job: list[Any] = [me, program, NO_PARAMETERS, first, unit, 1, ends, per_period, JOB_GAS]
    made = act(actor, ((schedule[0].id, schedule[1].id, 0, tuple(job)),))
    lines = [*describe_receipt(granted, actor.words)[:-1], *describe_receipt(made, actor.words)]
    session.terminal.show({"grant": grant, "job": made["results"][0]}, "\n".join(lines))


def _read_unit(every: str) -> int:
    if every not in UNITS:
        raise Failure(
            "No order was made.",
            f"{every!r} is not once, day, week or month.",
            "choose one",
            "cli.usage",
            Exit.USAGE,
        )
    return UNITS[every]


@order_app.command(name="list")
def list_orders() -> None:
    """List your standing orders."""
    actor = open_actor()
    account = format_address(actor.address, session.home.chain().hrp)
    rows = [
        ask(actor.client, "sched_job", job=job)
        for job in ask_all(actor.client, "sched_byOwner", owner=account)
    ]
    lines = [
        f"order {row['job']}   next {actor.words.show_time(row['due'])}   "
        f"{STATES.get(row['state'], '-')}   {row['runs']} runs"
        for row in rows
    ]
    session.terminal.show(rows, "\n".join(lines) or "no standing orders")


@order_app.command(name="cancel")
def cancel_order(order: int, /, *, dry_run: bool = False) -> None:
    """End a standing order."""
    act_and_show([("sched.cancel", [str(order)])], dry_run=dry_run)


@order_app.command(name="retry")
def retry_order(order: int, /, *, dry_run: bool = False) -> None:
    """Let an order run again that failed too often and waits in quarantine."""
    act_and_show([("sched.retry", [str(order)])], dry_run=dry_run)


def show_statement(
    *, currency: str = "", limit: int = 20, verify: bool = False, from_day: str = "", to_day: str = ""
) -> None:
    """Show what was posted to your balance, newest first, with the balance after it.

    Args:
        currency: Its symbol; the first currency of the chain without it.
        limit: Most lines.
        verify: Fetch the whole statement and check it on this machine; oldest first, by days.
        from_day: With --verify: first day to show, such as 2026-07-01.
        to_day: With --verify: last day to show.
    """
    if verify:
        verify_statement(currency=currency, from_day=from_day, to_day=to_day)
        return
    client, chain = session.client(), session.home.chain()
    words = open_words(client, chain.genesis)
    asset = words.find_asset(currency)
    account = format_address(session.me()[1], chain.hrp)
    rows = client.call("assets_statement", address=account, asset=asset.number, limit=min(limit, 200))[
        "value"
    ]
    lines = [
        f"{words.show_time(row['time'])}  {'-' if row['side'] == DEBIT else '+'}"
        f"{format_amount(int(row['amount']), asset.decimals):>12}  {_contra(row):<20} "
        f"{format_amount(int(row['balance']), asset.decimals):>14}"
        for row in rows
    ]
    session.terminal.show(rows, "\n".join(lines) or "nothing yet")


def _contra(row: dict[str, Any]) -> str:
    """Say who is on the other side: a contact, a contract, or a class of the books."""
    names = {
        1010: "bank",
        1020: "cashier",
        2040: "set aside",
        3010: "shares",
        4020: "fee",
        5020: "treasury",
        3030: "fund",
    }
    known = names.get(row["contraClass"])
    if known in ("bank", None, "cashier"):
        return name_of(parse_address(row["contraOwner"])[1])
    return known
