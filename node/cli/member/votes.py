"""Proposals and votes, delegation, documents: what members decide, and what it rests on."""

import json
import secrets
from pathlib import Path
from typing import Annotated, Any, Final

from cyclopts import App, Parameter

from node.cli.member.acting import (
    Actor,
    act,
    act_and_show,
    ask,
    describe_program,
    open_actor,
    open_words,
    show_receipt,
)
from node.cli.member.member_session import session
from node.cli.member.statements import check_record_proof
from node.cli.member.typed import NOTHING, Words, explain_kind, find_method, read_digest
from node.cli.rpc_client import RpcClient
from node.cli.terminal import Exit, Failure, failure_of_rejection
from node.files import write_whole
from protocol import codec, crypto
from protocol.addresses import format_address
from protocol.codec import Value
from protocol.contracts.voting.ballots import compute_commitment
from protocol.contracts.voting.elections import APPROVAL, STV
from protocol.contracts.voting.records import (
    ABSTAIN,
    DRAFT,
    NO,
    OPEN,
    PASSED,
    PRIORITIES_KIND,
    PROGRAM_KIND,
    TALLIES,
    YES,
)
from protocol.errors import Code, Rejected
from protocol.vm.program import literal
from protocol.vm.tables import SCHEMA

docs_app = App(
    name="docs", help="Documents on record: their digests stand on the chain, their content stays with you."
)

vote_app = App(name="vote", help="Vote, openly or sealed; elect; rank; object; see how a vote stands.")

petition_app = App(name="petition", help="Gather signatures for what members shall discuss and vote on.")

STATES: Final = {
    1: "draft", 2: "open", 3: "passed, waits", 4: "rejected", 5: "no quorum", 6: "vetoed", 7: "executed",
    8: "lapsed", 9: "withdrawn", 10: "counting",
}  # fmt: skip
WHY_NOT: Final = {
    "voting.member": "is no member.",
    "voting.active_at_snapshot": "was no active member at block {limit}, when it was put to the members.",
    "voting.member_days": "it takes {limit} days as a member, and it is {actual}.",
    "voting.shares_at_snapshot": "held no share of the class when it was put to the vote.",
}
CHOICES: Final = {"yes": YES, "no": NO, "abstain": ABSTAIN}
PROGRAM: Final = Parameter(allow_leading_hyphen=True)


def propose(
    kind: str,
    title: str,
    program: Annotated[str, PROGRAM] = NOTHING,
    /,
    *,
    text: str = NOTHING,
    hearing: str = NOTHING,
    dry_run: bool = False,
) -> None:
    """Propose something to the members.

    Args:
        kind: Type of proposal, by name or number: coop query voting policies
        title: One line.
        program: What shall be done when it passes, as in 'treasury.appropriate 1 500 no'.
        text: Digest of the full text: @FILE, or 0x-hex.
        hearing: When the one concerned is heard, where the type asks for it, such as +60h: in its discussion.
        dry_run: Sign and send nothing; show what would happen.
    """
    actor = open_actor()
    raw = b"" if program == NOTHING else actor.words.read_program(program, None, 255)
    if hearing == NOTHING:
        _put_forward(actor, "propose", kind, title, text, raw, dry_run=dry_run)
    else:
        heard = actor.words.seconds(hearing)
        _put_forward(actor, "call_hearing", kind, title, text, raw, heard, dry_run=dry_run)


def call_election(
    title: str,
    role: str,
    /,
    *,
    seats: int = 1,
    term: str = "365d",
    approval: bool = False,
    text: str = NOTHING,
    kind: str = "election",
    dry_run: bool = False,
) -> None:
    """Propose that members elect who holds an office.

    Args:
        title: One line.
        role: The office.
        seats: How many are elected.
        term: For how long.
        approval: Whoever most papers name is elected; without it, by a single transferable vote.
        text: Digest of the full text: @FILE, or 0x-hex.
        kind: Type of proposal, by name or number, that may give offices.
        dry_run: Sign and send nothing; show what would happen.
    """
    actor = open_actor()
    terms = (role, seats, actor.words.seconds(term), APPROVAL if approval else STV)
    _put_forward(actor, "call_election", kind, title, text, *terms, dry_run=dry_run)


def call_priorities(
    title: str,
    /,
    *options: str,
    credits_each: Annotated[int, Parameter(name="--credits")] = 100,
    text: str = NOTHING,
    kind: str = "priorities",
    dry_run: bool = False,
) -> None:
    """Ask members to rank options by spreading equal credits over them: a participatory budget.

    Args:
        title: One line.
        options: What there is to choose from, two at least.
        credits_each: Credits of each member.
        text: Digest of the full text: @FILE, or 0x-hex.
        kind: Type of proposal, by name or number.
        dry_run: Sign and send nothing; show what would happen.
    """
    _put_forward(open_actor(), "call_priorities", kind, title, text, options, credits_each, dry_run=dry_run)


def _put_forward(
    actor: Actor, how: str, kind: str, title: str, text: str, *more: Value, dry_run: bool
) -> None:
    """Make a proposal by a method of voting, and show what happened."""
    contract, method = find_method(f"voting.{how}")
    document = bytes(32) if text == NOTHING else read_digest(text)
    arguments = (actor.address, _type_of(actor.words, kind), title, document, *more)
    for field, value in zip(method.arguments, arguments, strict=True):
        if not field.kind.holds(value):
            raise Failure(
                "Nothing was proposed.",
                f"what stands for {field.name} is not {explain_kind(field.kind)}.",
                "see the command with --help",
                "cli.usage",
                Exit.USAGE,
            )
    call = (contract.id, method.id, 0, tuple([literal(value) for value in arguments]))
    show_receipt(act(actor, (call,), dry_run=dry_run), actor.words)


@petition_app.command
def start(
    title: str,
    program: Annotated[str, PROGRAM] = NOTHING,
    /,
    *,
    text: str = NOTHING,
    kind: str = "petition",
    dry_run: bool = False,
) -> None:
    """Start a petition. With enough signatures it is a proposal, and its discussion starts by itself.

    Args:
        title: One line.
        program: What shall be done when it passes, if anything.
        text: Digest of the full text: @FILE, or 0x-hex.
        kind: Type of proposal, by name or number, of those that ask for signatures.
        dry_run: Sign and send nothing; show what would happen.
    """
    propose(kind, title, program, text=text, dry_run=dry_run)


@petition_app.command
def sign(petition: int, /, *, dry_run: bool = False) -> None:
    """Sign a petition, yours too.

    Args:
        petition: Number of the proposal that it shall be.
        dry_run: Sign and send nothing; show what would happen.
    """
    act_and_show([("voting.sponsor", [str(petition)])], dry_run=dry_run)


@petition_app.command(name="list")
def list_petitions() -> None:
    """List petitions that wait for signatures."""
    client = session.client()
    words = open_words(client, session.home.chain().genesis)
    rows = client.call("gov_list", state="draft")["items"]
    lines = [f"{row['proposal']:>4}  {row['title']}, until {words.show_time(row['ends'])}" for row in rows]
    session.terminal.show(rows, "\n".join(lines) if lines else "none")


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


def show_lines(proposal: dict[str, Any], counts: dict[str, Any], raw: bytes, words: Words) -> list[str]:
    """Say what a proposal would do, how it stands, and what it still takes."""
    lines = [f"proposal {proposal['proposal']}: {proposal['title']}: {STATES[proposal['state']]}"]
    lines += describe_program(raw, words) if raw else []
    lines.append(
        f"  yes {counts['yes']}, no {counts['no']}, abstain {counts['abstain']} of {counts['electorate']}"
    )
    if proposal["state"] == OPEN:
        lines.append(
            f"  votes from {words.show_time(proposal['starts'])} to {words.show_time(proposal['ends'])}"
        )
        lines += _hearing_lines(words, proposal["proposal"])
        lines += _missing_lines(proposal, counts["missingYes"])
    if proposal["state"] == PASSED:
        lines.append(f"  runs from {words.show_time(proposal['ready'])} on")
        lines += _objection_lines(words.client, proposal["proposal"])
    if proposal["kind"] == PRIORITIES_KIND:
        lines += _ranking_lines(words.client, proposal["proposal"])
    if proposal["code"]:
        lines.append(
            f"  its program failed {proposal['tries']} times, the last time with code {proposal['code']}"
        )
    return lines


def _missing_lines(proposal: dict[str, Any], missing: int | None) -> list[str]:
    if proposal["kind"] != PROGRAM_KIND:
        return []
    if missing is None:
        return ["  it cannot pass any more"]
    return [f"  {missing} more yes needed"] if missing else ["  enough yes, as it stands"]


def _hearing_lines(words: Words, proposal: int) -> list[str]:
    time = words.client.call("voting_hearing", proposal=proposal)["value"]
    return [] if time is None else [f"  hearing at {words.show_time(time)}"]


def _objection_lines(client: RpcClient, proposal: int) -> list[str]:
    known = ask(client, "voting_objections", proposal=proposal)
    if not known["needed"]:
        return []
    return [f"  {known['members']} members object; {known['needed']} stop it"]


def _ranking_lines(client: RpcClient, proposal: int) -> list[str]:
    rows = client.call("voting_ranking", proposal=proposal)["value"]
    return [f"  {row['votes'] // 1_000:>6}.{row['votes'] % 1_000:03}  {row['name']}" for row in rows]


@vote_app.default
def cast(proposal: int, choice: str, /, *, dry_run: bool = False) -> None:
    """Vote.

    Args:
        proposal: Its number.
        choice: yes, no or abstain.
        dry_run: Sign and send nothing; show what would happen.
    """
    act_and_show([("voting.vote", [str(proposal), choice])], dry_run=dry_run)


@vote_app.command
def show(proposal: int, /, *, prove: bool = False) -> None:
    """Show a proposal: what it would do, how it stands, how many yes are missing.

    Args:
        proposal: Its number.
        prove: Check on this machine, by a proof from genesis on, what was cast.
    """
    client = session.client()
    words = open_words(client, session.home.chain().genesis)
    row = ask(client, "voting_proposal", proposal=proposal)
    counts = ask(client, "voting_tally", proposal=proposal)
    raw = client.call("voting_program", proposal=proposal)["value"]
    lines = show_lines(row, counts, bytes.fromhex(raw[2:]) if raw else b"", words)
    if row["state"] == DRAFT:
        needed = client.call("gov_get", proposal=proposal)["policy"]["sponsors"]
        lines.append(f"  {row['sponsors']} of {needed} have signed, until {words.show_time(row['ends'])}")
    if prove:
        lines.append(_prove_tally(client, proposal))
    session.terminal.show({"proposal": row, "tally": counts}, "\n".join(lines))


def _prove_tally(client: RpcClient, proposal: int) -> str:
    """Ask for what was cast with its proof, check that, and say what it proves."""
    answer = client.call("gov_getTally", proposal=proposal, prove=True)
    try:
        header, value, signers = check_record_proof(
            answer["proof"], TALLIES.key(proposal), session.home.epochs()
        )
    except Rejected as rejected:
        raise failure_of_rejection(rejected, session.terminal.language) from None
    row = (SCHEMA, 0, 0, 0, 0, 0, 0) if value is None else codec.decode(value, len(value))
    names = ("yes", "no", "abstain", "carriedYes", "carriedNo", "carriedAbstain")
    if not isinstance(row, tuple) or row[1:] != tuple([answer[name] for name in names]):
        wrong = Rejected(Code.BAD_PROOF, "the figures are not those of the record")
        raise failure_of_rejection(wrong, session.terminal.language)
    shown = ", ".join(f"{name} {answer[name]}" for name in names[:3])
    return f"  proven for block {header.height:,}: {shown}; signed by {', '.join(signers)}"


@vote_app.command
def seal(proposal: int, choice: str, /, *, dry_run: bool = False) -> None:
    """Leave a sealed ballot. Its salt is saved beside your keys: without it nobody can open the ballot.

    Args:
        proposal: Its number.
        choice: yes, no or abstain.
        dry_run: Sign and send nothing; show what would happen.
    """
    actor = open_actor()
    number = CHOICES.get(choice)
    if number is None:
        raise Failure(
            "This is no ballot.", f"{choice[:20]!r}.", "say yes, no or abstain", "cli.usage", Exit.USAGE
        )
    salt = secrets.token_bytes(32)
    member = actor.words.member(actor.name)
    commitment = compute_commitment(actor.genesis.compute_hash(), proposal, member, number, salt)
    file = _ballot_file(actor, proposal)
    before = file.read_bytes() if file.exists() else b""
    act_and_show(
        [("voting.commit", [str(proposal), "0x" + commitment.hex()])],
        dry_run=dry_run,
        keep=lambda: write_whole(file, before + f"{choice} {salt.hex()}\n".encode()),
    )


@vote_app.command(name="open")
def open_ballot(proposal: int, /, *, dry_run: bool = False) -> None:
    """Open your sealed ballot, once the vote has ended.

    Args:
        proposal: Its number.
        dry_run: Sign and send nothing; show what would happen.
    """
    file = _ballot_file(open_actor(), proposal)
    ballots = file.read_text(encoding="ascii").splitlines() if file.exists() else []
    refused = Failure(
        "Your ballot cannot be opened here.",
        f"this machine has sealed none for proposal {proposal}.",
        "open it where you sealed it",
        "cli.nothing",
    )
    for ballot in reversed(ballots):  # The newest may never have reached the chain.
        choice, _, salt = ballot.partition(" ")
        try:
            act_and_show([("voting.reveal", [str(proposal), choice, "0x" + salt])], dry_run=dry_run)
        except Failure as failure:
            if not failure.label.endswith("voting.other_ballot"):
                raise
            refused = failure
        else:
            return
    raise refused


@vote_app.command
def stand(election: int, /, *, dry_run: bool = False) -> None:
    """Stand for election, before the vote starts.

    Args:
        election: Number of the proposal.
        dry_run: Sign and send nothing; show what would happen.
    """
    act_and_show([("voting.stand", [str(election)])], dry_run=dry_run)


@vote_app.command
def stand_down(election: int, /, *, dry_run: bool = False) -> None:
    """Stand for election no more; papers that name you pass on to whom they name next.

    Args:
        election: Number of the proposal.
        dry_run: Sign and send nothing; show what would happen.
    """
    act_and_show([("voting.stand_down", [str(election)])], dry_run=dry_run)


@vote_app.command
def rank(election: int, /, *candidates: str, dry_run: bool = False) -> None:
    """Cast a paper in an election.

    Args:
        election: Number of the proposal.
        candidates: Members who stand, the best first; under approval in any order.
        dry_run: Sign and send nothing; show what would happen.
    """
    actor = open_actor()
    standing = actor.client.call("voting_candidates", proposal=election)["value"]
    numbers = {row["member"]: row["candidate"] for row in standing}
    paper = [numbers.get(actor.words.member(who)) for who in candidates]
    if not paper or None in paper:
        raise Failure(
            "This is no paper of the election.",
            "a paper names members who stand for it.",
            f"see: coop query voting candidates {election}",
            "cli.nothing",
        )
    act_and_show([("voting.rank", [str(election), str(paper)])], dry_run=dry_run)


@vote_app.command
def spread(proposal: int, /, *credits_of: str, dry_run: bool = False) -> None:
    """Spread your credits over the options of a proposal that ranks them; n votes for one cost n * n.

    Args:
        proposal: Its number.
        credits_of: OPTION=CREDITS, each option once.
        dry_run: Sign and send nothing; show what would happen.
    """
    rows = session.client().call("voting_ranking", proposal=proposal)["value"]
    options = {row["name"]: row["option"] for row in rows}
    wanted = [part.rpartition("=") for part in credits_of]
    if not wanted or any(name not in options or not amount.isdecimal() for name, _, amount in wanted):
        raise Failure(
            "This spreads no credits.",
            f"options are {', '.join(options) or 'none'}.",
            "say OPTION=CREDITS for each that you want",
            "cli.usage",
            Exit.USAGE,
        )
    spread_over = [{"option": options[name], "credits": int(amount)} for name, _, amount in wanted]
    act_and_show([("voting.spread", [str(proposal), json.dumps(spread_over)])], dry_run=dry_run)


@vote_app.command(name="object")
def object_to(proposal: int, /, *, dry_run: bool = False) -> None:
    """Object to what has passed before it runs, where its type lets members or your office stop it.

    Args:
        proposal: Its number.
        dry_run: Sign and send nothing; show what would happen.
    """
    act_and_show([("voting.veto", [str(proposal)])], dry_run=dry_run)


@vote_app.command
def leave(proposal: int, /, *, dry_run: bool = False) -> None:
    """Leave the co-op over what has passed against your vote, with all free shares, where its type allows it.

    Args:
        proposal: Its number.
        dry_run: Sign and send nothing; show what would happen.
    """
    act_and_show([("voting.leave", [str(proposal)])], dry_run=dry_run)


@vote_app.command
def may(proposal: int, who: str = NOTHING, /) -> None:
    """Say whether a member may vote on a proposal, with what weight, and how he did; or why not.

    Args:
        proposal: Its number.
        who: Contact or address; you, when nobody is named.
    """
    client = session.client()
    name = session.me()[0] if who == NOTHING else who
    address = format_address(session.home.find_address(name), session.home.chain().hrp)
    right = client.call("gov_getEligibility", proposal=proposal, address=address)
    ballot = client.call("gov_getVote", proposal=proposal, address=address)
    if right["mayVote"]:
        text = f"{name} may vote on proposal {proposal}, with weight {right['weight']}"
        cast_so_far = ballot["own"] + ballot["carried"]
        text += f"; has voted {ballot['choice']}, for {cast_so_far}" if ballot["choice"] else ""
    else:
        why = WHY_NOT[right["rule"]].format(limit=right["limit"], actual=right["actual"])
        text = f"{name} may not vote on proposal {proposal}: {why}\n  Rule {right['rule']}"
    session.terminal.show({"right": right, "ballot": ballot}, text)


def _ballot_file(actor: Actor, proposal: int) -> Path:
    return session.home.path / f"ballot-{actor.address.hex()[:16]}-{proposal}"


vote_commands: Final[dict[str, Any]] = {
    "propose": propose, "call-election": call_election, "call-priorities": call_priorities,
    "petition": petition_app, "vote": vote_app,
    "delegate": delegate, "undelegate": undelegate,
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
    saved = session.home.path / f"salt-{commitment.hex()[:16]}"
    keep = None if plain else (lambda: write_whole(saved, salt.hex().encode()))
    act_and_show([("docs.register", ["0x" + commitment.hex(), kind, keep_until])], keep=keep)


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
