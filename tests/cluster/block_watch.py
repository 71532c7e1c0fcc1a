"""Watch the blocks that one gateway announces, with the moment at which each was seen."""

import json
import threading
import time
from contextlib import ExitStack, suppress

from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

from node.cluster.local import LocalNode
from tests.cluster.real_cluster import wait_until


class BlockWatch:
    """Follow the announcements of a node in a thread of its own."""

    def __init__(self, node: LocalNode) -> None:
        self.seen: dict[int, float] = {}
        self._url = f"ws://127.0.0.1:{node.gateway_port}/ws"
        self._stack = ExitStack()

    def __enter__(self) -> "BlockWatch":
        socket = self._stack.enter_context(connect(self._url))
        socket.send('{"jsonrpc":"2.0","method":"coop_subscribe","params":{"topic":"blocks"},"id":1}')
        socket.recv()
        threading.Thread(target=self._follow, args=(socket,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def wait_for(self, height: int) -> None:
        """Wait until a block of a height is announced; comes back within a millisecond of it."""
        wait_until(lambda: any(seen >= height for seen in tuple(self.seen)), f"block {height}", 0.001)

    def interval_ms(self, height: int) -> float:
        """Return how long after the block below it a block was seen."""
        return 1_000 * (self.seen[height] - self.seen[height - 1])

    def ordinary_ms(self, first: int, last: int) -> float:
        """Return the median of the intervals of some heights."""
        found = sorted(self.interval_ms(h) for h in range(first, last + 1) if {h, h - 1} <= self.seen.keys())
        return found[len(found) // 2] if found else 0.0

    def _follow(self, socket: ClientConnection) -> None:
        with suppress(WebSocketException, OSError):
            for text in socket:
                params = json.loads(text).get("params")
                if params is not None:
                    self.seen[params["height"]] = time.perf_counter()
