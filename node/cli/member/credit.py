"""`coop credit`: your score, in numbers and in words, and what to do when it is wrong.

The numbers are the node's (`member_getCredit`); they are recomputed from the chain by anybody who has it.
"""

from typing import Any, Final

from cyclopts import App

from node.cli.member.acting import act_and_show, open_words
from node.cli.member.member_session import session
from node.cli.terminal import Exit, Failure
from node.rpc.amounts import format_amount
from protocol.addresses import format_address
from protocol.contracts.credit.records import PART_POINTS

credit_app = App(name="credit", help="Your score: what your record at the co-op says about lending to you.")

PARTS: Final = {
    "punctuality": ("paid in time", "按时还款"),
    "regularity": ("saving regularly", "定期储蓄"),
    "depth": ("savings beside debt", "储蓄与负债"),
    "tenure": ("time as a member", "会龄"),
    "guarantees": ("guarantees given", "担保记录"),
    "use": ("use of loans", "贷款使用"),
    "attestations": ("attestations", "证明"),
}
_NONE: Final = ("no record yet: two fifths of the points", "尚无记录：按五分之二计")
_REASONS: Final = {
    "punctuality": (
        "{count} instalments counted; in time is worth 1,000, your average {value}",
        "计入{count}期还款；按时为1,000，平均{value}",
    ),
    "regularity": (
        "a deposit in {count} of the last 24 months; a member for {beside}",
        "近24个月中有{count}个月存款；入会{beside}个月",
    ),
    "depth": ("{count} saved for each 1,000 owed", "每欠1,000有储蓄{count}"),
    "tenure": ("{count} months; all points from 36 on", "入会{count}个月；满36个月得满分"),
    "guarantees": (
        "{count} halves of guarantees ended well, {beside} did not",
        "担保良好结束{count}个半份，未良好结束{beside}个半份",
    ),
    "use": ("{count} of each 1,000 lent is still out", "每借1,000尚欠{count}"),
    "attestations": ("{count} of income, community, courses", "收入、社区、课程中有{count}项"),
}
_DEBT_FREE: Final = ("nothing is owed", "没有欠款")


@credit_app.command
def me() -> None:
    """Show your score, its parts, and how much it carries."""
    name, address = session.me()
    client, chain = session.client(), session.home.chain()
    found = client.call("member_getCredit", address=format_address(address, chain.hrp))
    words = open_words(client, chain.genesis)
    asset = words.asset()
    offer = client.call("credit_offer", member=found["member"], asset=asset.number)["value"]
    lines = [f"{name}   {found['score']:,} of 1,000 points"]
    lines += [_show_part(part) for part in found["parts"]]
    carried = format_amount(int(offer["amount"]), asset.decimals, asset.symbol)
    addon = f"{offer['addonPpm'] // 10_000}.{offer['addonPpm'] % 10_000 // 100:02} %"
    lines.append(f"carries {carried} by your savings; adds {addon} a year to the rate of a loan")
    session.terminal.show({**found, "offer": offer}, "\n".join(lines))


def _show_part(part: dict[str, Any]) -> str:
    name = _say(PARTS[part["part"]])
    return f"  {part['points']:>4} of {part['most']:>3}  {name}"


@credit_app.command
def explain(member: str = "", /) -> None:
    """Say where each part of a score comes from.

    Args:
        member: Contact or address; you without it.
    """
    client, chain = session.client(), session.home.chain()
    address = session.home.find_address(member) if member else session.me()[1]
    found = client.call("member_getCredit", address=format_address(address, chain.hrp))
    lines = [f"{found['score']:,} of 1,000 points"]
    for part in found["parts"]:
        lines += [_show_part(part), f"               {explain_part(part)}"]
    session.terminal.show(found, "\n".join(lines))


def explain_part(part: dict[str, Any]) -> str:
    """Say in words what a part of a score comes from."""
    if not part["evidence"]:
        said = _say(_NONE)
    elif part["part"] in ("depth", "use") and not part["count"] and part["value"]:
        said = _say(_DEBT_FREE)
    else:
        said = _say(_REASONS[part["part"]]).format(**part)
    return said if not part["relief"] else f"{said}; +{part['relief']}"


def _say(texts: tuple[str, str]) -> str:
    return texts[session.terminal.language == "zh"]


@credit_app.command
def dispute(part: str, document: str, /, *, dry_run: bool = False) -> None:
    """Say that a part of your score is wrong; an assessor answers.

    Args:
        part: Such as punctuality; see coop credit explain.
        document: What shows it: @FILE, of which only the digest is sent, or 0x and its digest.
        dry_run: Sign and send nothing; show what would happen.
    """
    if part not in PARTS:
        raise Failure(
            f"{part} is no part of a score.", "Each part has one name.", f"one of {', '.join(PARTS)}",
            "cli.usage", Exit.USAGE,
        )  # fmt: skip
    number = list(PARTS).index(part) + 1
    assert number <= len(PART_POINTS)
    act_and_show([("credit.dispute", [str(number), document])], dry_run=dry_run)
