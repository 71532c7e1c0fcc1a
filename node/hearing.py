"""What other validators say: decoded, verified, put together, and queued for the machine.

Nothing that a peer sent reaches consensus but through here: its sender holds an office, its signatures hold,
and its proposal is whole. Frames of the next epoch wait until this node has crossed into it. This file does
not know what a message means, what is done about it, or what this node says itself (`driver.py`).
"""

from collections.abc import Callable
from typing import Final

import trio

from node.compact import Ask, Bodies, Deliver, Gathering
from node.executor import Executor
from node.fairness import Fairness, Network
from node.held import Held, Read
from node.inbox import Inbox
from node.intake import Intake
from node.log import get_logger
from node.net.transport import Channel, PeerId
from node.wire import decode_get_txs, decode_outline, decode_txs, encode_get_txs, encode_txs
from protocol import crypto
from protocol.chain.block import Block
from protocol.chain.certificate import Vote
from protocol.consensus.engine import BUFFER_HEIGHTS, Consensus
from protocol.consensus.inputs import Received
from protocol.consensus.messages import (
    Message,
    Proposal,
    decode_message,
    epoch_of,
    height_of,
    list_signature_checks,
)
from protocol.errors import Code, Rejected
from protocol.types import Hash32

GATHER_SECONDS: Final = 0.05
"""How often proposals that lack transactions are looked at."""


class Hearing:
    """Take the frames of other validators.

    Args:
        inbox: where what was heard waits for the machine.
        decode_block: decodes a block of this chain.
    """

    def __init__(
        self,
        machine: Consensus,
        executor: Executor,
        intake: Intake,
        fairness: Fairness,
        network: Network,
        inbox: Inbox,
        decode_block: Callable[[bytes], Block],
    ) -> None:
        self._machine = machine
        self._executor = executor
        self._fairness = fairness
        self._network = network
        self._inbox = inbox
        self._decode_block = decode_block
        self._genesis_hash: Hash32 = executor.rules.genesis_hash
        self._held = Held()
        self.gathering = Gathering(intake.find, intake.decode)
        self._gathering_begun = trio.Event()
        self.bodies = Bodies()
        self._log = get_logger("driver")

    def on_frame(self, peer: PeerId, payload: bytes) -> None:
        """Queue a consensus message of a peer, if it decodes and every signature in it holds.

        Raises:
            Rejected: it does not; the peer is at fault.
        """
        self._check_sender(peer)
        if not self._inbox.has_room(peer, len(payload)):
            return
        message = decode_message(payload, self._decode_block)
        if (sender := self._recognise(peer, message, payload, self.on_frame)) is None:
            return
        self._verify(message)
        if isinstance(message, Vote) and message.block_id is not None:
            self.gathering.note_vote(peer, message.block_id)
        elif isinstance(message, Proposal):
            self.bodies.keep(message.block)
        self._inbox.put(Received(sender, message, self._machine.record.number), peer, len(payload))

    def on_outline(self, peer: PeerId, payload: bytes) -> None:
        """Take a proposal without its transactions; consensus hears of it when they are together.

        Raises:
            Rejected: it does not decode, or is not signed; the peer is at fault.
        """
        self._check_sender(peer)
        if not self._inbox.has_room(peer, len(payload)):
            return
        outline = decode_outline(payload)
        proposal, number = outline.proposal, self._machine.record.number
        if (sender := self._recognise(peer, proposal, payload, self.on_outline)) is None:
            return
        self._verify(proposal)
        if proposal.epoch != number:
            # Consensus never looks into it: it only shows where its sender is.
            self._inbox.put(Received(sender, proposal, number), peer, len(payload))
        elif self._machine.height <= proposal.height <= self._machine.height + BUFFER_HEIGHTS:
            self._gather(*self.gathering.take(peer, outline, trio.current_time()))

    def on_get_txs(self, peer: PeerId, payload: bytes) -> None:
        """Serve transactions of a proposed block to a validator that lacks them.

        Raises:
            Rejected: it does not decode, or asks for what cannot be; the peer is at fault.
        """
        self._check_sender(peer)
        answer = self.bodies.answer(peer, decode_get_txs(payload))
        if answer is not None:
            self._network.send(peer, Channel.BULK, encode_txs(answer))

    def on_txs(self, peer: PeerId, payload: bytes) -> None:
        """Take transactions that a proposal lacked.

        Raises:
            Rejected: it does not decode, or is not what was asked for; the peer is at fault.
        """
        if self.gathering.is_asked(peer):
            self._gather(self.gathering.add(peer, decode_txs(payload)), [])

    def on_starve(self, peer: PeerId, payload: bytes) -> None:
        """Take what another validator says of transactions that starve.

        Raises:
            Rejected: it does not decode, or is not signed; the peer is at fault.
        """
        self._check_sender(peer)
        self._fairness.on_frame(peer, payload)

    def _place_of(self, peer: PeerId) -> int | None:
        validators = self._machine.record.validators
        return next((i for i, v in enumerate(validators) if PeerId(v.node_key) == peer), None)

    def _check_sender(self, peer: PeerId) -> None:
        """Refuse who is no validator; while an epoch ends the next one's may be others."""
        if self._place_of(peer) is None and not self._executor.is_epoch_ending():
            raise Rejected(Code.ROLE, "consensus message from a node that is no validator")

    def _recognise(self, peer: PeerId, message: Message, payload: bytes, read: Read) -> int | None:
        """Return the sender's place in the epoch; a frame of the next epoch waits for the crossing too."""
        if epoch_of(message) == self._machine.record.number + 1:
            self._held.put(self._machine.height, height_of(message), peer, payload, read)
        return self._place_of(peer)

    def cross(self) -> None:
        """Read again what came before this node had crossed into the epoch."""
        for peer, payload, read in self._held.take():
            try:
                read(peer, payload)
            except Rejected as refusal:
                self._log.warning("frame.refused", peer=peer.hex(), why=str(refusal))

    def _verify(self, message: Message) -> None:
        record = self._machine.record
        if epoch_of(message) == record.number:
            for public_key, digest, signature in list_signature_checks(message, record, self._genesis_hash):
                if not crypto.verify(public_key, digest, signature):
                    raise Rejected(Code.BAD_SIG, f"{type(message).__name__}: a signature does not hold")

    def _gather(self, complete: list[Deliver], asks: list[Ask]) -> None:
        """Hand on proposals that are complete, and ask for what others lack."""
        record = self._machine.record
        for peer, proposal, size_bytes in complete:
            self.bodies.keep(proposal.block)
            place = self._place_of(peer)
            is_current = place is not None and proposal.epoch == record.number
            if place is not None and is_current and self._inbox.has_room(peer, size_bytes):
                self._inbox.put(Received(place, proposal, record.number), peer, size_bytes)
        for peer, ask in asks:
            self._network.send(peer, Channel.VOTE, encode_get_txs(ask))
            self._gathering_begun.set()

    async def run(self) -> None:
        """Ask again for transactions that proposals lack; for ever."""
        while True:
            await self._gathering_begun.wait()
            self._gathering_begun = trio.Event()
            while len(self.gathering):
                await trio.sleep(GATHER_SECONDS)
                self._gather(*self.gathering.tick(trio.current_time()))
