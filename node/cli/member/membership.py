"""Joining, standing, shares: what a member does with the membership."""

import json
import secrets
from pathlib import Path
from typing import Literal

from cyclopts import App

from node.cli.member.acting import act_and_show, ask, ask_all, number_of_member, open_actor, open_words
from node.cli.member.member_session import session
from node.cli.member.papers import open_vault, read_secret
from node.cli.member.typed import NOTHING
from node.files import write_whole
from node.rpc.amounts import format_amount
from protocol import crypto
from protocol.addresses import format_address

shares_app = App(name="shares", help="Your shares in the co-operative.")

STATUSES = {
    1: "applicant", 2: "on probation", 3: "active", 4: "suspended", 5: "leaving", 6: "has left",
    7: "deceased", 8: "expelled", 9: "declined",
}  # fmt: skip


KINDS = {"person": "1", "organisation": "2", "group": "3"}


def apply_for_membership(
    *,
    kind: Literal["person", "organisation", "group"] = "person",
    referrer: str = NOTHING,
    papers: Path | None = None,
    dry_run: bool = False,
) -> None:
    """Ask to become a member. Only a salted digest of your papers goes to the chain; they stay here.

    Args:
        kind: person, organisation or group.
        referrer: Member who brings you: name or number.
        papers: File with what the registrar will see.
        dry_run: Sign and send nothing; show what would happen.
    """
    salt = secrets.token_bytes(32)
    content = papers.read_bytes() if papers is not None else b""
    commitment = crypto.sha256(salt + content)
    file = session.home.path / f"papers-{session.me()[0]}.json"
    kept = {"salt": salt.hex(), "papers": "" if papers is None else str(papers.absolute())}
    act_and_show(
        [("members.apply", [KINDS[kind], "0x" + commitment.hex(), referrer])],
        dry_run=dry_run,
        keep=lambda: write_whole(file, json.dumps(kept).encode()),
    )


def attest_member(
    member: str, /, *, level: int = 1, until: str = "", tag: str = "", evidence: str = NOTHING
) -> None:
    """Attest as a registrar who somebody is, by digests alone.

    Args:
        member: Name or number.
        tag: Keyed digest of the national number: 0x-hex, or @FILE. Without it the number is asked for.
        level: Of the attestation.
        until: Last day on which it counts, as in 2030-01-31; three years without it.
        evidence: Digest of what was seen: 0x-hex, or @FILE.
    """
    actor = open_actor()
    offset = actor.genesis.utc_offset_seconds
    last = actor.words.seconds(until) if until else actor.words.now + 3 * 366 * 86_400
    day = (last + offset) // 86_400
    if not tag:
        tag = "0x" + open_vault().compute_tag(read_secret("national number: ")).hex()
    act_and_show([("members.attest_kyc", [member, str(level), str(day), evidence, tag])])


def join_co_op(shares: int = 0, /, *, share_class: int = 1, dry_run: bool = False) -> None:
    """Pay the entry fee and your first shares; you are a member at once when the rules admit by themselves.

    Args:
        shares: How many; the least that admission asks for without it.
        share_class: Number of the class.
        dry_run: Sign and send nothing; show what would happen.
    """
    client = session.client()
    found = ask(client, "shares_class", **{"class": share_class})
    rules = ask(client, "members_rules")
    least = -(-int(rules["shares"]) // int(found["par"]))
    calls: list[tuple[str, list[str]]] = [("members.pay_fee", [])] if int(rules["entryFee"]) else []
    calls.append(("shares.buy", [str(share_class), str(shares or max(least, int(found["minimum"])))]))
    act_and_show(calls, dry_run=dry_run)


def show_member(who: str = "", /) -> None:
    """Show a membership: standing, shares, offices.

    Args:
        who: Name, address or number; you without it.
    """
    client, chain = session.client(), session.home.chain()
    words = open_words(client, chain.genesis)
    number = number_of_member(words, who or session.me()[0])
    member = ask(client, "members_member", member=number)
    holdings = ask_all(client, "shares_holdings", "class", member=number)
    offices = ask_all(client, "members_offices", "role", holder=member["account"])
    name = session.home.name_of(session.home.find_address(member["account"]))
    asset = words.asset()
    paid = format_amount(int(member["sharesPaid"]), asset.decimals, asset.symbol)
    lines = [
        f"member {number}   {name}   {STATUSES.get(member['status'], member['status'])}",
        f"  account  {member['account']}",
        f"  shares   {sum(h['count'] for h in holdings)}, {paid} paid in",
    ]
    lines += [f"  office   {o['role']}{'' if o['inEffect'] else ' (not in effect yet)'}" for o in offices]
    value = {"member": member, "holdings": holdings, "offices": offices}
    session.terminal.show(value, "\n".join(lines))


@shares_app.command
def buy(shares: int, /, *, share_class: int = 1, dry_run: bool = False) -> None:
    """Buy shares from your balance."""
    act_and_show([("shares.buy", [str(share_class), str(shares)])], dry_run=dry_run)


@shares_app.command
def instalment(amount: str, /, *, share_class: int = 1, dry_run: bool = False) -> None:
    """Pay towards your next share."""
    act_and_show([("shares.pay_instalment", [str(share_class), amount])], dry_run=dry_run)


@shares_app.command
def redeem(shares: int, /, *, share_class: int = 1, dry_run: bool = False) -> None:
    """Ask for shares to be paid back; who asked first is paid first."""
    act_and_show([("shares.request", [str(share_class), str(shares)])], dry_run=dry_run)


@shares_app.command
def cancel(request: int, /, *, share_class: int = 1, dry_run: bool = False) -> None:
    """Leave the queue of those who want shares paid back."""
    act_and_show([("shares.cancel_request", [str(share_class), str(request)])], dry_run=dry_run)


@shares_app.command(name="list")
def list_shares() -> None:
    """List your shares, and what waits to be paid back."""
    client, chain = session.client(), session.home.chain()
    words = open_words(client, chain.genesis)
    account = format_address(session.me()[1], chain.hrp)
    number = int(ask(client, "members_byAccount", account=account)["member"])
    classes = {c["class"]: c for c in ask_all(client, "shares_classes", "class")}
    rows = ask_all(client, "shares_holdings", "class", member=number)
    waiting = ask_all(client, "shares_requests", member=number)
    lines = []
    for row in rows:
        found = classes[row["class"]]
        asset = words.asset(found["asset"])
        worth = format_amount(row["count"] * int(found["par"]), asset.decimals, asset.symbol)
        lines.append(
            f"{row['count']:>6} x {found['name']}   {worth}"
            + (f"   {row['queued']} waiting" if row["queued"] else "")
        )
    lines += [f"  request {w['request']}: {w['shares']} shares" for w in waiting]
    session.terminal.show(
        {"holdings": rows, "requests": waiting}, "\n".join(lines) or "no shares yet: coop shares buy 5"
    )
