"""Watchers look at once and after each block, one after the other, and rest in between."""

from itertools import pairwise

import pytest
import trio
from trio.testing import MockClock

from node.watch.rounds import LOOK_SECONDS, look_after_blocks


async def test_a_look_follows_blocks_and_nothing_else(autojump_clock: MockClock) -> None:
    heights, asked, looked = [0, 0, 1, 1, 7, 7], list[float](), list[str]()

    def get_height() -> int:
        asked.append(trio.current_time())
        if len(asked) > len(heights):
            scope.cancel()
        return heights[min(len(asked), len(heights)) - 1]

    looks = [lambda: looked.append("first"), lambda: looked.append("second")]
    with trio.CancelScope() as scope:
        await look_after_blocks(get_height, looks)
    assert looked == ["first", "second"] * 3, "at the start, after block 1, and once for the six up to 7"
    assert all(later - earlier >= LOOK_SECONDS for earlier, later in pairwise(asked))


async def test_a_watcher_that_fails_ends_the_rounds() -> None:
    def look() -> None:
        raise KeyError("broken")

    with pytest.raises(KeyError):
        await look_after_blocks(lambda: 0, [look])
