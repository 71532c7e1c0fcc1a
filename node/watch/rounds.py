"""Has the watchers of a node look again after each block, one after the other, in a worker thread.

A watcher is a plain call: it reads the head state and the store, tells what is new by the log, and keeps the
rest for who asks (`handlers.py`). This file does not know what they look for. `scrubber.py` takes no part: it
goes by the time that it took and not by blocks.
"""

from collections.abc import Callable, Sequence
from typing import Final

import trio

LOOK_SECONDS: Final = 1.0


async def look_after_blocks(get_height: Callable[[], int], looks: Sequence[Callable[[], None]]) -> None:
    """Look at once, and again after blocks, at most once a second; for ever.

    Args:
        get_height: height of the head.
        looks: each takes a few rows and small files; what one raises ends the rounds.
    """
    seen = -1
    while True:
        height = get_height()
        if height != seen:
            seen = height
            for look in looks:
                await trio.to_thread.run_sync(look)
        await trio.sleep(LOOK_SECONDS)
