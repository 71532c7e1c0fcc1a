"""Proposals and votes, delegation, documents: what members decide, and what it rests on."""

import secrets
from pathlib import Path
from typing import Annotated, Any, Final

from cyclopts import App, Parameter

from node.cli.acting import act, act_and_show, ask, describe_program, open_actor, open_words, show_receipt
from node.cli.member_session import session
from node.cli.terminal import Failure
from node.cli.typed import NOTHING, Words, find_method, read_digest
from protocol import crypto
from protocol.vm.program import literal

docs_app = App(
    name="docs", help="Documents on record: their digests stand on the chain, their content stays with you."
)

STATES: Final = {
    1: "draft", 2: "open", 3: "passed, waits", 4: "rejected", 5: "no quorum", 6: "vetoed", 7: "executed",
    8: "lapsed", 9: "withdrawn",
}  # fmt: skip
PROGRAM: Final = Parameter(allow_leading_hyphen=True)


def propose(
    kind: str,
    title: str,
    program: Annotated[str, PROGRAM] = NOTHING,
    /,
    *,
    text: str = NOTHING,
    dry_run: bool = False,
) -> None:
    """Propose something to the members.

    Args:
        kind: Type of proposal, by name or number: coop query voting policies
        title: One line.
        program: What shall be done when it passes, as in 'treasury.appropriate 1 500 no'.
        text: Digest of the full text: @FILE, or 0x-hex.
        dry_run: Sign and send nothing; show what would happen.
    """
    actor = open_actor()
    contract, method = find_method("voting.propose")
    raw = b"" if program == NOTHING else actor.words.read_program(program, None, 255)
    document = bytes(32) if text == NOTHING else read_digest(text)
    arguments = (actor.address, _type_of(actor.words, kind), title, document, raw)
    call = (contract.id, method.id, 0, tuple([literal(value) for value in arguments]))
    show_receipt(act(actor, (call,), dry_run=dry_run), actor.words)


def vote(proposal: int, choice: str, /, *, dry_run: bool = False) -> None:
    """Vote.

    Args:
        proposal: Its number.
        choice: yes, no or abstain.
        dry_run: Sign and send nothing; show what would happen.
    """
    act_and_show([("voting.vote", [str(proposal), choice])], dry_run=dry_run)


def delegate(kind: str, to: str, /, *, dry_run: bool = False) -> None:
    """Let another member vote for you on proposals to come of a type; your own vote overrides.

    Args:
        kind: Type of proposal, by name or number.
        to: Contact or address.
        dry_run: Sign and send nothing; show what would happen.
    """
    words = open_actor().words
    act_and_show([("voting.delegate", [str(_type_of(words, kind)), to])], dry_run=dry_run)


def undelegate(kind: str, /, *, dry_run: bool = False) -> None:
    """Vote for yourself again.

    Args:
        kind: Type of proposal, by name or number.
        dry_run: Sign and send nothing; show what would happen.
    """
    words = open_actor().words
    act_and_show([("voting.undelegate", [str(_type_of(words, kind))])], dry_run=dry_run)


def tally(proposal: int, /) -> None:
    """Show a proposal: what it would do, how it stands, how many yes are missing.

    Args:
        proposal: Its number.
    """
    client = session.client()
    words = open_words(client, session.home.chain().genesis)
    row = ask(client, "voting_proposal", proposal=proposal)
    counts = ask(client, "voting_tally", proposal=proposal)
    raw = client.call("voting_program", proposal=proposal)["value"]
    lines = [f"proposal {proposal}: {row['title']}: {STATES.get(row['state'], row['state'])}"]
    lines += describe_program(bytes.fromhex(raw[2:]), words) if raw else []
    lines.append(
        f"  yes {counts['yes']}, no {counts['no']}, abstain {counts['abstain']} of {counts['electorate']}"
    )
    if row["state"] == 2:
        lines.append(f"  votes from {words.show_time(row['starts'])} to {words.show_time(row['ends'])}")
        if counts["missingYes"]:
            lines.append(f"  {counts['missingYes']} yes are missing")
    if row["state"] == 3:
        lines.append(f"  runs from {words.show_time(row['ready'])} on")
    if row["code"]:
        lines.append(f"  its program failed {row['tries']} times, the last time with code {row['code']}")
    session.terminal.show({"proposal": row, "tally": counts}, "\n".join(lines))


vote_commands: Final[dict[str, Any]] = {
    "propose": propose, "vote": vote, "delegate": delegate, "undelegate": undelegate, "tally": tally,
}  # fmt: skip


@docs_app.command
def register(file: Path, kind: str, /, *, keep_until: str = "0", plain: bool = False) -> None:
    """Put a document on record: a digest of a salt and its content. The salt is saved beside your keys.

    Args:
        file: The document.
        kind: Such as bylaws, contract, statement.
        keep_until: Date until which it may not be erased.
        plain: Without salt, so that whoever has the file can find it.
    """
    salt = b"" if plain else secrets.token_bytes(32)
    commitment = crypto.sha256(salt + file.read_bytes())
    receipt = act_and_show([("docs.register", ["0x" + commitment.hex(), kind, keep_until])])
    if salt and receipt["proven"]:
        (session.home.path / f"salt-{commitment.hex()[:16]}").write_text(salt.hex(), encoding="ascii")


def _type_of(words: Words, kind: str) -> int:
    if kind.isascii() and kind.isdecimal():
        return int(kind)
    found = words.client.call("voting_policies")["value"]
    for row in found:
        if row["name"] == kind:
            return int(row["type"])
    names = ", ".join(str(row["name"]) for row in found)
    raise Failure(
        "There is no such type of proposal.", f"there are: {names}.", "name one of them", "cli.nothing"
    )
