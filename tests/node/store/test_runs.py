"""Sorted runs against a plain list: the same entries, newest first, in few rows."""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from node.store import runs
from node.store.environment import Environment, Txn
from node.store.runs import RUNS_MERGED, append_run, find_entries, is_run_sound
from node.store.tables import SCHEMA, TX_RUNS

WIDTH = 4
"""One byte to search for, three that ascend with time."""


@pytest.fixture
def env(tmp_path: Path) -> Iterator[Environment]:
    Environment.create(tmp_path / "chain", SCHEMA, lambda txn: None)
    opened = Environment.open(tmp_path / "chain", SCHEMA)
    yield opened
    opened.close()


def add(env: Environment, height: int, keys: list[int]) -> list[bytes]:
    entries = [bytes([key]) + (height * 100 + n).to_bytes(3, "big") for n, key in enumerate(keys)]
    env.write(lambda txn: append_run(txn, TX_RUNS, WIDTH, height, list(entries)))
    return entries


def clear(txn: Txn) -> None:
    for key in list(txn.descend_keys(TX_RUNS)):
        txn.delete(TX_RUNS, key)


def sizes(env: Environment) -> list[int]:
    """Bytes of the runs, oldest first."""
    with env.read() as txn:
        found = [(key, value) for key, value in txn.ascend(TX_RUNS)]
    assert all(is_run_sound(key, value) for key, value in found)
    return [len(value) for _, value in found]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=30)
@given(st.lists(st.lists(st.integers(0, 3), max_size=12), max_size=40), st.integers(0, 4_500))
def test_as_a_plain_list(env: Environment, blocks: list[list[int]], below: int) -> None:
    env.write(clear)
    everything: list[bytes] = []
    for height, keys in enumerate(blocks):
        everything += add(env, height, keys)
    with env.peek() as peek:
        for key in range(4):
            prefix = bytes([key])
            expected = sorted((e for e in everything if e.startswith(prefix)), reverse=True)
            assert list(find_entries(peek, TX_RUNS, WIDTH, prefix)) == expected
            limit = prefix + below.to_bytes(3, "big")
            assert list(find_entries(peek, TX_RUNS, WIDTH, prefix, limit)) == [
                e for e in expected if e < limit
            ]


def test_runs_stay_few_and_entries_are_seldom_rewritten(env: Environment) -> None:
    before: list[int] = []
    written = 0
    for height in range(600):
        add(env, height, [1])
        found = sizes(env)
        written += found[-1] if found != before else 0
        before = found
        assert len(found) <= (RUNS_MERGED - 1) * 4
        assert all(len(list(group)) < RUNS_MERGED for _, group in groupby(found))
    assert sum(sizes(env)) == 600 * WIDTH
    assert written <= 4 * 600 * WIDTH


def test_a_large_run_is_left_alone(env: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "RUN_BYTES_DONE", 32 * WIDTH)
    for height in range(8 * RUNS_MERGED):
        add(env, height, [1, 2, 3, 4])
    assert sizes(env) == [32 * WIDTH] * 8


def test_runs_far_apart_in_size_do_not_stop_merging(env: Environment) -> None:
    for height in range(64):
        add(env, height, [1] * (50 if height % 5 == 0 else 1))
    assert len(sizes(env)) <= 2 * RUNS_MERGED
