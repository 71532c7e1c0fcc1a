"""Sees in time what will keep this node from going on: a decided version or a consensus key that is not here.

An upgrade whose code is missing stops a node when it begins (`executor.require_versions`), and in an epoch
that names a key of ours which is not on this machine we are silent. Both are decided some blocks before, so
the operator is told while there is time, and when a decided upgrade begins, lapses or is cancelled.

It changes nothing, and does not know who asks. *Source*: consensus.md 1.3 (M2, M12).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from node.errors import OperationError
from node.executor import Executor
from node.keychain import OwnKeys
from node.log import get_logger
from protocol.contracts import REGISTRY
from protocol.params import UPGRADE_RETRIES_MAX
from protocol.types import PublicKey
from protocol.vm.contract import RETIRED


@dataclass(frozen=True, slots=True)
class _Upgrade:
    """A version of a contract that is decided and does not run yet."""

    contract: int
    version: int
    first_height: int
    tries: int
    package: str
    is_here: bool


class Foresight:
    """Watch what is decided, for one node.

    Args:
        node_key: who we are among validators.
    """

    __slots__ = ("_executor", "_keys", "_log", "_node_key", "_pending", "warnings")

    def __init__(self, executor: Executor, keys: OwnKeys, node_key: Callable[[], PublicKey]) -> None:
        self._executor = executor
        self._keys = keys
        self._node_key = node_key
        self._pending: tuple[_Upgrade, ...] = ()
        self._log = get_logger("foresight")
        self.warnings: tuple[str, ...] = ()

    def look(self) -> None:
        """See what is decided now; log what is new."""
        record = self._executor.record
        upgrades, versions, next_epoch = self._executor.ask_registry("upgrades", "versions", "pending")
        pending = tuple([_read_upgrade(row) for row in upgrades])
        self._note_ended(pending, versions)
        self._pending = pending
        found = [_missing(one) for one in pending if not one.is_here]
        places: list[tuple[int, bytes, bytes]] = [
            (record.number, one.node_key, one.consensus_key) for one in record.validators
        ]
        if next_epoch is not None:
            places += [(record.number + 1, node_key, key) for _, key, node_key in next_epoch[4]]
        found += self._find_strange_keys(places)
        for warning in found:
            if warning not in self.warnings:
                self._log.warning("not_ready", why=warning)
        self.warnings = tuple(found)

    def _find_strange_keys(self, places: Iterable[tuple[int, bytes, bytes]]) -> list[str]:
        try:
            held = {key.public_key for key in self._keys.list()}
        except OperationError as failure:
            return [f"the consensus keys of this node cannot be read: {failure.why}"]
        return [
            f"epoch {epoch} names consensus key {key.hex()[:16]} for this node, not on this machine: "
            "bring it here, or coopd validator rotate"
            for epoch, node_key, key in places
            if node_key == self._node_key() and key not in held
        ]

    def _note_ended(self, pending: tuple[_Upgrade, ...], versions: Any) -> None:
        """Log which upgrades are decided no more, and what became of them."""
        for was in self._pending:
            if any((one.contract, one.version) == (was.contract, was.version) for one in pending):
                continue
            is_lapsed = was.tries == UPGRADE_RETRIES_MAX
            event = "upgrade.lapsed" if is_lapsed else "upgrade.cancelled"
            if (was.contract, was.version) in versions:
                event = "upgrade.activated"
            self._log.warning(event, contract=was.contract, version=was.version, package=was.package)


def _read_upgrade(row: Any) -> _Upgrade:
    contract, version, fingerprint, first_height, _, tries, _, package, _ = row
    is_here = version == RETIRED or REGISTRY.has(contract, version, fingerprint)
    return _Upgrade(contract, version, first_height, tries, package, is_here)


def _missing(one: _Upgrade) -> str:
    package = f" (package {one.package})" if one.package else ""
    return (
        f"contract {one.contract} runs in version {one.version}{package} from block {one.first_height:,} on, "
        "and this node does not have just that: install it, or the node stops there"
    )
