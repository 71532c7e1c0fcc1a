"""Sign consensus messages behind a guard against double signing, the one mistake that evidence convicts.

For each kind of signature the guard keeps the last place (epoch, height, view) and digest in a file of its
own, outside the database and outside every backup, on disk before the signature leaves. The same content at
the same place is signed again, byte for byte; other content there, or anything before it, is refused. So an
engine with a bug, a database that was rolled back or a second process with the same key cannot make this key
say two things.

File: two slots of constant size in blocks of their own, written in turn and synced (0.1 to 2 ms). A write
that is torn by a power cut leaves the slot before it, and its signature was not given out yet.

*Departs*: no places are reserved ahead to save the sync. After a crash nobody could tell which reserved
places were used; trusting the database for that would give up the guard in the very case it exists for, and
refusing them all would stop the chain when every validator restarts at once.

It does not know whether a message is right (`protocol/consensus/`). The safety record there comes first: a
validator that keeps its word never meets this guard.
"""

import fcntl
import os
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from hashlib import sha256
from pathlib import Path
from typing import Final

import trio

from node.errors import OperationError
from node.files import write_new
from protocol import crypto
from protocol.chain.certificate import Vote, VoteKind
from protocol.consensus.messages import Grant, Message, Proposal, VoteRequest
from protocol.crypto import SecretKey
from protocol.params import INT64_MAX
from protocol.types import EpochNumber, Hash32, Height, PublicKey, Signature, View

SLOT_BYTES: Final = 4_096
_MAGIC_STEM: Final = b"coopd-sign-state-"
_MAGIC: Final = _MAGIC_STEM + b"1\0\0\0\0\0\0"
"""Ends with the version of the form."""
_HEAD: Final = struct.Struct(">24sQ33sQ")
_LAST: Final = struct.Struct(">IQQ32s")
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
"""Drawn by the kernel each time a machine starts; no two machines share it."""


class SignKind(IntEnum):
    """What is signed; each kind has a last place of its own, proposals one for even and one for odd heights:
    an early one at the height above must not silence us at this one."""

    PROPOSAL = 0
    PREVOTE = 1
    PRECOMMIT = 2
    ACK = 3
    VOTE_REQUEST = 4
    GRANT = 5


_ODD_PROPOSAL: Final = len(SignKind)
_LASTS: Final = len(SignKind) + 1

_VOTE_KINDS: Final = {
    VoteKind.PREVOTE: SignKind.PREVOTE,
    VoteKind.PRECOMMIT: SignKind.PRECOMMIT,
    VoteKind.ACK: SignKind.ACK,
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a signature stands."""

    kind: SignKind
    epoch: EpochNumber
    height: Height
    view: View

    @property
    def slot(self) -> int:
        """Return which last place it is measured by."""
        return _ODD_PROPOSAL if self.kind is SignKind.PROPOSAL and self.height & 1 else self.kind

    def order(self) -> tuple[int, int, int]:
        """Return what must ascend. Claims and grants are one a term, whatever height the candidate is at."""
        if self.kind in (SignKind.VOTE_REQUEST, SignKind.GRANT):
            return self.epoch, 0, self.view
        return self.epoch, self.height, self.view


def place_of(message: Message) -> Place | None:
    """Return the place of a message that must be guarded; None for one that promises nothing (PreVote)."""
    match message:
        case Proposal():
            return Place(SignKind.PROPOSAL, message.epoch, message.height, message.view)
        case Vote():
            return Place(_VOTE_KINDS[message.kind], message.epoch, message.height, message.view)
        case VoteRequest() | Grant():
            claim = message.claim
            kind = SignKind.GRANT if isinstance(message, Grant) else SignKind.VOTE_REQUEST
            return None if claim.is_pre else Place(kind, claim.epoch, claim.height, claim.term)
        case _:
            return None


@dataclass(frozen=True, slots=True)
class _Last:
    place: Place
    digest: Hash32


@dataclass(frozen=True, slots=True)
class _State:
    """What one slot holds; `counter` rises by one a write and tells the slots apart."""

    counter: int
    public_key: PublicKey
    after_height: int
    lasts: tuple[_Last | None, ...]

    def encode(self) -> bytes:
        body = _HEAD.pack(_MAGIC, self.counter, self.public_key, self.after_height)
        for last in self.lasts:
            if last is None:
                body += bytes(_LAST.size)
            else:
                body += _LAST.pack(last.place.epoch, last.place.height, last.place.view, last.digest)
        return (body + sha256(body).digest()).ljust(SLOT_BYTES, b"\0")


class Signer:
    """Hold a consensus key and what it has signed; made by `create` once, then by `open`.

    One thread at a time; `sign` is for the loop, `sign_at` waits for the disk.
    """

    __slots__ = ("_file", "_is_broken", "_path", "_secret", "_signing", "_silent_because", "_state")

    def __init__(self, path: Path, file: int, state: _State, secret: SecretKey) -> None:
        self._path = path
        self._file = file
        self._state = state
        self._secret = secret
        self._signing = threading.Lock()
        self._is_broken = False
        self._silent_because = ""

    @classmethod
    def create(cls, path: Path, public_key: PublicKey, after_height: int = 0) -> None:
        """Begin the signing record of a key that has signed nothing above a height, here or elsewhere.

        Args:
            after_height: nothing at or below it is ever signed; for a key that was used before.

        Raises:
            OperationError: `sign_state.exists`.
        """
        state = _State(0, public_key, after_height, (None,) * _LASTS)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            write_new(path, state.encode() * 2)
        except FileExistsError:
            raise OperationError(
                "sign_state.exists",
                f"There is a signing record in {path} already.",
                "beginning a new one would forget what this key has signed.",
                "use the one that is there.",
            ) from None
        if not after_height:
            _write_lease(path)

    @classmethod
    def open(cls, path: Path, secret: SecretKey) -> "Signer":
        """Open the signing record of a key and keep it locked until `close`.

        Raises:
            OperationError: `sign_state.missing`, `sign_state.locked`, `sign_state.damaged`,
                `sign_state.other_key`.
        """
        try:
            file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            raise OperationError(
                "sign_state.missing",
                f"This key has no signing record in {path.parent}.",
                "starting without it could sign two different blocks at one height.",
                "if no other copy of the key runs anywhere: coopd keys adopt --after HEIGHT,"
                " with the last height of the network.",
            ) from None
        try:
            _lock(file, path)
            state = _load(file, path)
            if state.public_key != crypto.public_key_of(secret):
                raise OperationError(
                    "sign_state.other_key",
                    f"The signing record in {path} is of another key.",
                    "each key has a record of its own.",
                    "name the key that belongs to this data folder.",
                )
        except BaseException:
            os.close(file)
            raise
        return cls(path, file, state, secret)

    @classmethod
    def mute(cls, path: Path, secret: SecretKey) -> "Signer":
        """Return a signer of a key whose signing record is missing: nobody knows what it has signed."""
        state = _State(0, crypto.public_key_of(secret), INT64_MAX, (None,) * _LASTS)
        return cls(path, -1, state, secret)

    @property
    def is_mute(self) -> bool:
        """Tell whether there is no signing record."""
        return self._file < 0

    @property
    def is_at_home(self) -> bool:
        """Tell whether this very record was written by this machine since it was started (see `settle`)."""
        try:
            return _lease_path(self._path).read_text() == _lease_of(self._path)
        except OSError:
            return False

    def settle(self) -> None:
        """Note that this record lives here: a copy of it, or a machine that was started anew, has to listen
        first. Nothing is lost but time when the note is."""
        _write_lease(self._path)

    def newest_height(self, *kinds: SignKind) -> tuple[EpochNumber, Height]:
        """Return epoch and height of the newest signature of these kinds; zeros when there is none."""
        return _newest_height(self._state, kinds)

    @property
    def after_height(self) -> Height:
        """Return the height above which this key may sign at all."""
        return Height(self._state.after_height)

    def silence(self, why: str) -> None:
        """Sign nothing any more until the process ends."""
        self._silent_because = why

    @property
    def public_key(self) -> PublicKey:
        """Return the key whose signatures this makes."""
        return self._state.public_key

    def close(self) -> None:
        """Give the lock back; nothing can be signed afterwards."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    async def sign(self, message: Message, digest: Hash32) -> Signature:
        """Sign a message of a signed kind; when it returns, the guard has it on disk.

        Raises:
            OperationError: as `sign_at`.
        """
        place = place_of(message)
        if self._silent_because:
            raise _silent(self._silent_because)
        if place is None:
            return crypto.sign(self._secret, digest)
        return await trio.to_thread.run_sync(self.sign_at, place, digest)

    def attest(self, digest: Hash32) -> Signature:
        """Sign what promises nothing, so that the guard need not know it: under a domain of its own."""
        return crypto.sign(self._secret, digest)

    def sign_at(self, place: Place, digest: Hash32) -> Signature:
        """Sign a digest at a place, after the guard has it on disk. Cost: one small sync and 36 us.

        Raises:
            OperationError: `sign_state.double_sign`: refused, tell the operator; `sign_state.unwritable`: end
                the process.
        """
        with self._signing:
            if self._silent_because:
                raise _silent(self._silent_because)
            self._check(place, digest)
            last = self._state.lasts[place.slot]
            if last is None or last.place != place:
                self._save(place, digest)
            return crypto.sign(self._secret, digest)

    def _check(self, place: Place, digest: Hash32) -> None:
        state, last = self._state, self._state.lasts[place.slot]
        if self._is_broken or self._file < 0:
            raise _unwritable(self._path, "an earlier write failed, or the record is closed")
        if place.height <= state.after_height:
            raise _double_sign(place, f"this key may sign above height {state.after_height} only")
        if last is None or place.order() > last.place.order():
            return
        if place.order() < last.place.order():
            raise _double_sign(place, f"it has signed {_name(last.place)}, which is later")
        if digest != last.digest:
            raise _double_sign(place, "it has signed something else there")

    def _save(self, place: Place, digest: Hash32) -> None:
        old = self._state
        lasts = list(old.lasts)
        lasts[place.slot] = _Last(place, digest)
        state = _State(old.counter + 1, old.public_key, old.after_height, tuple(lasts))
        try:
            written = os.pwrite(self._file, state.encode(), state.counter % 2 * SLOT_BYTES)
            os.fdatasync(self._file)
            if written != SLOT_BYTES:
                raise OSError(f"{written} of {SLOT_BYTES} bytes written")
        except OSError as failure:
            # What is on disk now is unknown, and a second sync would not tell.
            self._is_broken = True
            raise _unwritable(self._path, str(failure)) from failure
        self._state = state


def has_signed(path: Path) -> bool:
    """Tell whether a key has signed anything, by its signing record; so it is taken when nobody can know."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return True
    try:
        state = _load(file, path)
    except OperationError:
        return True
    finally:
        os.close(file)
    return state.after_height > 0 or any(last is not None for last in state.lasts)


def load_newest_height(path: Path, *kinds: SignKind) -> tuple[EpochNumber, Height]:
    """Read epoch and height of the newest signature of these kinds out of a record that nobody writes now.

    Raises:
        OperationError: `sign_state.missing`, `sign_state.damaged`, `sign_state.other_version`.
    """
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as failure:
        raise OperationError(
            "sign_state.missing",
            f"The signing record {path} cannot be read.",
            f"{failure.strerror}.",
            "look for it",
        ) from failure
    try:
        return _newest_height(_load(file, path), kinds)
    finally:
        os.close(file)


def _newest_height(state: _State, kinds: tuple[SignKind, ...]) -> tuple[EpochNumber, Height]:
    places = [last.place for last in state.lasts if last is not None]
    found = [(place.epoch, place.height) for place in places if place.kind in kinds]
    return max(found, default=(EpochNumber(0), Height(state.after_height)))


def remove_record(path: Path) -> None:
    """Forget what a key has signed; for one that is destroyed."""
    for one in (path, _lease_path(path)):
        with suppress(FileNotFoundError):
            one.unlink()


def _lock(file: int, path: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise OperationError(
            "sign_state.locked",
            f"Another process signs with the record in {path}.",
            "two signers of one key would contradict each other.",
            "stop the other node.",
        ) from None


def _load(file: int, path: Path) -> _State:
    data = os.pread(file, 2 * SLOT_BYTES, 0)
    slots = [_decode(data[at : at + SLOT_BYTES]) for at in (0, SLOT_BYTES)]
    states = [state for state in slots if state is not None]
    # A flipped bit changes one copy: where both name the same other form, another version wrote them.
    names = {data[at : at + len(_MAGIC)] for at in (0, SLOT_BYTES)}
    if not states and len(names) == 1 and _MAGIC not in names and names.pop().startswith(_MAGIC_STEM):
        raise OperationError(
            "sign_state.other_version",
            f"The signing record in {path} was written by another version of this program.",
            "its form is not the one that this program reads.",
            "run the version that wrote it, or give the validator a new key.",
        )
    if not states:
        raise OperationError(
            "sign_state.damaged",
            f"The signing record in {path} cannot be read.",
            "neither of its two copies has a correct checksum: it is unknown what this key has signed.",
            "check the disk; then give the validator a new key, or adopt this one above the last height.",
        )
    return max(states, key=lambda state: state.counter)


def _decode(slot: bytes) -> _State | None:
    size = _HEAD.size + _LAST.size * _LASTS
    body = slot[:size]
    if slot[size : size + 32] != sha256(body).digest() or not body.startswith(_MAGIC):
        return None
    _, counter, public_key, after_height = _HEAD.unpack_from(body)
    lasts: list[_Last | None] = []
    for slot_number in range(_LASTS):
        kind = SignKind.PROPOSAL if slot_number == _ODD_PROPOSAL else SignKind(slot_number)
        epoch, height, view, digest = _LAST.unpack_from(body, _HEAD.size + _LAST.size * slot_number)
        place = Place(kind, EpochNumber(epoch), Height(height), View(view))
        lasts.append(_Last(place, Hash32(digest)) if any(digest) else None)
    return _State(counter, PublicKey(public_key), after_height, tuple(lasts))


def _name(place: Place) -> str:
    return f"{place.kind.name.lower()} at epoch {place.epoch}, height {place.height}, view {place.view}"


def _double_sign(place: Place, why: str) -> OperationError:
    return OperationError(
        "sign_state.double_sign",
        f"The signer refused to sign a {_name(place)}.",
        f"{why}: signing could prove that this operator cheats.",
        "let the node run without voting, and find out whether its database was set back or its key is in use"
        " elsewhere.",
    )


def _lease_path(path: Path) -> Path:
    return path.with_name(path.name + ".lease")


def _lease_of(path: Path) -> str:
    """Name the machine since its start, and the file itself: what differs wherever a copy lies."""
    return f"{_BOOT_ID.read_text().strip()} {path.stat().st_ino} {path.absolute()}\n"


def _write_lease(path: Path) -> None:
    with suppress(OSError):
        _lease_path(path).write_text(_lease_of(path))


def _silent(why: str) -> OperationError:
    return OperationError(
        "sign_state.elsewhere",
        "The signer is silent.",
        f"{why}.",
        "find the other machine that has this key and stop it; then start this node again, or give the"
        " validator a new key.",
    )


def _unwritable(path: Path, why: str) -> OperationError:
    return OperationError(
        "sign_state.unwritable",
        f"The signing record in {path} cannot be written.",
        f"{why}.",
        "check the disk, then start the node again.",
    )
