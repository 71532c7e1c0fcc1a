"""The clock that can be set wrong, and the record of signatures: a second content at one place is seen."""

import time
from pathlib import Path

from node.signer import Place, SignKind
from protocol.types import EpochNumber, Hash32, Height, View
from tests.nemesis.child import ClockFile, Signed, list_contradictions, read_signed
from tests.nemesis.faults import DAY_MS

ONE, OTHER = Hash32(b"\1" * 32), Hash32(b"\2" * 32)


def signed(height: int, view: int, digest: Hash32, kind: SignKind = SignKind.ACK) -> Signed:
    return Signed(Place(kind, EpochNumber(0), Height(height), View(view)), digest)


def test_a_clock_is_wrong_for_whoever_reads_the_file_and_only_as_long_as_it_is_told(tmp_path: Path) -> None:
    ours, theirs = ClockFile(tmp_path / "clock"), ClockFile(tmp_path / "clock")
    assert abs(theirs.wall_ms() - time.time() * 1_000) < DAY_MS / 2
    ours.set(DAY_MS)
    assert theirs.wall_ms() - time.time() * 1_000 > DAY_MS / 2
    ours.set()
    assert abs(theirs.wall_ms() - time.time() * 1_000) < DAY_MS / 2


def test_a_fast_clock_gains_on_the_time_that_passes(tmp_path: Path) -> None:
    clock = ClockFile(tmp_path / "clock")
    clock.set(rate_ppm=1_000_000_000)
    first = clock.wall_ms()
    time.sleep(0.02)
    assert clock.wall_ms() - first >= 20_000


def test_the_same_content_again_and_later_places_are_no_contradiction() -> None:
    said = [signed(1, 0, ONE), signed(1, 0, ONE), signed(1, 1, OTHER), signed(2, 0, OTHER)]
    assert list_contradictions([*said, signed(1, 0, OTHER, SignKind.PROPOSAL)]) == []


def test_an_early_proposal_does_not_silence_the_height_below() -> None:
    early = signed(3, 0, ONE, SignKind.PROPOSAL)
    below = signed(2, 1, OTHER, SignKind.PROPOSAL)
    assert list_contradictions([early, below]) == []
    assert len(list_contradictions([early, below, signed(3, 0, OTHER, SignKind.PROPOSAL)])) == 1


def test_a_second_content_and_a_step_back_are_seen() -> None:
    assert len(list_contradictions([signed(1, 0, ONE), signed(1, 0, OTHER)])) == 1
    assert len(list_contradictions([signed(2, 0, ONE), signed(1, 5, ONE)])) == 1


def test_a_line_that_was_cut_short_was_never_handed_out(tmp_path: Path) -> None:
    record = tmp_path / "signed"
    line = f"{SignKind.ACK:d} 0 7 2 {ONE.hex()} ."
    record.write_text(f"{line}\n{line[:-5]}")
    assert read_signed(record) == [signed(7, 2, ONE)]
