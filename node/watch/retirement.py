"""Destroys consensus keys whose time is over: a week of chain time after the seal of their last epoch.

Until then an operator who left, or has a newer key, can still answer for the old epoch; afterwards nobody who
breaks into the machine can sign a second history with it.

*Rules*: 1. a key that stands in no epoch so far waits for one and is kept. 2. so is one of the epoch that
runs, or of the one that is decided, and one that said after its last epoch that it is ready, while its word
counts. 3. a node whose last key goes gets a fresh one first, so that it can be ready again.

It goes by what the chain says of a key, and does not know where keys lie (`node/keychain.py`) or who signs.

*Source*: consensus.md 1.3 (M10, M12).
"""

from node.errors import OperationError
from node.executor import Executor
from node.keychain import OwnKey, OwnKeys
from node.log import get_logger
from node.store.store import Store
from protocol.contracts.parameters import READY_BLOCKS
from protocol.params import KEY_GRACE_SECONDS
from protocol.types import EpochNumber, Height, PublicKey, TimeMs


class Retirement:
    """Watch the keys of one node."""

    __slots__ = ("_executor", "_keys", "_last_epochs", "_log", "_scanned", "_store")

    def __init__(self, keys: OwnKeys, store: Store, executor: Executor) -> None:
        self._keys = keys
        self._store = store
        self._executor = executor
        self._last_epochs: dict[PublicKey, EpochNumber] = {}
        self._scanned = -1
        self._log = get_logger("retirement")

    def look(self) -> None:
        """Destroy the keys whose time is over; what does not go now is tried again at the next look."""
        try:
            self._destroy_due()
        except OperationError as failure:
            self._log.error("key.not_destroyed", slug=failure.slug, why=failure.why, do=failure.do)

    def _destroy_due(self) -> None:
        now_ms, keys = self._executor.head.time_ms, self._keys.list()
        due = []
        for key in keys:
            seal = self.find_seal(key)
            if seal is not None and now_ms >= seal[1] + KEY_GRACE_SECONDS * 1_000:
                due += [key] if not self._is_wanted(key.public_key, seal[0]) else []
        if due and len(due) == len(keys):
            self._keys.create()
        for key in due:
            self._keys.destroy(key)
            self._log.warning("key.destroyed", key=key.public_key.hex(), name=key.name)

    def find_seal(self, key: OwnKey) -> tuple[Height, TimeMs] | None:
        """Return height and time of the seal of a key's last epoch; None: it runs, or there was none yet."""
        self._scan()
        number = self._last_epochs.get(key.public_key)
        following = None if number is None else self._store.epoch(number + 1)
        if following is None:
            return None
        header = self._store.header(following.first_height - 1)
        assert header is not None, "every seal is kept"
        return header.height, header.time_ms

    def _scan(self) -> None:
        """Note for each consensus key the last epoch that it stands in, of those that are new."""
        while (record := self._store.epoch(self._scanned + 1)) is not None:
            self._scanned = record.number
            for validator in record.validators:
                self._last_epochs[validator.consensus_key] = record.number

    def _is_wanted(self, public_key: PublicKey, seal: Height) -> bool:
        """Tell whether a key may be of an epoch to come."""
        pending, ready, values = self._executor.ask_registry("pending", "ready", "parameters")
        if pending is not None and any(one[1] == public_key for one in pending[4]):
            return True
        counts = next(row[2] for row in values if row[0] == READY_BLOCKS.name)
        said = next((row[5] for row in ready if row[0] == public_key), 0)
        return bool(said >= seal and said + counts >= self._executor.head.height)
