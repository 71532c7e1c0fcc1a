"""Who floods or lies is cut off, each for himself; who does neither is not."""

import pytest

from node.net.offences import (
    BAN_SECONDS,
    FORGIVEN_A_SECOND,
    OVER_RATE_POINTS,
    POINTS_MAX,
    WRONG_POINTS,
    Offences,
    Rate,
)
from node.net.transport import PeerId

LIAR, HONEST = PeerId(b"\2" * 33), PeerId(b"\3" * 33)
RATES = {1: Rate(10, 20), 2: Rate(100, 100)}


def test_a_burst_and_then_the_rate() -> None:
    offences = Offences(RATES)
    assert [offences.allows(LIAR, 1, 0.0) for _ in range(21)] == [True] * 20 + [False]
    assert all(offences.allows(HONEST, 1, 0.0) and offences.allows(LIAR, 2, 0.0) for _ in range(20))
    assert not offences.allows(LIAR, 1, 0.09)
    assert offences.allows(LIAR, 1, 0.11) and not offences.allows(LIAR, 1, 0.11)
    assert [offences.allows(LIAR, 1, 1_000.0) for _ in range(21)] == [True] * 20 + [False]
    assert all(offences.allows(LIAR, 3, 0.0) for _ in range(1_000))


@pytest.mark.parametrize(("short", "is_cut"), [(1, False), (0, True)])
def test_points_up_to_the_limit(short: int, is_cut: bool) -> None:
    offences = Offences(RATES)
    assert not offences.note(LIAR, POINTS_MAX - 1 - short, 0.0)
    assert offences.note(LIAR, 1, 0.0) is is_cut
    assert offences.is_banned(LIAR, 0.0) is is_cut and not offences.is_banned(HONEST, 0.0)


def test_points_are_forgiven_with_time() -> None:
    offences = Offences(RATES)
    for second in range(1_000):
        assert not offences.note(LIAR, FORGIVEN_A_SECOND, float(second))
    seconds = (POINTS_MAX // WRONG_POINTS) * WRONG_POINTS // FORGIVEN_A_SECOND
    assert not offences.note(LIAR, POINTS_MAX - 1, 1_000.0 + seconds)


def test_a_ban_ends_and_begins_anew() -> None:
    offences = Offences(RATES)
    assert offences.note(LIAR, POINTS_MAX, 0.0)
    assert not offences.note(LIAR, POINTS_MAX, 1.0), "it is cut off already"
    assert offences.is_banned(LIAR, BAN_SECONDS - 0.01) and not offences.is_banned(LIAR, BAN_SECONDS)


@pytest.mark.parametrize("kind", sorted(RATES))
def test_ten_times_the_rate_is_cut_off_and_the_rate_is_not(kind: int) -> None:
    offences = Offences(RATES)
    for peer, times in ((LIAR, 10), (HONEST, 1)):
        step = 1 / (RATES[kind].frames_a_second * times)
        read, cut_at = 0, None
        for number in range(100 * times * RATES[kind].frames_a_second):
            now = number * step
            if offences.is_banned(peer, now):
                continue
            if offences.allows(peer, kind, now):
                read += 1
            elif offences.note(peer, OVER_RATE_POINTS, now) and cut_at is None:
                cut_at = now
        assert (cut_at is not None) is (peer is LIAR), (peer, cut_at)
        assert read <= 100 * RATES[kind].frames_a_second + RATES[kind].burst_frames
