"""What a snapshot stands on, read out of the chain: the seals of all epochs before, and the certified header.

Written into a new store by `blocks.save_anchor`; checked by `protocol/sync/snapshot.py`, not here.
"""

from node.store import blocks
from node.store.environment import Txn
from protocol.chain.validators import EpochRecord
from protocol.sync.snapshot import Anchor, Seal


def load_seal(txn: Txn, number: int) -> Seal | None:
    """Read the seal that leads to an epoch >= 1; None when there is no such epoch."""
    record = blocks.load_epoch(txn, number)
    return None if record is None or number == 0 else _load_seal(txn, record)


def load_anchor(txn: Txn, height: int) -> Anchor | None:
    """Read the anchor of a committed height; None when a part of it is not kept.

    Raises:
        Rejected: bytes changed on disk.
    """
    header, certificate = blocks.load_header(txn, height), blocks.load_certificate(txn, height)
    if header is None or certificate is None:
        return None
    seals = [load_seal(txn, number) for number in range(1, header.epoch + header.is_seal + 1)]
    found = tuple([seal for seal in seals if seal is not None])
    return Anchor(found, header, certificate) if len(found) == len(seals) else None


def _load_seal(txn: Txn, record: EpochRecord) -> Seal | None:
    height = record.first_height - 1
    header, certificate = blocks.load_header(txn, height), blocks.load_certificate(txn, height)
    return None if header is None or certificate is None else Seal(header, certificate, record)
