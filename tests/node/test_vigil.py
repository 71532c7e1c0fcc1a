"""When a validator may sign: not without its guard, not below lost votes, not while its key is elsewhere."""

import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from node.errors import OperationError
from node.signer import Place, Signer, SignKind
from node.vigil import HEIGHTS_HEARD, IDLE_SECONDS, LOOK_SECONDS, Vigil
from protocol import crypto
from protocol.chain.block import Header
from protocol.chain.certificate import Certificate
from protocol.consensus.safety import RaftSafety
from protocol.crypto import SecretKey
from protocol.types import EpochNumber, Hash32, Height, View
from tests.node.small_chain import SmallChain

DIGEST = Hash32(bytes(31) + b"\1")


class Life:
    """One run of a validator: its signer and its vigil, over a chain that somebody else makes."""

    def __init__(
        self, chain: SmallChain, guard: Path, secret: SecretKey, restored: RaftSafety | None = None
    ) -> None:
        self.chain = chain
        self.signer = Signer.open(guard, secret)
        self.releases = 0
        self.is_catching_up = False
        self.vigil = Vigil(self.signer, chain.executor.head.height, lambda: self.is_catching_up, self.release)
        self.vigil.begin(chain.store, restored)

    def release(self) -> None:
        self.releases += 1

    def note(self, header: Header, certificate: Certificate) -> None:
        self.vigil.note(header, certificate, self.chain.executor.record)

    def block(self, *signers: int, proposer: int = 2) -> Header:
        """Commit a block that these validators sign."""
        header, certificate = commit_by(self.chain, signers, proposer)
        self.note(header, certificate)
        return header


def commit_by(chain: SmallChain, signers: tuple[int, ...], proposer: int) -> tuple[Header, Certificate]:
    block = chain.build(proposer=proposer)
    certificate = chain.certify_by(block.height, block.id, signers)
    prepared = chain.executor.prepared(block.id)
    assert prepared is not None
    chain.executor.write([(prepared, certificate)])
    chain.executor.advance(prepared)
    return block.header, certificate


@pytest.fixture
def chain(tmp_path: Path) -> SmallChain:
    chain = SmallChain(tmp_path / "store", int(time.time() * 1_000) - 60_000)
    commit_by(chain, (1, 2), 2)
    return chain


@pytest.fixture
def guard(tmp_path: Path, chain: SmallChain) -> Path:
    """The signing record of validator 0, made on this machine."""
    path = tmp_path / "node" / "sign_state"
    Signer.create(path, crypto.public_key_of(chain.secret(0)))
    return path


def vote(signer: Signer, height: int, kind: SignKind = SignKind.ACK) -> None:
    signer.sign_at(Place(kind, EpochNumber(0), Height(height), View(1)), DIGEST)


def copied(guard: Path, tmp_path: Path) -> Path:
    """The whole folder of a node, copied."""
    shutil.copytree(guard.parent, tmp_path / "copy")
    return tmp_path / "copy" / guard.name


def test_a_restart_where_nothing_was_lost_holds_nobody(chain: SmallChain, guard: Path) -> None:
    assert not Life(chain, guard, chain.secret(0)).vigil.is_holding


def test_a_key_without_its_record_is_silent(chain: SmallChain, tmp_path: Path) -> None:
    signer = Signer.mute(tmp_path / "none", chain.secret(0))
    vigil = Vigil(signer, Height(1), lambda: False, lambda: None)
    vigil.begin(chain.store, None)
    assert vigil.is_holding and "coopd keys adopt" in vigil.why and "validator rotate" in vigil.why
    with pytest.raises(OperationError):
        vote(signer, 2)


async def test_a_copy_listens_and_signs_when_nobody_else_does(
    chain: SmallChain, guard: Path, tmp_path: Path, autojump_clock: MockClock
) -> None:
    path = copied(guard, tmp_path)
    life = Life(chain, path, chain.secret(0))
    assert life.vigil.is_holding
    async with trio.open_nursery() as nursery:
        nursery.start_soon(life.vigil.run)
        await trio.sleep(IDLE_SECONDS - 2 * LOOK_SECONDS)
        assert not life.releases
        await trio.sleep(4 * LOOK_SECONDS)
    assert life.releases == 1 and not life.vigil.is_holding
    life.signer.close()
    assert not Life(chain, path, chain.secret(0)).vigil.is_holding, "it lives here now"


@pytest.mark.parametrize("heights", [HEIGHTS_HEARD - 1, HEIGHTS_HEARD])
async def test_two_heights_are_enough(
    chain: SmallChain, guard: Path, tmp_path: Path, autojump_clock: MockClock, heights: int
) -> None:
    life = Life(chain, copied(guard, tmp_path), chain.secret(0))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(life.vigil.run)
        await trio.sleep(LOOK_SECONDS)
        for _ in range(heights):
            life.block(1, 2)
        await trio.sleep(3 * LOOK_SECONDS)
        assert life.releases == (1 if heights >= HEIGHTS_HEARD else 0)
        nursery.cancel_scope.cancel()


async def test_old_blocks_are_no_news(
    chain: SmallChain, guard: Path, tmp_path: Path, autojump_clock: MockClock
) -> None:
    life = Life(chain, copied(guard, tmp_path), chain.secret(0))
    life.is_catching_up = True
    async with trio.open_nursery() as nursery:
        nursery.start_soon(life.vigil.run)
        for _ in range(3):
            life.block(1, 2)
        await trio.sleep(3 * IDLE_SECONDS)
        assert not life.releases
        life.is_catching_up = False
        await trio.sleep(IDLE_SECONDS - LOOK_SECONDS)
        assert not life.releases
        await trio.sleep(3 * LOOK_SECONDS)
        assert life.releases == 1
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("proposer", [0, 2])
async def test_a_key_that_is_heard_elsewhere_is_silent_for_good(
    chain: SmallChain, guard: Path, tmp_path: Path, autojump_clock: MockClock, proposer: int
) -> None:
    life = Life(chain, copied(guard, tmp_path), chain.secret(0))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(life.vigil.run)
        life.block(*((1, 2) if proposer == 0 else (0, 1)), proposer=proposer)
        await trio.sleep(3 * IDLE_SECONDS)
    assert not life.releases and "elsewhere" in life.vigil.why
    with pytest.raises(OperationError) as caught:
        vote(life.signer, 9)
    assert caught.value.slug == "sign_state.elsewhere"


def test_a_second_copy_that_signs_later_ends_all_signing(chain: SmallChain, guard: Path) -> None:
    life = Life(chain, guard, chain.secret(0))
    vote(life.signer, 2)
    life.block(0, 1)
    assert not life.vigil.why
    life.block(0, 1)
    assert "block 3" in life.vigil.why
    with pytest.raises(OperationError):
        vote(life.signer, 9)


def test_own_votes_and_proposals_are_no_alarm(chain: SmallChain, guard: Path) -> None:
    life = Life(chain, guard, chain.secret(0))
    for height in (2, 3, 4):
        vote(life.signer, height, SignKind.PROPOSAL)
        vote(life.signer, height)
        life.block(0, 1, proposer=0)
    assert not life.vigil.why


def test_a_guard_that_was_set_back_is_found_by_the_chain(chain: SmallChain, guard: Path) -> None:
    old = guard.read_bytes()
    life = Life(chain, guard, chain.secret(0))
    vote(life.signer, 2)
    life.block(0, 1)
    life.signer.close()
    guard.write_bytes(old)
    again = Life(chain, guard, chain.secret(0))
    assert "set back" in again.vigil.why and again.vigil.is_holding


@pytest.mark.parametrize(("known", "held"), [(None, True), (4, True), (5, False)])
async def test_a_vote_whose_record_is_lost_is_not_cast_again(
    chain: SmallChain, guard: Path, known: int | None, held: bool, autojump_clock: MockClock
) -> None:
    first = Life(chain, guard, chain.secret(0))
    vote(first.signer, 5)
    first.signer.close()
    restored = None
    if known is not None:
        restored = RaftSafety(EpochNumber(0), Height(known), View(1), None, View(0), None)
    life = Life(chain, guard, chain.secret(0), restored)
    assert life.vigil.is_holding is held
    async with trio.open_nursery() as nursery:
        nursery.start_soon(life.vigil.run)
        while life.chain.executor.head.height < 4:
            life.block(1, 2)
        await trio.sleep(3 * IDLE_SECONDS)
        assert not life.releases
        life.block(1, 2)
        await trio.sleep(2 * LOOK_SECONDS)
        assert life.releases == int(held)
        nursery.cancel_scope.cancel()


def test_an_adopted_key_signs_above_what_its_operator_named(chain: SmallChain, tmp_path: Path) -> None:
    Signer.create(tmp_path / "adopted", crypto.public_key_of(chain.secret(0)), 3)
    life = Life(chain, tmp_path / "adopted", chain.secret(0))
    assert life.vigil.is_holding
    life.block(0, 1)
    life.block(0, 1)
    assert "signature" not in life.vigil.why, "up to there its operator knows"
    life.block(0, 1)
    assert "signature" in life.vigil.why


def test_a_machine_that_was_started_anew_listens(
    chain: SmallChain, guard: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = tmp_path / "boot_id"
    other.write_text("another start\n")
    monkeypatch.setattr("node.signer._BOOT_ID", other)
    assert Life(chain, guard, chain.secret(0)).vigil.is_holding


def test_a_lease_that_is_lost_costs_time_only(chain: SmallChain, guard: Path) -> None:
    os.unlink(guard.with_name(guard.name + ".lease"))
    life = Life(chain, guard, chain.secret(0))
    assert life.vigil.is_holding and "listens" in life.vigil.why
    vote(life.signer, 2)


def test_the_header_is_what_counts_not_its_order(chain: SmallChain, guard: Path) -> None:
    """A certificate of others above our guard is the daily life of a node that only follows."""
    life = Life(chain, guard, chain.secret(0))
    header = life.block(1, 2)
    life.note(replace(header, height=Height(900)), chain.certify_by(Height(900), header.compute_id(), (1, 2)))
    assert not life.vigil.why
