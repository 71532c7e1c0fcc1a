"""What `coop` puts before the members: what does not fit is refused before anything is signed."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from node.cli.member import acting
from node.cli.member.member_session import session
from node.cli.member.votes import call_election, call_priorities, open_ballot, propose, seal
from node.cli.terminal import Failure
from node.cluster.founding import demo_phrase
from protocol.contracts.voting.elections import SEATS_MAX
from tests.node.cli.member.in_process import open_session
from tests.node.small_chain import SmallChain

DAY = 86_400


@pytest.fixture
def chain(tmp_path: Path) -> SmallChain:
    founded = SmallChain(tmp_path / "store", (int(time.time()) - 60) * 1_000)
    founded.commit_later(1)
    return founded


@pytest.mark.parametrize(
    ("put", "why"),
    [
        (lambda: call_priorities("what first", "a well", kind="1"), "options"),
        (lambda: call_priorities("what first", "a well", "a road", credits_each=0, kind="1"), "credits"),
        (lambda: call_election("a seat", "board", seats=SEATS_MAX + 1, kind="1"), "seats"),
        (lambda: propose("1", "t" * 129), "title"),
    ],
)
def test_what_no_proposal_can_be_is_said_with_the_word_that_does_not_fit(
    put: Callable[[], None], why: str, chain: SmallChain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in open_session(chain, tmp_path / "home", monkeypatch):
        with pytest.raises(Failure) as refused:
            put()
        assert refused.value.what == "Nothing was proposed."
        assert f"what stands for {why} is not" in refused.value.why


def test_what_a_type_lacks_is_said_by_the_chain(
    chain: SmallChain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    puts: tuple[Callable[[], None], ...] = (
        lambda: call_election("a seat", "board", kind="1"),
        lambda: call_priorities("what first", "a well", "a road", kind="1"),
        lambda: propose("1", "a recall", hearing="+60h"),
        lambda: propose("1", "a wish"),
    )
    for _ in open_session(chain, tmp_path / "home", monkeypatch):
        for put in puts:
            with pytest.raises(Failure) as refused:
                put()
            assert "There is no such type" in refused.value.what


def test_a_sealed_ballot_opens_when_a_later_one_never_reached_the_chain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    chain = SmallChain(tmp_path / "store", (int(time.time()) - 60) * 1_000, is_village=True)
    chain.commit()
    text = tmp_path / "why.txt"
    text.write_text("Gus missed every meeting.")
    for _ in open_session(chain, tmp_path / "home", monkeypatch):
        session.home.keyring.recover("gus", demo_phrase("gus"), None)
        propose("recall", "Gus leaves", "members.revoke_role gus board", text=f"@{text}", hearing="+60h")
        chain.commit_later(3 * DAY)
        seal(1, "yes")
        with monkeypatch.context() as broken:
            broken.setattr(acting, "send", lose)
            with pytest.raises(Failure):
                seal(1, "no")
        chain.commit_later(7 * DAY)
        open_ballot(1)
        assert "voting.cast: proposal 1, member 1, choice yes" in capsys.readouterr().out
        with pytest.raises(Failure) as refused:
            open_ballot(2)
        assert refused.value.label == "cli.nothing"


def lose(*_: object) -> None:
    raise Failure("No answer.", "the node is gone.", "wait", "rpc.unreachable", is_applied_unknown=True)
