"""What `coop` puts before the members: what does not fit is refused before anything is signed."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from node.cli.member.votes import call_election, call_priorities, propose
from node.cli.terminal import Failure
from protocol.contracts.voting.elections import SEATS_MAX
from tests.node.cli.member.in_process import open_session
from tests.node.small_chain import SmallChain


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
