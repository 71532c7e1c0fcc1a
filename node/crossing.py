"""How a node follows the chain over a restart by people, once its operator accepted the hash of its record.

Block sync sees that a peer's next block is of an epoch which no seal named. If the operator accepted that
record (`accepted_restarts`), it is asked of that peer, proved, and the node ends its parts and begins anew in
the next epoch, because nothing in memory may stand on a record that is replaced. If not, the node says so and
stays where it is; who showed the restart did nothing wrong.

What proves a restart is `protocol/light.py`; who ratified it was judged by those who applied it
(`cli/operator/restart.py`): here the operator's word counts. *Source*: consensus.md 1.3 (M14).
"""

from collections.abc import Callable
from typing import Final

from node.executor import Executor
from node.log import get_logger
from node.net.transport import Channel, PeerId, Transport
from node.store.store import Store
from node.wire import FrameKind, frame
from protocol.chain.restart import is_restart
from protocol.chain.validators import EpochRecord
from protocol.errors import Code, Rejected
from protocol.light import Trust, cross_epoch
from protocol.sync.snapshot import Seal
from protocol.sync.snapshot_messages import (
    Epochs,
    GetEpochs,
    decode_snapshot_message,
    encode_snapshot_message,
)
from protocol.types import EpochNumber, Hash32, Height

CLAIMS_MAX: Final = 16
"""Restarts not accepted that are remembered, so that each is logged once."""


class Crossing:
    """Fetch the record of an accepted restart from who shows it.

    Args:
        accepted: hashes of records.
        stop: called once the record is proved: then `fetched` says with what to begin anew.
    """

    __slots__ = ("_accepted", "_asked", "_claims", "_executor", "_log", "_network", "_stop", "fetched")

    def __init__(
        self,
        accepted: tuple[Hash32, ...],
        executor: Executor,
        network: Transport,
        stop: Callable[[], None],
    ) -> None:
        self._accepted = accepted
        self._executor = executor
        self._network = network
        self._stop = stop
        self._asked: dict[PeerId, Hash32] = {}
        self._claims: dict[Hash32, Height] = {}
        self.fetched: EpochRecord | None = None
        self._log = get_logger("crossing")

    @property
    def warning(self) -> str:
        """Say that peers follow a restart above our head which is not accepted; empty when none does."""
        height = self._executor.head.height
        found = [one.hex() for one, first in self._claims.items() if first == height + 1]
        if not found:
            return ""
        return (
            f"peers say that people restarted the chain above block {height:,}; "
            f"not accepted here: 0x{found[0]}"
        )

    def note(self, peer: PeerId, height: Height, epoch_hash: Hash32) -> None:
        """Take note that a peer's block at a height is of another epoch, though no seal named one."""
        if epoch_hash in self._accepted:
            self._asked[peer] = epoch_hash
            message = encode_snapshot_message(GetEpochs(self._number))
            self._network.send(peer, Channel.BULK, frame(FrameKind.SNAPSHOT, message))
        elif epoch_hash not in self._claims:
            if len(self._claims) == CLAIMS_MAX:
                del self._claims[next(iter(self._claims))]
            self._claims[epoch_hash] = height
            self._log.error(
                "restart.not_accepted",
                peer=peer.hex(),
                height=height - 1,
                hash=epoch_hash.hex(),
                do="ask the co-operative for its hash; if it is the same: accepted_restarts in coopd.toml",
            )

    def lose(self, peer: PeerId) -> None:
        """Take note of a peer that is gone."""
        self._asked.pop(peer, None)

    def on_frame(self, peer: PeerId, payload: bytes) -> bool:
        """Take what was asked for; tell whether it was that.

        Raises:
            Rejected: it does not decode, or proves nothing; the peer is at fault.
        """
        wanted = self._asked.get(peer)
        message = None if wanted is None else decode_snapshot_message(payload)
        if wanted is None or not isinstance(message, Epochs) or message.first != self._number:
            return False
        del self._asked[peer]
        if not message.seals or message.seals[0].record.compute_hash() != wanted:
            raise Rejected(Code.BAD_PROOF, "restart: the peer shows another record than its blocks name")
        self._cross(message.seals[0])
        return True

    @property
    def _number(self) -> EpochNumber:
        return EpochNumber(self._executor.record.number + 1)

    def _cross(self, seal: Seal) -> None:
        trust = Trust(self._executor.rules.genesis_hash, self._executor.record, self._accepted)
        record = cross_epoch(trust, seal.header, seal.certificate, seal.record).record
        head = self._executor.head
        if (seal.header.height, seal.header.compute_id()) == (head.height, head.block_id):
            self.fetched = record
            self._stop()
        elif seal.header.height < head.height:
            self._log.critical(
                "restart.below", height=seal.header.height, own=head.height, why="this node has more blocks"
            )


def find_restart(store: Store) -> EpochRecord | None:
    """Return the record of the newest epoch that began by a restart; None when a quorum ended each one."""
    for number in range(store.head().epoch, 0, -1):
        record = store.epoch(number)
        if record is not None and is_restarted(store, record):
            return record
    return None


def is_restarted(store: Store, record: EpochRecord) -> bool:
    """Tell whether an epoch began by a restart."""
    header = store.header(record.first_height - 1)
    return header is not None and is_restart(header, record)


def begin_epoch(store: Store, record: EpochRecord) -> None:
    """Begin an epoch that was proved to restart the chain, if its block is still the newest one here."""
    head = store.head()
    header = store.header(head.height)
    if header is None or head.epoch + 1 != record.number or not is_restart(header, record):
        get_logger("crossing").error("restart.late", height=head.height)
        return
    store.restart(record)
    get_logger("crossing").critical(
        "chain.restarted", height=head.height, hash=record.compute_hash().hex(), epoch=record.number
    )
