"""Who may begin a handshake: the limits, one above each, and that time gives back."""

import pytest

from node.net.doorstep import (
    AT_ONCE_MAX,
    AT_ONCE_PER_SOURCE_MAX,
    BURST_PER_SOURCE,
    RATE_PER_SOURCE_PER_S,
    SOURCES_MAX,
    Doorstep,
    source_of,
)


def test_one_source_gets_so_many_at_once_and_no_more() -> None:
    door = Doorstep()
    assert all(door.enter("10.0.0.1", 0.0) for _ in range(AT_ONCE_PER_SOURCE_MAX))
    assert not door.enter("10.0.0.1", 0.0)
    assert door.enter("10.0.0.2", 0.0)
    door.leave("10.0.0.1")
    assert door.enter("10.0.0.1", 0.0)


def test_all_sources_together_get_so_many_at_once() -> None:
    door = Doorstep()
    assert all(door.enter(f"10.0.0.{n}", 0.0) for n in range(AT_ONCE_MAX))
    assert not door.enter("10.0.1.1", 0.0)


def test_a_burst_runs_out_and_time_gives_back() -> None:
    door = Doorstep()
    for _ in range(BURST_PER_SOURCE):
        assert door.enter("10.0.0.1", 0.0)
        door.leave("10.0.0.1")
    assert not door.enter("10.0.0.1", 0.9 / RATE_PER_SOURCE_PER_S)
    assert door.enter("10.0.0.1", 1.0 / RATE_PER_SOURCE_PER_S)


def test_memory_is_bounded_and_paused_sources_make_room() -> None:
    door = Doorstep()
    for n in range(SOURCES_MAX):
        ip = f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}"
        assert door.enter(ip, 0.0)
        door.leave(ip)
    assert not door.enter("11.0.0.1", 0.0)
    assert door.enter("11.0.0.1", 1.0)


@pytest.mark.parametrize(
    ("ip", "source"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:1", "2001:db8::/64"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_a_source_is_an_address_or_a_network_of_one_caller(ip: str, source: str) -> None:
    assert source_of(ip) == source
