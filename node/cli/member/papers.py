"""A registrar's vault of members' papers: keep, show, list, erase; and the tags by which nobody joins twice.

The chain has commitments, tags and how long papers must be kept; the papers themselves never leave this
machine (`node/wallet/vault.py`).
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from cyclopts import App

from node.cli.member.acting import act_and_show, ask, number_of_member, open_words
from node.cli.member.member_session import session
from node.cli.member.typed import Words
from node.cli.rpc_client import RpcClient
from node.cli.terminal import Failure
from node.rpc.values import from_hex
from node.wallet.vault import Papers, Vault, shape_name
from protocol.errors import Rejected
from protocol.types import Hash32

KIND = "papers"

papers_app = App(name="papers", help="Papers of members, sealed on this machine; for registrars.")


def open_vault() -> Vault:
    """Open the vault of whoever acts.

    Raises:
        Failure: no key, or one must be named.
    """
    name, address = session.me()
    secret = session.home.keyring.load(name, session.passphrase(name))
    return Vault(session.home.path / f"papers-{address.hex()[:16]}", secret)


def read_secret(prompt: str) -> str:
    """Read a line that must not stand in the history of a shell: typed unseen, or from standard input."""
    return session.terminal.secret(prompt) if sys.stdin.isatty() else sys.stdin.readline().strip()


@papers_app.command
def keep(member: str, file: Path, /, *, salt: str, keep_until: str, dry_run: bool = False) -> None:
    """Check papers against what the member committed to, seal them, and put on record how long they stay.

    Args:
        member: Name or number.
        file: The papers, as the member brought them.
        salt: As the member got it: 0x-hex, or @FILE that `coop apply` has written.
        keep_until: Date until which the law wants them kept.
        dry_run: Keep, sign and send nothing; show what would happen.
    """
    words, found = _find_member(member)
    try:
        content = file.read_bytes()
    except OSError as error:
        raise Failure(
            "The papers were not kept.", f"{file}: {error.strerror}.", "check the path", "papers.file"
        ) from None
    papers = Papers(found["member"], shape_name(file.name), _read_salt(salt), content)
    commitment = papers.compute_commitment()
    if "0x" + commitment.hex() != found["kycCommit"]:
        raise Failure(
            "These are not the papers that the member committed to.",
            f"salt and file make 0x{commitment.hex()[:16]}..., the chain has {found['kycCommit'][:18]}...",
            "ask for the file as it was, and for the salt of that application",
            "papers.other",
        )
    if not dry_run:
        open_vault().keep(papers)
    until = keep_until if keep_until == "0" else str(words.seconds(keep_until))
    act_and_show([("docs.register", ["0x" + commitment.hex(), KIND, until])], dry_run=dry_run)


@papers_app.command
def show(member: str, file: Path, /) -> None:
    """Unseal the newest papers of a member into a file, which only you can read.

    Args:
        member: Name or number.
        file: Where to write them; it must not exist.
    """
    _, found = _find_member(member)
    papers = open_vault().open(from_hex(found["kycCommit"]))
    try:
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as target:
            target.write(papers.content)
    except OSError as error:
        raise Failure(
            "The papers were not written.",
            f"{file}: {error.strerror}.",
            "name a file that does not exist, in a folder that does",
            "papers.file",
        ) from None
    shown = {"member": papers.member, "name": papers.name, "bytes": len(papers.content), "file": str(file)}
    session.terminal.show(shown, f"{papers.name}, {len(papers.content):,} bytes, is in {file}")


@papers_app.command(name="list")
def list_papers() -> None:
    """List what the vault holds, and until when it must."""
    client = session.client()
    words = open_words(client, session.home.chain().genesis)
    vault, rows, lines = open_vault(), [], []
    for commitment in vault.commitments():
        papers, document = vault.open(commitment), _find_document(client, commitment)
        until = 0 if document is None else int(document["keepUntil"])
        rows.append({"member": papers.member, "name": papers.name, "keepUntil": until})
        lines.append(
            f"member {papers.member}   {papers.name}, {len(papers.content):,} bytes"
            + (f", kept until {words.show_time(until)}" if until else "")
        )
    session.terminal.show(rows, "\n".join(lines) or "the vault is empty")


@papers_app.command
def erase(member: str, /, *, dry_run: bool = False) -> None:
    """Say on the chain that a member's papers are destroyed, and destroy them; not before their time.

    Args:
        member: Name or number.
        dry_run: Destroy, sign and send nothing; show what would happen.
    """
    _, found = _find_member(member)
    client, vault = session.client(), open_vault()
    mine = [one for one in vault.commitments() if vault.open(one).member == found["member"]]
    if not mine:
        raise Failure(
            "There are no papers of this member here.",
            "the vault has none, or they were erased already.",
            "see: coop papers list",
            "papers.none",
        )
    documents = {one: _find_document(client, one) for one in mine}
    calls = [
        ("docs.erase", [str(document["document"])])
        for document in documents.values()
        if document is not None and not document["erased"]
    ]
    if calls:
        act_and_show(calls, dry_run=dry_run)
    for commitment in () if dry_run else mine:
        vault.erase(commitment)
    session.terminal.note(
        f"papers of {member} {'that would be' if dry_run else 'that are'} destroyed: {len(mine)}"
    )


@papers_app.command
def tag() -> None:
    """Show the tag of a national number, which is asked for: the same number always makes the same tag."""
    made = "0x" + open_vault().compute_tag(read_secret("national number: ")).hex()
    session.terminal.show({"tag": made}, made)


@papers_app.command
def pepper(*, take: bool = False) -> None:
    """Show the secret by which tags are made, for the co-op's other registrars alone; or take theirs over.

    Args:
        take: Ask for the one of another registrar, before you make a tag of your own.
    """
    vault = open_vault()
    if take:
        text = read_secret("pepper: ")
        try:
            vault.set_pepper(from_hex(text))
        except Rejected:
            vault.set_pepper(b"")
        session.terminal.show({"taken": True}, "You make the same tags now.")
        return
    shown = "0x" + vault.pepper().hex()
    session.terminal.show({"pepper": shown}, shown)


def _find_member(who: str) -> tuple[Words, dict[str, Any]]:
    client, chain = session.client(), session.home.chain()
    words = open_words(client, chain.genesis)
    found: dict[str, Any] = ask(client, "members_member", member=number_of_member(words, who))
    return words, found


def _find_document(client: RpcClient, commitment: Hash32) -> dict[str, Any] | None:
    found: dict[str, Any] | None = client.call("docs_find", commitment="0x" + commitment.hex())["value"]
    return found


def _read_salt(text: str) -> bytes:
    try:
        if text.startswith("@"):
            return bytes.fromhex(json.loads(Path(text[1:]).read_text(encoding="utf-8"))["salt"])
        return from_hex(text)
    except (OSError, ValueError, KeyError, TypeError, Rejected):
        raise Failure(
            "The salt cannot be read.",
            f"{text[:60]!r} is neither 0x-hex nor a file of `coop apply`.",
            "ask the member for the file papers-NAME.json, and name it as @FILE",
            "papers.salt",
        ) from None
