"""The consensus keys of this node: where they lie, which one stands in an epoch, and how one is destroyed.

A node may hold several consensus keys: the one of the epoch that runs, a fresh one that waits for an epoch,
and old ones until their time is over (`watch/retirement.py`). Which one signs in an epoch follows from its
record alone, so a restart finds the same one, and no two of them sign for one epoch.

The key that a node was set up with lies in `keys/` beside the node key, its guard in `sign_state`. All that
came later lie in `consensus/`, each beside a guard of its own; no backup holds that folder, else a key that
is destroyed could come back.

*Rules*: 1. the guard is there before its key is: a key without a guard may have signed anything, and signs no
more. 2. a key loses its name before its content, so half of one is never read.

It knows files, not what the chain says of a key. *Source*: consensus.md 1.3 (M10, M12), 2.4 (W7).
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from node.config import CONSENSUS_KEY, Config
from node.errors import OperationError
from node.log import get_logger
from node.signer import Signer, has_signed, remove_record
from node.wallet.keyring import Keyring
from protocol.chain.validators import EpochRecord
from protocol.crypto import SecretKey
from protocol.types import EpochNumber, PublicKey

NAME_DIGITS: Final = 16
"""A key is named by the first digits of its public key."""


@dataclass(frozen=True, slots=True)
class OwnKey:
    """A consensus key on disk."""

    name: str
    public_key: PublicKey
    ring: Keyring
    guard: Path

    @property
    def is_fresh(self) -> bool:
        """Tell whether it has a guard and has signed nothing."""
        return not has_signed(self.guard)

    @property
    def may_sign(self) -> bool:
        """Tell whether it has a guard."""
        return self.guard.exists()


class OwnKeys:
    """The consensus keys of one node.

    Args:
        passphrase: opens sealed keys, and seals new ones; asked for when it is needed. None: they lie open.
    """

    __slots__ = ("_first_guard", "_first_ring", "_folder", "_passphrase", "_ring")

    def __init__(self, config: Config, passphrase: Callable[[], str | None]) -> None:
        self._first_ring, self._first_guard = Keyring(config.keys_path), config.guard_path
        self._folder = config.consensus_path
        self._ring = Keyring(self._folder)
        self._passphrase = passphrase

    def list(self) -> tuple[OwnKey, ...]:
        """List the keys, the one of the set-up first.

        Raises:
            OperationError: those of `Keyring.entry`.
        """
        found = []
        if CONSENSUS_KEY in self._first_ring.names():
            public_key = self._first_ring.entry(CONSENSUS_KEY).public_key
            found.append(OwnKey(CONSENSUS_KEY, public_key, self._first_ring, self._first_guard))
        for name in self._ring.names():
            found.append(OwnKey(name, self._ring.entry(name).public_key, self._ring, self._guard(name)))
        return tuple(found)

    def find_in(self, record: EpochRecord) -> OwnKey | None:
        """Return the key that stands in an epoch, or None; the first one, though nobody certifies twice."""
        held = {key.public_key: key for key in self.list()}
        return next((held[v.consensus_key] for v in record.validators if v.consensus_key in held), None)

    def create(self) -> OwnKey:
        """Draw a fresh key; its guard comes first.

        Raises:
            OperationError: those of `Keyring.save` and `Signer.create`.
        """
        secret = SecretKey(secrets.token_bytes(32))
        name = secret.public_key.hex()[:NAME_DIGITS]
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        Signer.create(self._guard(name), secret.public_key)
        self._ring.save(name, secret, self._passphrase())
        return OwnKey(name, secret.public_key, self._ring, self._guard(name))

    def load(self, key: OwnKey) -> SecretKey:
        """Open a key; slow when it is sealed.

        Raises:
            OperationError: those of `Keyring.load`.
        """
        sealed = key.ring.entry(key.name).encrypted
        return key.ring.load(key.name, self._passphrase() if sealed else None)

    def open(self, key: OwnKey) -> Signer:
        """Open a key and its guard; without one it signs nothing.

        Raises:
            OperationError: those of `Keyring.load` and `Signer.open`, but for a missing guard.
        """
        secret = self.load(key)
        try:
            return Signer.open(key.guard, secret)
        except OperationError as failure:
            if failure.slug != "sign_state.missing":
                raise
            get_logger("keychain").critical("sign_state.missing", why=failure.why, do=failure.do)
            return Signer.mute(key.guard, secret)

    def destroy(self, key: OwnKey) -> None:
        """Destroy a key, then forget what it has signed."""
        key.ring.destroy(key.name)
        remove_record(key.guard)

    def finish_destroying(self) -> None:
        """Destroy what was being destroyed when the process before ended."""
        self._first_ring.finish_destroying()
        self._ring.finish_destroying()

    def _guard(self, name: str) -> Path:
        return self._folder / f"{name}.sign_state"


class Keychain:
    """Know the signer of each epoch that this process takes part in.

    Args:
        signer: ours in the epoch of `record`; of no use there when none of our keys stands in it.
        find: opens the key that stands in a record, if there is one.
    """

    __slots__ = ("_find", "_newest", "_of_epoch")

    def __init__(
        self,
        signer: Signer,
        record: EpochRecord,
        find: Callable[[EpochRecord], Signer | None] = lambda record: None,
    ) -> None:
        self._find = find
        self._newest = signer
        self._of_epoch: dict[EpochNumber, Signer] = {record.number: signer}

    @classmethod
    def open(cls, keys: OwnKeys, record: EpochRecord) -> "Keychain":
        """Open the key that stands in the epoch that runs; else the newest that may sign in a later one.

        A node without a key gets one, so that it can say that it is ready.

        Raises:
            OperationError: those of `OwnKeys`.
        """
        keys.finish_destroying()
        found = keys.find_in(record)
        if found is None:
            others = [key for key in keys.list() if key.may_sign] or keys.list()
            found = others[-1] if others else keys.create()

        def find(record: EpochRecord) -> Signer | None:
            key = keys.find_in(record)
            return None if key is None else keys.open(key)

        return cls(keys.open(found), record, find)

    def prepare(self, following: EpochRecord) -> Signer:
        """Open the key of the epoch that follows, before its seal is stored; slow when it is sealed.

        Returns: the one so far when none of ours stands in it.

        Raises:
            OperationError: those of `OwnKeys.open`.
        """
        signers = list(self._of_epoch.values())
        known = [signer for signer in signers if following.index_of(signer.public_key) is not None]
        self._newest = (known[0] if known else self._find(following)) or self._newest
        self._of_epoch[following.number] = self._newest
        return self._newest

    def signer(self, number: EpochNumber) -> Signer:
        """Return who signs for us in an epoch: the one that runs, or one that was prepared."""
        return self._of_epoch[number]

    def leave_before(self, number: EpochNumber) -> None:
        """Close what only epochs before this one needed."""
        kept = {one: signer for one, signer in self._of_epoch.items() if one >= number}
        for signer in self._of_epoch.values():
            if signer not in kept.values():
                signer.close()
        self._of_epoch = kept

    def close(self) -> None:
        """Close all."""
        for signer in self._of_epoch.values():
            signer.close()


def read_kept_passphrase(config: Config) -> str | None:
    """Read the passphrase of a node's keys from the file that the settings name; None when they name none.

    Raises:
        OperationError: key.passphrase.
    """
    if not config.passphrase_file:
        return None
    try:
        return Path(config.passphrase_file).read_text().rstrip("\n")
    except OSError as failure:
        raise OperationError(
            "key.passphrase",
            "The passphrase of the keys of this node cannot be read.",
            f"{config.passphrase_file}: {failure.strerror}.",
            "check the setting passphrase_file",
        ) from failure
