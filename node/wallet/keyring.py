"""A folder of named keys, one file a key: what `coop key new|recover|show` and a node's start work on.

Knows files and modes. Encryption is `keystore.py`, words are `phrase.py`; an address comes from a key
policy and is not known here. A passphrase of None writes the secret in the clear, with a marker that says
so: for the keys of demonstration networks, and for nodes whose disk is protected by other means.

Rules:
    1. A file is mode 0600, its folder writable by its owner alone; anything looser is refused, not repaired.
    2. A key appears under its name whole and on disk, or not at all; a name is never given twice.
    3. Neither an error nor a log line contains a secret, a phrase or a passphrase.
"""

import os
import re
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import msgspec

from node.errors import OperationError, disk_errors
from node.files import sync, wipe, write_new
from node.wallet.derivation import compute_member_key
from node.wallet.phrase import Phrase, read_phrase
from protocol.crypto import SecretKey, is_public_key, public_key_of
from protocol.errors import Rejected
from protocol.types import PublicKey

KEY_FILE_BYTES_MAX: Final = 65_536
NAME_CHARS_MAX: Final = 32

_NAME: Final = re.compile(rf"[a-z0-9][a-z0-9_-]{{0,{NAME_CHARS_MAX - 1}}}")
_SUFFIX: Final = ".json"
_DESTROYED: Final = ".destroyed"
_WARNING: Final = "UNENCRYPTED SECRET KEY: whoever reads this file can sign"


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """Say what is known of a key without opening it."""

    name: str
    public_key: PublicKey
    encrypted: bool


class _KeyFile(msgspec.Struct, frozen=True):
    """The part of a key file that this module reads; a sealed one also holds the fields of `keystore.py`."""

    kind: Literal["sealed", "unencrypted"]
    public_key: str
    secret_key: str = ""


class Keyring:
    """Open the folder of keys at a path; the folder is made by the first key.

    Args:
        demo: seal with a cheap scrypt, for keys of local test networks only.
    """

    __slots__ = ("_demo", "_path")

    def __init__(self, path: Path, *, demo: bool = False) -> None:
        self._path = path
        self._demo = demo

    def create(self, name: str, passphrase: str | None) -> KeyEntry:
        """Draw a key from the chance of the operating system and save it.

        No phrase leads back to it, which is right for a node. For a member: `new_phrase`, show it, `recover`.

        Raises:
            OperationError: key.exists, key.name, key.passphrase, key.mode, key.disk.
        """
        return self.save(name, SecretKey(secrets.token_bytes(32)), passphrase)

    def recover(self, name: str, phrase: Phrase | str, passphrase: str | None) -> KeyEntry:
        """Save the first member key of a recovery phrase.

        Raises:
            OperationError: as `create`, and those of `read_phrase`.
        """
        if isinstance(phrase, str):
            phrase = read_phrase(phrase)
        return self.save(name, compute_member_key(phrase.seed()), passphrase)

    def names(self) -> tuple[str, ...]:
        """List the keys of the folder, sorted; none when there is no folder."""
        with disk_errors("key.disk", "list the keys"):
            if not self._path.exists():
                return ()
            found = [
                entry.name.removesuffix(_SUFFIX) for entry in self._path.iterdir() if entry.suffix == _SUFFIX
            ]
        return tuple(sorted(name for name in found if _NAME.fullmatch(name)))

    def entry(self, name: str) -> KeyEntry:
        """Read what is known of a key without its passphrase.

        Raises:
            OperationError: key.missing, key.name, key.mode, key.malformed, key.disk.
        """
        key_file, _ = self._read(name)
        return KeyEntry(name, _public_key(key_file), key_file.kind == "sealed")

    def load(self, name: str, passphrase: str | None) -> SecretKey:
        """Open a key. The passphrase is not looked at when the key is unencrypted.

        Raises:
            OperationError: as `entry`, and key.passphrase, key.wrong_passphrase.
        Cost: about 0.4 s and 128 MiB for a sealed key.
        """
        key_file, document = self._read(name)
        if key_file.kind == "unencrypted":
            secret = _read_plain(key_file)
        elif passphrase is None:
            raise _refused(
                "passphrase", f"The key {name} was not opened.", "it is sealed.", "give its passphrase"
            )
        else:
            from node.wallet import keystore  # slow to import, and an unencrypted key does without

            secret = keystore.decrypt(document, passphrase)
        if public_key_of(secret) != _public_key(key_file):
            raise _malformed("its public key is not that of its secret key")
        return secret

    def destroy(self, name: str) -> None:
        """Destroy a key: first its name, then its content, as far as the disk really writes over it.

        Raises:
            OperationError: key.missing, key.name, key.disk.
        """
        path = self._file(name)
        with disk_errors("key.disk", f"destroy the key {name}"):
            try:
                path.rename(path.with_suffix(_DESTROYED))
            except FileNotFoundError:
                why = f"{path} is missing."
                raise _refused("missing", "No key was destroyed.", why, "see: coopd keys show") from None
            sync(self._path)
        self.finish_destroying()

    def finish_destroying(self) -> None:
        """Destroy what has lost its name already.

        Raises:
            OperationError: key.disk.
        """
        with disk_errors("key.disk", "destroy a key"):
            for path in self._path.glob(f"*{_DESTROYED}"):
                wipe(path)

    def save(self, name: str, secret: SecretKey, passphrase: str | None) -> KeyEntry:
        """Save a key that was made elsewhere.

        Raises:
            OperationError: as `create`.
        """
        path = self._file(name)
        public_key = public_key_of(secret)
        if passphrase == "":
            raise _refused(
                "passphrase", "No key was saved.", "the passphrase is empty.", "choose a passphrase"
            )
        fields: dict[str, object]
        if passphrase is None:
            fields = {"kind": "unencrypted", "warning": _WARNING, "secret_key": secret.reveal().hex()}
        else:
            from node.wallet import keystore

            fields = {"kind": "sealed", **keystore.encrypt(secret, passphrase, demo=self._demo)}
        document = msgspec.json.format(
            msgspec.json.encode({**fields, "public_key": public_key.hex()}), indent=2
        )
        with disk_errors("key.disk", f"save the key {name}"):
            self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._check_folder()
            try:
                write_new(path, document + b"\n")
            except FileExistsError:
                why = f"{path} exists, and a key is never overwritten."
                raise _refused("exists", "No key was saved.", why, "choose another name") from None
        return KeyEntry(name, public_key, passphrase is not None)

    def _read(self, name: str) -> tuple[_KeyFile, bytes]:
        path = self._file(name)
        with disk_errors("key.disk", f"read the key {name}"):
            try:
                document = _read_private(path)
            except FileNotFoundError:
                known = ", ".join(self.names()) or "none"
                what = f"There is no key named {name}."
                why = f"{self._path} holds: {known}."
                raise _refused("missing", what, why, f"name one of them, or: coop key new {name}") from None
            self._check_folder()
        try:
            return msgspec.json.decode(document, type=_KeyFile), document
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise _malformed("it is no key file of this program") from None

    def _file(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            why = f"a name has 1 to {NAME_CHARS_MAX} characters of a-z, 0-9, - and _, not - or _ first."
            raise _refused("name", "This cannot be the name of a key.", why, "choose another name")
        return self._path / f"{name}{_SUFFIX}"

    def _check_folder(self) -> None:
        _check_mode(self._path, self._path.stat().st_mode, 0o022, "700")


def _read_private(path: Path) -> bytes:
    """Read a file after looking at the mode of what was really opened."""
    # Not blocking: a pipe in the place of the file is refused instead of waited for.
    with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        if not stat.S_ISREG(mode):
            raise _malformed("it is no regular file")
        _check_mode(path, mode, 0o077, "600")
        document = file.read(KEY_FILE_BYTES_MAX + 1)
    if len(document) > KEY_FILE_BYTES_MAX:
        raise _malformed(f"it is longer than {KEY_FILE_BYTES_MAX:,} bytes")
    return document


def _check_mode(path: Path, mode: int, forbidden: int, wanted: str) -> None:
    if mode & forbidden:
        why = f"{path} has mode {stat.S_IMODE(mode):o}: other people of this machine can reach the key."
        raise _refused("mode", "The key was not touched.", why, f"chmod {wanted} {path}")


def _public_key(key_file: _KeyFile) -> PublicKey:
    try:
        data = bytes.fromhex(key_file.public_key)
    except ValueError:
        data = b""
    if not is_public_key(data):
        raise _malformed("its public key is none")
    return PublicKey(data)


def _read_plain(key_file: _KeyFile) -> SecretKey:
    try:
        return SecretKey(bytes.fromhex(key_file.secret_key))
    except (ValueError, Rejected):
        raise _malformed("what it holds is no secret key") from None


def _malformed(why: str) -> OperationError:
    do = "restore the file, or recover the key from its phrase"
    return _refused("malformed", "The key file cannot be read.", f"{why}.", do)


def _refused(kind: str, what: str, why: str, do: str) -> OperationError:
    return OperationError(f"key.{kind}", what, why, do)
