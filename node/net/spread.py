"""Spread transaction batches: directly to every validator, by gossip to the nodes that observe.

Validators never depend on gossip, and without observers it is not even started. It does not know what a batch
holds; what comes in by gossip is checked as if a stranger had sent it.
"""

from collections.abc import Callable

import trio

from node.net.gossip import GossipNet
from node.net.host import Host
from node.net.transport import Channel, Transport


class Spread:
    """Send batches both ways and take in what gossip brings.

    Gossip runs only while somebody observes: `observe` says so, at the start and when an epoch changes.

    Args:
        chain_name: part of the topic, so that chains do not mix.
        host: lends gossip its connections.
        check: refuses at a glance what is no batch.
        take: gets the bytes of each batch that came by gossip.
    """

    def __init__(
        self,
        chain_name: str,
        network: Transport,
        host: Host,
        check: Callable[[bytes], bool],
        take: Callable[[bytes], None],
    ) -> None:
        self._topic = f"coopd/{chain_name}/tx/1"
        self._network = network
        self._gossip = GossipNet(host, (self._topic,), lambda _, data: check(data))
        self._take = take
        self._is_observed = False
        self._changed = trio.Event()
        self.received_batches = 0

    @property
    def is_observed(self) -> bool:
        """Tell whether gossip runs, or is about to."""
        return self._is_observed

    def observe(self, is_observed: bool) -> None:
        """Say whether a node of the roster observes, so that gossip is needed."""
        if is_observed != self._is_observed:
            self._is_observed = is_observed
            self._changed.set()

    def broadcast(self, channel: Channel, data: bytes) -> int:
        """Queue a batch for every validator and publish it; return how many validators took it."""
        if self._is_observed:
            self._gossip.publish(self._topic, data)
        return self._network.broadcast(channel, data)

    async def run(self) -> None:
        """Take in what others publish, while somebody observes; for ever. The links must be running."""
        while True:
            async with trio.open_nursery() as nursery:
                if self._is_observed:
                    nursery.start_soon(self._gossip.run)
                    nursery.start_soon(self._receive)
                self._changed = trio.Event()
                await self._changed.wait()
                nursery.cancel_scope.cancel()

    async def _receive(self) -> None:
        while True:
            batch = await self._gossip.receive()
            self.received_batches += 1
            self._take(batch.data)
