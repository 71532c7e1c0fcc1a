"""A registrar's papers by command: held against the commitment, shown, kept while the law says, erased."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.cli.member import acting
from node.cli.member.acting import act_and_show
from node.cli.member.member_session import session
from node.cli.member.membership import apply_for_membership
from node.cli.member.papers import erase, keep, list_papers, open_vault, pepper, show, tag
from node.cli.terminal import Failure
from node.cluster.founding import demo_phrase
from node.errors import OperationError
from tests.node.cli.member.in_process import open_session
from tests.node.rpc.conftest import Caller
from tests.node.small_chain import SmallChain


@pytest.fixture
def gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Caller]:
    """A village in which nia has applied with papers, and ren, its registrar, acts."""
    chain = SmallChain(tmp_path / "store", int(time.time() * 1_000) - 60_000, is_village=True)
    chain.commit()
    for gateway in open_session(chain, tmp_path / "home", monkeypatch):
        for name in ("ren", "nia"):
            session.home.keyring.recover(name, demo_phrase(name), None)
        session.acts_as = "ren"
        act_and_show([("auth.open", ["nia"])])
        papers = tmp_path / "nia.txt"
        papers.write_text("Nia, born 1990")
        session.acts_as = "nia"
        apply_for_membership(papers=papers)
        session.acts_as = "ren"
        yield gateway


def salt() -> str:
    return f"@{session.home.path / 'papers-nia.json'}"


def refusal(call: object, *arguments: object, **options: object) -> str:
    with pytest.raises(Failure) as refused:
        call(*arguments, **options)  # type: ignore[operator]
    return refused.value.label


def test_only_the_papers_of_the_application_are_kept(
    gateway: Caller, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.txt"
    other.write_text("Nia, born 1991")
    assert refusal(keep, "nia", other, salt=salt(), keep_until="0") == "papers.other"
    assert refusal(keep, "nia", tmp_path / "nia.txt", salt="0x00", keep_until="0") == "papers.other"
    assert refusal(keep, "nia", tmp_path / "nia.txt", salt="@nothing", keep_until="0") == "papers.salt"
    assert refusal(keep, "nia", tmp_path / "nothing", salt=salt(), keep_until="0") == "papers.file"
    assert refusal(keep, "nobody", other, salt=salt(), keep_until="0") in ("member.no_contact", "cli.nothing")
    assert open_vault().commitments() == () and refusal(erase, "nia") == "papers.none"
    assert (session.home.path / "papers-nia.json").stat().st_mode & 0o077 == 0
    keep("nia", tmp_path / "nia.txt", salt=salt(), keep_until="0", dry_run=True)
    assert open_vault().commitments() == ()


def test_kept_shown_and_erased(gateway: Caller, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keep("nia", tmp_path / "nia.txt", salt=salt(), keep_until="0")
    list_papers()
    assert "nia.txt, 14 bytes" in capsys.readouterr().out
    shown = tmp_path / "shown.txt"
    show("nia", shown)
    assert shown.read_text() == "Nia, born 1990" and shown.stat().st_mode & 0o077 == 0
    assert refusal(show, "nia", shown) == "papers.file"
    erase("nia", dry_run=True)
    assert len(open_vault().commitments()) == 1
    erase("nia")
    assert open_vault().commitments() == () and "docs.erased" in capsys.readouterr().out
    with pytest.raises(OperationError, match="no such papers"):
        show("nia", tmp_path / "again.txt")


def test_what_must_be_kept_stays(gateway: Caller, tmp_path: Path) -> None:
    keep("nia", tmp_path / "nia.txt", salt=salt(), keep_until="2990-01-01")
    assert refusal(erase, "nia").endswith("docs.retained")
    assert len(open_vault().commitments()) == 1


def test_a_crash_after_the_tombstone_leaves_something_to_destroy(gateway: Caller, tmp_path: Path) -> None:
    keep("nia", tmp_path / "nia.txt", salt=salt(), keep_until="0")
    (commitment,) = open_vault().commitments()
    found = gateway.call("docs_find", commitment="0x" + commitment.hex())["value"]
    act_and_show([("docs.erase", [str(found["document"])])])
    erase("nia")
    assert open_vault().commitments() == ()


def test_registrars_share_a_pepper(
    gateway: Caller, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("node.cli.member.papers.read_secret", lambda prompt: "370282-1990")
    tag()
    made = capsys.readouterr().out
    pepper()
    given = capsys.readouterr().out.strip()
    session.acts_as = "ada"
    monkeypatch.setattr("node.cli.member.papers.read_secret", lambda prompt: given)
    pepper(take=True)
    capsys.readouterr()
    monkeypatch.setattr("node.cli.member.papers.read_secret", lambda prompt: "3702 82 1990")
    tag()
    assert capsys.readouterr().out == made
    monkeypatch.setattr("node.cli.member.papers.read_secret", lambda prompt: "xyz")
    with pytest.raises(OperationError, match="no pepper"):
        pepper(take=True)


def test_the_salt_of_an_application_is_kept_before_it_is_sent_and_outlives_a_refused_one(
    gateway: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose(*_: object) -> None:
        raise Failure("No answer.", "the node is gone.", "wait", "rpc.unreachable", is_applied_unknown=True)

    session.home.keyring.recover("oz", demo_phrase("oz"), None)
    act_and_show([("auth.open", ["oz"])])
    first = Path(salt()[1:]).read_bytes()
    session.acts_as = "nia"
    assert refusal(apply_for_membership) != "rpc.unreachable", "she has applied already"
    assert Path(salt()[1:]).read_bytes() == first
    session.acts_as = "oz"
    monkeypatch.setattr(acting, "send", lose)
    assert refusal(apply_for_membership) == "rpc.unreachable"
    assert len(bytes.fromhex(json.loads((session.home.path / "papers-oz.json").read_text())["salt"])) == 32
