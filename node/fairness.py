"""Watches for proposers who leave somebody out: attests, hears what others attest, judges blocks by it.

It joins the pure rule (`starvation.py`) with what the rule does not know: the mempool, the head state, keys
and peers. It decides nothing by itself and stops nothing: an unwelcome block is still a valid one.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, Protocol

import trio

from node.executor import Executor, Prepared
from node.log import get_logger
from node.mempool import Mempool
from node.net.transport import Channel, PeerId
from node.starvation import OPEN_MAX, Attestations, Suspicion, list_left_out
from node.wire import Starve, decode_starve, encode_batch, encode_starve
from protocol import crypto
from protocol.chain.block import Block
from protocol.chain.transaction import SignedTransaction
from protocol.chain.validators import EpochRecord
from protocol.errors import Code, Rejected
from protocol.types import Hash32, Height, Signature

HEARD_HEIGHTS_MAX: Final = 2
"""An attestation may be of a height so far from ours; of another one it is old, or we are."""


class Network(Protocol):
    """What the watch asks of the network."""

    def send(self, peer: PeerId, channel: Channel, data: bytes) -> bool:
        """Queue one frame for one peer."""
        ...


class Fairness:
    """Watch the blocks of one chain.

    Args:
        attest: signs a digest with the consensus key.
    """

    def __init__(
        self,
        executor: Executor,
        mempool: Mempool,
        network: Network,
        attest: Callable[[Hash32], Signature],
    ) -> None:
        self._executor = executor
        self._mempool = mempool
        self._network = network
        self._attest = attest
        self._record: EpochRecord = executor.record
        self._suspicion = Suspicion()
        self._attestations = Attestations(self._record)
        self._is_heard = False
        self.attested_total = 0
        self.unwelcome_total = 0
        self._log = get_logger("fairness")

    def note_committed(self, block: Block, own_index: int | None) -> None:
        """Count a block that is the head now, and say what starves.

        Args:
            own_index: our place among the validators of the next height; None when we only follow.
        """
        self._follow_epoch()
        self._attestations.forget([signed.id for signed in block.transactions])
        starving = self._suspicion.note_block(block, self._mempool.next_of_payers(), trio.current_time())
        if own_index is not None and (starving or self._is_heard):
            found = [signed for signed in starving if self._executor.can_run(signed)][:OPEN_MAX]
            self._say(found, own_index)
        self._mempool.favour(self._attestations.list_attested())

    def on_frame(self, peer: PeerId, payload: bytes) -> None:
        """Take what another validator attests.

        Raises:
            Rejected: it does not decode, or is not signed; the peer is at fault.
        """
        starve = decode_starve(payload)
        self._follow_epoch()
        height = Height(self._executor.head.height + 1)
        validators = self._record.validators
        sender = next((i for i, v in enumerate(validators) if PeerId(v.node_key) == peer), None)
        is_near = abs(starve.height - height) <= HEARD_HEIGHTS_MAX
        if sender is None or starve.epoch != self._record.number or not is_near:
            return
        digest = starve.compute_digest(self._executor.rules.genesis_hash)
        if not crypto.verify(validators[sender].consensus_key, digest, starve.signature):
            raise Rejected(Code.BAD_SIG, "attestation: its signature does not hold")
        self._attestations.hear(sender, starve.ids, height)
        self._mempool.favour(self._attestations.list_attested())

    def is_welcome(self, prepared: Prepared) -> bool:
        """Tell whether a valid block holds what is due."""
        self._follow_epoch()
        block = prepared.block
        due = [self._mempool.get(tx_id) for tx_id in self._attestations.list_due(block.height)]
        left_out = list_left_out(
            block,
            [signed for signed in due if signed is not None],
            lambda signed: self._executor.can_run_after(prepared, signed),
        )
        if left_out:
            self.unwelcome_total += 1
            ids = [signed.id.hex() for signed in left_out]
            self._log.warning("block.unwelcome", height=block.height, left_out=ids)
        return not left_out

    def _follow_epoch(self) -> None:
        """What was said in another epoch does not count: its validators were others."""
        record = self._executor.record
        if record.number != self._record.number:
            self._record = record
            self._attestations = Attestations(record)
            self._is_heard = False

    def _say(self, starving: Sequence[SignedTransaction], own_index: int) -> None:
        """Attest to all validators, who get the transactions too; what was said before is replaced."""
        height = Height(self._executor.head.height + 1)
        starve = Starve(self._record.number, height, tuple([signed.id for signed in starving]))
        digest = starve.compute_digest(self._executor.rules.genesis_hash)
        starve = replace(starve, signature=self._attest(digest))
        frames = [(Channel.VOTE, encode_starve(starve))]
        if starving:
            frames.append((Channel.BULK, encode_batch([signed.raw for signed in starving])))
            self._log.warning("starving", height=height, ids=[tx_id.hex() for tx_id in starve.ids])
        self.attested_total += len(starving)
        self._is_heard = bool(starving)
        self._attestations.hear(own_index, starve.ids, height)
        for index, validator in enumerate(self._record.validators):
            if index != own_index:
                for channel, data in frames:
                    self._network.send(PeerId(validator.node_key), channel, data)
