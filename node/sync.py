"""Carries out the plan by which a node that lags fetches, checks and commits blocks.

What to ask whom, and what to believe, is decided by `protocol/sync/planner.py`; this file moves its
requests and answers over the bulk lane and hands checked blocks to the driver, which is the only one that
commits. A node that syncs takes no part in consensus at heights it has not reached, by the rules of the
machine itself.
"""

import trio

from node.driver import Driver
from node.net.transport import PeerId, Transport
from node.store.store import Store
from protocol.types import Height


class BlockSync:
    """stub"""

    def __init__(self, store: Store, driver: Driver, network: Transport) -> None:
        self.target = Height(0)
        self.is_behind = False

    def ask(self, peer: PeerId, height: Height) -> None:
        """stub"""

    def greet(self, peer: PeerId) -> None:
        """stub"""

    def on_frame(self, peer: PeerId, payload: bytes) -> None:
        """stub"""

    async def run(self) -> None:
        """stub"""
        await trio.sleep_forever()
