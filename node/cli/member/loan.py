"""`coop loan`: what a loan costs, asking for one, paying it back, and standing for somebody else's.

Everything is a call of the contracts `lending` and `security`; what they ask and say is in their schemas.
"""

import datetime
from pathlib import Path
from typing import Any, Literal

from cyclopts import App

from node.books.schedule_form import Schedule, parse_rows, show_date, write_csv, write_icalendar
from node.cli.member.acting import (
    act,
    act_and_show,
    ask,
    ask_all,
    name_of,
    open_actor,
    open_words,
    show_bound,
    show_receipt,
)
from node.cli.member.cash import EACH_DAY, place_order
from node.cli.member.member_session import session
from node.cli.member.typed import Words, find_method, read_words
from node.cli.payments import Asset
from node.cli.rpc_client import RpcClient
from node.cli.terminal import Exit, Failure
from node.rpc.amounts import format_amount, parse_amount
from protocol.addresses import format_address, parse_address
from protocol.codec import Value
from protocol.contracts.lending.records import EVENT_FIELDS
from protocol.money import compute_midnight
from protocol.params import AMOUNT_MAX
from protocol.vm.program import TAG_RESULT

loan_app = App(name="loan", help="Loans: what they cost, how you ask for one, and how you pay it back.")
_DAY_ZERO = datetime.date(1970, 1, 1).toordinal()
ORDER_SECOND = 600
"""Of the day, at which a standing order pays: after the chain has found out what is due."""
ORDER_DAYS_AFTER = 30
"""So long a standing order goes on after the last row, for what is paid late."""


@loan_app.command
def products() -> None:
    """List what members can borrow."""
    client, words = _open()
    rows = client.call("lending_products")["value"]
    lines = []
    for row in rows:
        asset = words.asset(row["asset"])
        low, high = (_money(row[name], asset) for name in ("principalMin", "principalMax"))
        closed = "" if row["isOpen"] else "   closed"
        rate = _percent(row["ratePpm"]) + (", more by score" if row["byScore"] else "")
        rows_of = f"{row['rowsMin']} to {row['rowsMax']} rows"
        lines.append(f"{row['product']:>3}  {row['name']:<20} {low} to {high}, {rows_of}, {rate}{closed}")
    session.terminal.show(rows, "\n".join(lines) or "there are none yet")


@loan_app.command
def quote(product: int, amount: str, rows: int, /, *, income: str = "") -> None:
    """Say what a loan would cost if it were paid out today; nothing is signed.

    Args:
        product: Number: see coop loan products.
        amount: As in 1000 or 1000.50.
        rows: How many instalments.
        income: What you earn in a year: then it is also said what would be decided if you asked.
    """
    client, words = _open()
    kept = ask(client, "lending_product", product=product)
    asset = words.asset(kept["asset"])
    principal = parse_amount(amount, asset.decimals)
    asked: dict[str, Any] = {"product": product, "principal": str(principal), "rows": rows}
    if income:
        asked["address"] = format_address(session.me()[1], session.home.chain().hrp)
        asked["income"] = str(parse_amount(income, asset.decimals))
    found = client.call("loan_quote", **asked)
    decision, low, high = found["decision"], found["rateFromPpm"], found["rateToPpm"]
    cost = int(found["interest"]) + int(found["fee"])
    lines = [
        f"{kept['name']}   {_money(principal, asset)} in {rows} rows at {_percent(low)}",
        f"  interest {_money(found['interest'], asset)}, fee {_money(found['fee'], asset)}, "
        f"in all {_money(cost, asset)}",
    ]
    if found["ratePpm"] is not None:
        lines.append(f"  {_percent(found['ratePpm'])} a year, all that it costs included")
    if low != high:
        lines.append(
            f"  this is the best score's; others pay up to {_percent(high)}: --income says what you do"
        )
    lines += [
        f"  {show_date(row['dueDay'])}  {_money(int(row['principal']) + int(row['interest']), asset):>16}"
        for row in found["rows"]
    ]
    if decision is not None:
        lines += _show_decision(decision, asset, words)
    session.terminal.show(found, "\n".join(lines))


def _show_decision(found: dict[str, Any], asset: Asset, words: Words) -> list[str]:
    lines = [
        {
            "approved": "  you would be approved at once",
            "committee": "  the committee would decide",
            "refused": "  it would be refused",
        }[found["outcome"]]
    ]
    if found["rule"] is not None:
        limit, actual = (show_bound(found["rule"], found[name], words) for name in ("limit", "actual"))
        lines.append(f"  Rule {found['rule']}: the limit is {limit}, here it is {actual}.")
    carried = _money(found["carries"], asset)
    lines.append(f"  your score of {found['score']:,} and your savings carry {carried}")
    return lines


@loan_app.command(name="apply")
def apply_for(
    product: int, amount: str, rows: int, income: str, purpose: str, /, *, dry_run: bool = False
) -> None:
    """Ask for a loan; it is approved at once when the policy of the product can decide.

    Args:
        product: Number: see coop loan products.
        amount: As in 1000 or 1000.50.
        rows: How many instalments.
        income: What you earn in a year.
        purpose: What it is for; everybody can read it.
        dry_run: Sign and send nothing; show what would happen.
    """
    actor = open_actor()
    asked = actor.words.read_call(
        "lending.apply", [str(product), amount, str(rows), income, purpose], actor.address
    )
    contract, method = find_method("lending.decide")
    decided: Value = (contract.id, method.id, 0, ((TAG_RESULT, 0),))
    try:
        receipt = act(actor, (asked, decided), dry_run=dry_run)
    except Failure as refused:
        if not refused.label.endswith("lending.committee"):
            raise
        session.terminal.note(f"Not decided yet. {refused.why}")
        receipt = act(actor, (asked,), dry_run=dry_run)
    show_receipt(receipt, actor.words)


@loan_app.command
def approve(loan: int, /, *, dry_run: bool = False) -> None:
    """Approve an application as one of the committee."""
    act_and_show([("lending.approve", [str(loan)])], dry_run=dry_run)


@loan_app.command
def reject(loan: int, /, *, dry_run: bool = False) -> None:
    """Reject an application as one of the committee."""
    act_and_show([("lending.reject", [str(loan)])], dry_run=dry_run)


@loan_app.command
def withdraw(loan: int, /, *, dry_run: bool = False) -> None:
    """Take your application back."""
    act_and_show([("lending.withdraw", [str(loan)])], dry_run=dry_run)


@loan_app.command
def decide(loan: int, /, *, dry_run: bool = False) -> None:
    """Let the policy of the product decide on an application."""
    act_and_show([("lending.decide", [str(loan)])], dry_run=dry_run)


@loan_app.command
def accept(loan: int, /, *, dry_run: bool = False) -> None:
    """Accept the exact terms of today, which are shown before you sign, and be paid out."""
    client, words = _open()
    kept = ask(client, "lending_loan", loan=loan)
    asset = _asset_of(client, words, kept["product"])
    offer = client.call("lending_offer", loan=loan, day=_today(words))["value"]
    for row in offer["rows"]:
        amount = int(row["principal"]) + int(row["interest"])
        session.terminal.note(f"  {show_date(row['dueDay'])}  {_money(amount, asset):>16}")
    session.terminal.note(f"  fee {_money(offer['fee'], asset)}, terms {offer['termsHash'][:10]}...")
    annual = offer["annualPpm"] or 0
    session.terminal.note(f"  {_percent(annual)} a year, all that it costs included")
    act_and_show([("lending.accept", [str(loan), offer["termsHash"], str(annual)])], dry_run=dry_run)


@loan_app.command
def show(member: str = "", /, *, loan: int = 0) -> None:
    """Show your loans and applications that are open, or those of another member.

    Args:
        member: Contact, address or number; you without it.
        loan: Number of one loan, whatever has become of it.
    """
    client, words = _open()
    numbers = [loan]
    if not loan:
        who = member or format_address(session.me()[1], session.home.chain().hrp)
        rows = client.call("lending_loans", member=words.member(who))["value"]
        numbers = [row["loan"] for row in rows]
    found = [client.call("loan_get", loan=number)["loan"] for number in numbers]
    lines = [line for one in found for line in _show_loan(one, words.asset(one["asset"]))]
    session.terminal.show(found, "\n".join(lines) or "nothing is borrowed")


def _show_loan(one: dict[str, Any], asset: Asset) -> list[str]:
    status = one["status"].replace("_", " ")
    lines = [f"loan {one['loan']}   {_money(one['principal'], asset)} in {one['rows']} rows   {status}"]
    if one["owed"] is not None:
        lines.append(f"  owed     {_money(one['owed'], asset)}")
    elif one["status"] == "active":
        lines.append(f"  due      {_money(one['due'], asset)}{_show_late(one)}")
        lines.append(f"  pays off {_money(one['payoff'], asset)}")
    if int(one["advance"]):
        lines.append(f"  advance  {_money(one['advance'], asset)}")
    if int(one["cover"]):
        lines.append(f"  secured by {_money(one['cover'], asset)}")
    return lines


def _show_late(one: dict[str, Any]) -> str:
    if not one["daysLate"]:
        return ""
    told = "no notice yet" if not one["notices"] else f"notice {one['notices']} sent"
    return f", {one['daysLate']} days late: class {one['loanClass']}, {told}"


@loan_app.command
def schedule(loan: int, /, *, form: Literal["text", "csv", "ics"] = "text", file: Path | None = None) -> None:
    """Show the rows of a loan, or write them for a spreadsheet or a calendar.

    Args:
        loan: Number: see coop loan show.
        form: text; csv; ics, a calendar (RFC 5545) with what is not paid.
        file: Where to write csv or ics; standard output without it.
    """
    client, words = _open()
    kept = ask(client, "lending_loan", loan=loan)
    asset = _asset_of(client, words, kept["product"])
    rows = client.call("lending_rows", loan=loan)["value"]
    made = Schedule(session.home.chain().genesis.name, loan, asset.symbol, asset.decimals, parse_rows(rows))
    if form == "text":
        lines = [
            f"{number:>3}  {show_date(row.due_day)}  {_money(row.principal + row.interest, asset):>16}"
            + ("   paid" if row.paid == row.principal + row.interest else "")
            for number, row in enumerate(made.rows, 1)
        ]
        session.terminal.show(rows, "\n".join(lines) or "not paid out yet")
        return
    text = write_csv(made) if form == "csv" else write_icalendar(made, words.now)
    if file is None:
        session.terminal.show({"form": form, "text": text}, text)
        return
    file.write_bytes(text.encode())
    session.terminal.show({"form": form, "file": str(file)}, f"{len(made.rows)} rows in {file}")


@loan_app.command
def repay(loan: int, amount: str, /, *, dry_run: bool = False) -> None:
    """Pay on a loan, yours or anybody's; every amount is taken.

    Args:
        loan: Number: see coop loan show.
        amount: As in 100 or 100.50. What is more than is due follows the early rule of the product.
        dry_run: Sign and send nothing; show what would happen.
    """
    act_and_show([("lending.repay", [str(loan), amount])], dry_run=dry_run)


@loan_app.command
def order(loan: int, /, *, most: str = "", until: str = "") -> None:
    """Let the chain pay what is due of a loan by itself, each day, as far as your balance goes.

    Args:
        loan: Number: see coop loan show; yours or anybody's.
        most: That one day may take, as in 600; what is due without it.
        until: Date of the last day; 30 days after the last row if not said. See coop order list, cancel.
    """
    actor = open_actor()
    client, words = actor.client, actor.words
    asset = _asset_of(client, words, ask(client, "lending_loan", loan=loan)["product"])
    rows = parse_rows(client.call("lending_rows", loan=loan)["value"])
    waiting = [row.due_day for row in rows if row.paid < row.principal + row.interest]
    if not waiting:
        raise _nothing_owed(loan)
    offset, first_day = actor.genesis.utc_offset_seconds, max(waiting[0], _today(words) + 1)
    at_most = parse_amount(most, asset.decimals) if most else AMOUNT_MAX
    first = compute_midnight(first_day, offset) + ORDER_SECOND
    last = compute_midnight(max(waiting[-1], first_day) + ORDER_DAYS_AFTER, offset) + ORDER_SECOND
    ends = words.seconds(until) if until else last
    contract, method = find_method("lending.pay_due")
    session.terminal.note(f"Pay what is due of loan {loan} each day, from {show_date(first_day)} on")
    payment: tuple[int, int, list[Value]] = (contract.id, method.id, [loan, at_most])
    caps = ((asset.number, at_most, AMOUNT_MAX),)
    place_order(actor, payment, caps, (), first, EACH_DAY, ends, per_period=False)


@loan_app.command
def prepay(loan: int, /, *, dry_run: bool = False) -> None:
    """Pay a loan off today, with all that it owes."""
    client, words = _open()
    kept = ask(client, "lending_loan", loan=loan)
    asset = _asset_of(client, words, kept["product"])
    state = ask(client, "lending_state", loan=loan)
    if not int(state["payoff"]):
        raise _nothing_owed(loan)
    amount = format_amount(int(state["payoff"]), asset.decimals).replace(",", "")
    act_and_show([("lending.repay", [str(loan), amount])], dry_run=dry_run)


@loan_app.command
def refund(loan: int, /, *, dry_run: bool = False) -> None:
    """Get back what you paid on a loan and it does not need yet, or never will."""
    act_and_show([("lending.refund", [str(loan)])], dry_run=dry_run)


@loan_app.command
def waive(loan: int, amount: str, /, *, interest: bool = False, dry_run: bool = False) -> None:
    """Forgive penalties that are due of a loan, as an officer.

    Args:
        loan: Its number.
        amount: As in 10 or 10.50; the product says how much one decision may forgive.
        interest: Forgive interest instead.
        dry_run: Sign and send nothing; show what would happen.
    """
    kind = "yes" if interest else "no"
    act_and_show([("lending.waive", [str(loan), kind, amount])], dry_run=dry_run)


@loan_app.command
def reverse(loan: int, payment: int, /, *, dry_run: bool = False) -> None:
    """Reverse a payment as an officer: what came after it is done over as if it had never been.

    Args:
        loan: Number: see coop loan show.
        payment: Number: see coop loan payments.
        dry_run: Sign and send nothing; show what would happen.
    """
    act_and_show([("lending.reverse", [str(loan), str(payment)])], dry_run=dry_run)


@loan_app.command
def recover(loan: int, amount: str, /, *, dry_run: bool = False) -> None:
    """Pay on a loan that was charged off; it is still owed.

    Args:
        loan: Its number.
        amount: As in 100 or 100.50; no more is taken than is owed.
        dry_run: Sign and send nothing; show what would happen.
    """
    act_and_show([("lending.recover", [str(loan), amount])], dry_run=dry_run)


@loan_app.command
def payments(loan: int, /) -> None:
    """List what was paid on a loan, forgiven, given back, or taken from what stands for it."""
    client, words = _open()
    asset = _asset_of(client, words, ask(client, "lending_loan", loan=loan)["product"])
    rows = ask_all(client, "lending_events", "event", 0, loan=loan)
    kinds = read_words(EVENT_FIELDS[0].doc)
    lines = []
    for row in rows:
        who = name_of(parse_address(row["payer"])[1])
        lines.append(
            f"{row['event']:>3}  {show_date(row['day'])}  {_money(row['amount'], asset):>16}  "
            f"{kinds[row['kind']]}, {who}" + ("   reversed" if row["isReversed"] else "")
        )
    session.terminal.show(rows, "\n".join(lines) or "nothing was paid yet")


@loan_app.command
def guarantee(
    loan: int, account: int, amount: str, /, *, withdraw: bool = False, dry_run: bool = False
) -> None:
    """Stand for somebody's loan with a part of your savings, which is locked until the loan needs it no more.

    Args:
        loan: Its number.
        account: Of your savings: see coop savings show.
        amount: As in 100 or 100.50.
        withdraw: Take the offer back; possible until the loan is paid out.
        dry_run: Sign and send nothing; show what would happen.
    """
    if withdraw:
        act_and_show([("security.withdraw_guarantee", [str(loan)])], dry_run=dry_run)
        return
    act_and_show([("security.offer_guarantee", [str(loan), str(account), amount])], dry_run=dry_run)


@loan_app.command
def pledge(loan: int, what: str, amount: str = "", /, *, dry_run: bool = False) -> None:
    """Let something stand for your loan: an asset, or what is known by its papers.

    Args:
        loan: Its number.
        what: The symbol of an asset; or @FILE, of which only the digest is sent, or 0x and a digest.
        amount: Of the asset.
        dry_run: Sign and send nothing; show what would happen.
    """
    if what.startswith(("@", "0x")):
        act_and_show([("security.pledge_document", [str(loan), what])], dry_run=dry_run)
        return
    act_and_show([("security.pledge", [str(loan), what, amount])], dry_run=dry_run)


@loan_app.command
def risk(currency: str = "", /) -> None:
    """Show the portfolio at risk: what is out of loans that are late.

    Args:
        currency: Its symbol, when there are several.
    """
    client, words = _open()
    asset = words.find_asset(currency)
    found = client.call("loan_getRisk", asset=asset.number)
    lines = [
        f"{found['loans']:,} loans   {_money(found['principal'], asset)} out   "
        f"{_money(found['allowance'], asset)} set aside   {show_date(found['asOf'])}"
    ]
    for line in found["atRisk"]:
        name = "late " if line["days"] == 1 else f"PAR{line['days']}"
        part = f"{line['partBp'] // 100}.{line['partBp'] % 100:02} %"
        lines.append(
            f"  {name}  {line['loans']:>6,} loans  {_money(line['principal'], asset):>18}  {part:>8}"
        )
    if not found["isComplete"]:
        lines.append("  there are more loans than one answer holds")
    session.terminal.show(found, "\n".join(lines))


def _nothing_owed(loan: int) -> Failure:
    return Failure("Nothing is owed.", f"loan {loan} is paid.", "nothing to do", "cli.nothing", Exit.USAGE)


def _open() -> tuple[RpcClient, Words]:
    client = session.client()
    return client, open_words(client, session.home.chain().genesis)


def _asset_of(client: RpcClient, words: Words, product: int) -> Asset:
    return words.asset(ask(client, "lending_product", product=product)["asset"])


def _today(words: Words) -> int:
    return datetime.datetime.fromtimestamp(words.now, words.zone).toordinal() - _DAY_ZERO


def _money(amount: int | str, asset: Asset) -> str:
    return format_amount(int(amount), asset.decimals, asset.symbol)


def _percent(ppm: int) -> str:
    return f"{ppm // 10_000}.{ppm % 10_000 // 100:02} %"
