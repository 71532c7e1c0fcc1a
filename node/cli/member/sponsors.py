"""Sponsors: a member or the co-op's cashier pays for the gas of somebody else's programs, within a grant."""

from typing import Final, Literal

from cyclopts import App

from node.cli.member.acting import act, ask, ask_all, name_of, open_actor, show_receipt
from node.cli.member.member_session import session
from node.cli.member.typed import find_method
from protocol.addresses import format_address, parse_address
from protocol.contracts.periods import DAYS, MONTHS, ONCE, WEEKS
from protocol.money import SECONDS_PER_DAY
from protocol.vm.program import literal

sponsor_app = App(name="sponsor", help="Pay for the gas of somebody else's programs.")

GAS: Final = 100_000
"""Some twelve payments."""
UNITS: Final = {"once": ONCE, "day": DAYS, "week": WEEKS, "month": MONTHS}


@sponsor_app.command
def give(
    who: str,
    /,
    *,
    gas: int = GAS,
    every: Literal["once", "day", "week", "month"] = "once",
    until: str = "",
    dry_run: bool = False,
) -> None:
    """Let somebody use your free gas: coop --sponsor YOU ...

    Args:
        who: Contact or address.
        gas: How much in each period.
        every: once, day, week or month.
        until: Last day; without end if not said.
        dry_run: Sign and send nothing; show what would happen.
    """
    actor = open_actor()
    words = actor.words
    today = (words.now + actor.genesis.utc_offset_seconds) // SECONDS_PER_DAY
    ends = words.seconds(until) if until else 0
    contract, method = find_method("grants.create")
    terms = (
        actor.address,
        session.home.find_address(who),
        (),
        (),
        (),
        None,
        ends,
        (UNITS[every], 1, today),
        gas,
    )
    call = (contract.id, method.id, 0, tuple([literal(value) for value in terms]))
    show_receipt(act(actor, (call,), dry_run=dry_run), words)


@sponsor_app.command(name="list")
def list_sponsored() -> None:
    """List for whom you pay, and who pays for you."""
    actor = open_actor()
    me = format_address(actor.address, session.home.chain().hrp)
    numbers = [
        *ask_all(actor.client, "grants_byGrantor", address=me),
        *ask_all(actor.client, "grants_byGrantee", address=me),
    ]
    rows = [ask(actor.client, "grants_grant", grant=number) for number in dict.fromkeys(numbers)]
    rows = [row for row in rows if int(row["gas"])]
    lines = [
        f"grant {row['grant']}   {_show(row['grantor'])} pays for {_show(row['grantee'])}   "
        f"{int(row['gasUsed']):,} of {int(row['gas']):,} gas used"
        + (f", until {actor.words.show_time(row['expires'])}" if row["expires"] else "")
        for row in rows
    ]
    session.terminal.show(rows, "\n".join(lines) or "nobody pays for anybody")


@sponsor_app.command
def end(grant: int, /, *, dry_run: bool = False) -> None:
    """End a grant of gas, by whoever gave it or has it."""
    actor = open_actor()
    call = actor.words.read_call("grants.revoke", [str(grant)], actor.address)
    show_receipt(act(actor, (call,), dry_run=dry_run), actor.words)


def _show(address: str) -> str:
    return name_of(parse_address(address)[1])
