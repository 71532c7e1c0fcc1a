"""A transport whose links can be cut on purpose: frames to and from named peers vanish in both directions.

For tests of a development chain only (`coopd localnet cut`); the connection below stays up, so this is the
partition that keepalives do not see. It knows no libp2p and no meaning of a frame.
"""

from collections.abc import Iterable

from node.net.transport import Channel, Frame, PeerId, Received, Transport


class CuttableTransport:
    """Pass everything through to another transport, except what crosses a cut."""

    def __init__(self, inner: Transport) -> None:
        self._inner = inner
        self._cut: frozenset[PeerId] = frozenset()

    def cut(self, peers: Iterable[PeerId]) -> None:
        """Cut these peers off and no others; none heals everything."""
        self._cut = frozenset(peers)

    @property
    def me(self) -> PeerId:
        """Name this node."""
        return self._inner.me

    def peers(self) -> tuple[PeerId, ...]:
        """List the peers that are up and not cut off."""
        return tuple(peer for peer in self._inner.peers() if peer not in self._cut)

    def send(self, peer: PeerId, channel: Channel, data: bytes) -> bool:
        """Queue one frame, or lose it silently as a cut wire does."""
        return True if peer in self._cut else self._inner.send(peer, channel, data)

    def broadcast(self, channel: Channel, data: bytes) -> int:
        """Queue one frame for every validator that is up."""
        if not self._cut:
            return self._inner.broadcast(channel, data)
        return sum(self._inner.send(peer, channel, data) for peer in self.peers())

    async def receive(self) -> Received:
        """Wait for the next frame or event that does not cross a cut."""
        while True:
            received = await self._inner.receive()
            if not (isinstance(received, Frame) and received.peer in self._cut):
                return received
