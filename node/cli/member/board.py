"""What a board does: payments of the treasury, and programs that wait for the signers of an account."""

from pathlib import Path
from typing import Any

import msgspec
from cyclopts import App

from node.cli.council import Account
from node.cli.member.acting import act_and_show, ask, ask_all, describe_program, open_actor, open_words
from node.cli.member.calls import show_answer
from node.cli.member.member_session import session
from node.cli.member.typed import NOTHING, Words
from node.files import write_whole
from node.rpc.amounts import format_amount
from protocol import crypto
from protocol.addresses import format_address
from protocol.codec import Value
from protocol.contracts import REGISTRY
from protocol.contracts.policies import compute_address

treasury_app = App(name="treasury", help="The co-op's money: funds, budget, payments.")
multisig_app = App(name="multisig", help="Decide together: programs that wait for the signers of an account.")

STATES = {1: "requested", 2: "approved, waits", 3: "paid", 4: "rejected"}


@treasury_app.command
def request(line: int, payee: str, amount: str, /, *, invoice: str = NOTHING, dry_run: bool = False) -> None:
    """Ask for a payment out of a budget line.

    Args:
        line: Its number: coop treasury budget 1
        payee: Contact or address.
        amount: As in 100 or 100.50.
        invoice: Its digest: @FILE, or 0x-hex.
        dry_run: Sign and send nothing; show what would happen.
    """
    act_and_show([("treasury.request", [str(line), payee, amount, invoice])], dry_run=dry_run)


@treasury_app.command
def approve(payment: int, /, *, dry_run: bool = False) -> None:
    """Approve a payment; the last approval pays it, unless its size asks for a delay."""
    act_and_show([("treasury.approve", [str(payment)])], dry_run=dry_run)


@treasury_app.command
def reject(payment: int, /, *, dry_run: bool = False) -> None:
    """Refuse a payment, or take your own request back."""
    act_and_show([("treasury.reject", [str(payment)])], dry_run=dry_run)


@treasury_app.command
def pay(payment: int, /, *, dry_run: bool = False) -> None:
    """Pay an approved payment whose delay is over; anybody may."""
    act_and_show([("treasury.pay", [str(payment)])], dry_run=dry_run)


@treasury_app.command
def show(payment: int, /) -> None:
    """Show where a payment stands."""
    client, words = _open()
    row = ask(client, "treasury_payment", payment=payment)
    line = ask(client, "treasury_line", line=row["line"])
    fund = ask(client, "treasury_fund", fund=line["fund"])
    asset = words.asset(fund["asset"])
    names = [session.home.name_of(session.home.find_address(a)) for a in row["approvals"]]
    payee = session.home.name_of(session.home.find_address(row["payee"]))
    due = f" until {words.show_time(row['due'])}" if row["state"] == 2 else ""
    session.terminal.show(
        row,
        f"payment {payment}: {format_amount(int(row['amount']), asset.decimals, asset.symbol)} to {payee} "
        f"out of {line['name']}: {STATES.get(row['state'], '-')}{due}"
        + (f"; approved by {', '.join(names)}" if names else ""),
    )


@treasury_app.command
def budget(fund: int = 1, /) -> None:
    """Show the lines of a fund: amount, spent, promised."""
    client, words = _open()
    found = ask(client, "treasury_fund", fund=fund)
    asset = words.asset(found["asset"])
    rows = ask_all(client, "treasury_budget", "line", fund=fund)

    def money(amount: str | int) -> str:
        return f"{format_amount(int(amount), asset.decimals):>12}"

    lines = [f"{found['name']}: {format_amount(int(found['balance']), asset.decimals, asset.symbol)}"]
    lines.append(f"  {'line':<18}{'budget':>12}{'spent':>12}{'promised':>12}{'left':>12}")
    for row in rows:
        left = int(row["amount"]) - int(row["spent"]) - int(row["committed"])
        amounts = (row["amount"], row["spent"], row["committed"], left)
        lines.append(f"  {row['line']} {row['name']:<16}{''.join(map(money, amounts))}")
    session.terminal.show(rows, "\n".join(lines))


@treasury_app.command
def report(*, currency: str = "") -> None:
    """Show the balance sheet and the income statement."""
    client, words = _open()
    asset = words.find_asset(currency)
    found = ask(client, "treasury_report", asset=asset.number)
    lines = [
        f"{name:<12}{format_amount(int(found[name]), asset.decimals, asset.symbol):>24}"
        for name in ("assets", "liabilities", "equity", "income", "cost", "result")
    ]
    lines.append("The books balance." if found["isBalanced"] else "THE BOOKS DO NOT BALANCE.")
    session.terminal.show(found, "\n".join(lines))


@multisig_app.command(name="new")
def new_account(name: str, threshold: int, /, *keys: str) -> None:
    """Make an account of several keys: a contact of yours, which the chain knows once somebody opens it.

    Args:
        name: What to call it.
        threshold: So many of the keys decide.
        keys: Names of keys on this machine, or public keys in hex.
    """
    ring = session.home.keyring
    publics = [ring.entry(key).public_key.hex() if key in ring.names() else key for key in keys]
    address = format_address(compute_address(_policy_of(threshold, publics)), session.home.chain().hrp)
    session.home.save_contacts({**session.home.contacts(), name: address})
    account = {"threshold": threshold, "keys": publics}
    write_whole(_account_file(name), msgspec.json.encode(account))
    session.terminal.show(
        {"name": name, "address": address, **account}, f"{name}   {address}   {threshold} of {len(keys)} keys"
    )


def _account_file(name: str) -> Path:
    return session.home.path / f"account-{name}.json"


def _policy_of(threshold: int, publics: list[str]) -> Value:
    return (threshold, tuple([(0, bytes.fromhex(key), 1) for key in publics]))


@multisig_app.command
def propose(account: str, program: str, /, *, expires: str = "+7d", dry_run: bool = False) -> None:
    """Propose what an account of several keys shall do, and approve it yourself.

    Args:
        account: Its contact or address, such as board.
        program: Calls as in 'registry.pause assets transfer 3d'; several are separated by ;
        expires: Until when it waits for the others.
        dry_run: Sign and send nothing; show what would happen.
    """
    actor = open_actor()
    address = session.home.find_address(account)
    raw = actor.words.read_program(program, address)
    calls = [("multisig.propose", [account, "0x" + raw.hex(), expires])]
    known = actor.client.call("auth_account", address=format_address(address, session.home.chain().hrp))[
        "value"
    ]
    file = _account_file(account)
    if known is not None and known["policy"] is None and file.exists():
        saved = msgspec.json.decode(file.read_bytes(), type=Account)
        leaves = [[0, "0x" + key, 1] for key in saved.keys]
        calls.insert(
            0, ("multisig.reveal", [account, msgspec.json.encode([saved.threshold, leaves]).decode()])
        )
    act_and_show(calls, dry_run=dry_run)


@multisig_app.command(name="approve")
def approve_pending(number: int, /, *, dry_run: bool = False) -> None:
    """Approve what waits, after it was shown to you; the last approval that is needed runs it."""
    lines, digest = _read_pending(number)
    session.terminal.note("\n".join(lines))
    act_and_show([("multisig.approve", [str(number), "0x" + digest.hex()])], dry_run=dry_run)


@multisig_app.command(name="show")
def show_pending(number: int, /) -> None:
    """Show what waits for signers."""
    client, words = _open()
    row = ask(client, "multisig_pending", pending=number)
    kind = next(q for q in REGISTRY.by_name["multisig"].queries if q.name == "pending").result
    lines = show_answer(kind, row, words)
    if row["state"] == 0:
        lines += _read_pending(number)[0]
    session.terminal.show(row, "\n".join(lines))


@multisig_app.command
def cancel(number: int, /, *, dry_run: bool = False) -> None:
    """Take back what you proposed, or veto it where the account allows that."""
    act_and_show([("multisig.cancel", [str(number)])], dry_run=dry_run)


@multisig_app.command(name="list")
def list_pending(account: str, /) -> None:
    """List what waits for the signers of an account."""
    client, _ = _open()
    address = session.home.contacts().get(account, account)
    found = ask_all(client, "multisig_open", account=address)
    session.terminal.show(found, "\n".join(f"program {number}" for number in found) or "nothing waits")


def _read_pending(number: int) -> tuple[list[str], bytes]:
    """Return what waits, in words, and its digest, computed here: that is what one approves."""
    client, words = _open()
    raw = bytes.fromhex(str(ask(client, "multisig_program", pending=number))[2:])
    digest = crypto.sha256(raw)
    return [f"program {number}:", *describe_program(raw, words)], digest


def _open() -> tuple[Any, Words]:
    client = session.client()
    return client, open_words(client, session.home.chain().genesis)
