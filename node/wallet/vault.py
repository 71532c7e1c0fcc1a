"""The papers of members, as a registrar keeps them: each sealed under a key of its own, to be erased with it.

    pepper        the secret of registrars by which a national number becomes a tag, sealed
    <digest>.key  key of one record, sealed
    <digest>.box  salt and papers of one record, sealed under that key

What the chain has of them is a commitment, sha256(salt || content), which names the record here; and a tag,
which is the same for the same number and tells nothing to whoever lacks the pepper. To erase is to destroy
the key and then the rest: a copy of the box that somebody made opens no more. A copy of the key file does,
together with the registrar's own key; so the folder belongs on no backup that cannot forget.

This file knows no node and no chain: whether a record may be erased yet is the contract docs' to say.

*Source*: contracts.md D21, 5.3 (tags), 5.22 (a vault with a key for each record); SP 800-38D, RFC 2104.
"""

import hashlib
import hmac
import secrets
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from node.errors import OperationError, disk_errors
from node.files import wipe, write_whole
from protocol import codec, crypto
from protocol.codec import Reader
from protocol.crypto import Domain, SecretKey
from protocol.errors import Rejected
from protocol.params import UINT32_MAX
from protocol.types import Hash32

PAPERS_BYTES_MAX: Final = 16 * 1024 * 1024
SALT_BYTES: Final = 32
PEPPER_BYTES: Final = 32
KEY_BYTES: Final = 32
NAME_BYTES_MAX: Final = 200
_LENGTH_BYTES: Final = 4
_NONCE_BYTES: Final = 12
_FILE_BYTES_MAX: Final = PAPERS_BYTES_MAX + 4_096


@dataclass(frozen=True, slots=True)
class Papers:
    """What a registrar has seen of a member.

    Args:
        name: of the file that was brought.
        salt: of the commitment; empty: there is none.
    """

    member: int
    name: str
    salt: bytes
    content: bytes

    def compute_commitment(self) -> Hash32:
        """Compute what the chain has of them."""
        return compute_commitment(self.salt, self.content)


def shape_name(text: str) -> str:
    """Return the name of a file as a record holds it: what can be shown, composed, of at most 200 bytes."""
    shown = "".join([char for char in text if char.isprintable()])
    composed = unicodedata.ucd_3_2_0.normalize("NFC", shown)  # as the codec compares
    return composed.encode()[:NAME_BYTES_MAX].decode(errors="ignore")


def compute_commitment(salt: bytes, content: bytes) -> Hash32:
    """Compute the commitment to papers: the digest of salt and content."""
    return Hash32(crypto.sha256(salt + content))


class Vault:
    """Open the folder of one registrar; it is made by the first record.

    Args:
        secret: the registrar's own key, under which all keys here are sealed.
    """

    __slots__ = ("_folder", "_key")

    def __init__(self, folder: Path, secret: SecretKey) -> None:
        self._folder = folder
        self._key = crypto.digest(Domain.PAPERS, secret.reveal())

    # --- tags

    def compute_tag(self, number: str) -> Hash32:
        """Compute the tag of a national number; spaces, dashes, width and case do not count.

        Raises:
            OperationError: papers.number, or the pepper cannot be read.
        """
        plain = "".join(c for c in unicodedata.normalize("NFKC", number).upper() if c.isalnum())
        if not plain:
            raise _refused(
                "number",
                "No tag was made.",
                "the number has neither digits nor letters.",
                "type it as it stands on the paper",
            )
        return Hash32(hmac.digest(self.pepper(), plain.encode(), hashlib.sha256))

    def pepper(self) -> bytes:
        """Return the secret of the registrars; one is drawn when there is none yet."""
        path = self._folder / "pepper"
        if not path.exists():
            self.set_pepper(secrets.token_bytes(PEPPER_BYTES))
        return self._unseal(self._key, path, b"pepper")

    def set_pepper(self, pepper: bytes) -> None:
        """Take over the secret of another registrar, so that both make the same tags.

        Raises:
            OperationError: papers.pepper: it is none, or there is another one already.
        """
        path = self._folder / "pepper"
        if len(pepper) != PEPPER_BYTES:
            why = f"it has {PEPPER_BYTES} bytes; this has {len(pepper)}."
            raise _refused("pepper", "This is no pepper.", why, "copy it again: coop papers pepper")
        if path.exists() and self._unseal(self._key, path, b"pepper") != pepper:
            why = f"{path} holds another one: the tags made with it would match no more."
            do = "keep it, or move that file away by hand"
            raise _refused("pepper", "The pepper was not replaced.", why, do)
        self._write(path, _seal(self._key, pepper, b"pepper"))

    # --- records

    def keep(self, papers: Papers) -> Hash32:
        """Seal papers under a fresh key; returns their commitment, by which they are found.

        Raises:
            OperationError: papers.too_large, papers.disk.
        """
        if len(papers.content) > PAPERS_BYTES_MAX:
            why = f"they have {len(papers.content):,} bytes, the limit is {PAPERS_BYTES_MAX:,}."
            raise _refused("too_large", "The papers were not kept.", why, "scan them smaller")
        found, key = papers.compute_commitment(), secrets.token_bytes(KEY_BYTES)
        head = codec.encode((papers.member, papers.name, papers.salt))
        record = len(head).to_bytes(_LENGTH_BYTES, "big") + head + papers.content
        self._write(self._path(found, "box"), _seal(key, record, found))
        self._write(self._path(found, "key"), _seal(self._key, key, found))
        return found

    def open(self, commitment: bytes) -> Papers:
        """Open a record.

        Raises:
            OperationError: papers.missing, papers.damaged, papers.disk.
        """
        key = self._unseal(self._key, self._path(commitment, "key"), commitment)
        record = self._unseal(key, self._path(commitment, "box"), commitment)
        end = _LENGTH_BYTES + int.from_bytes(record[:_LENGTH_BYTES], "big")
        try:
            fields = Reader(codec.decode(record[_LENGTH_BYTES:end], end), "papers", 3)
            member, name = fields.integer(0, UINT32_MAX), fields.text(NAME_BYTES_MAX)
            papers = Papers(member, name, fields.data_up_to(SALT_BYTES), record[end:])
        except Rejected:
            raise _damaged("its fields cannot be read") from None
        if papers.compute_commitment() != commitment:
            raise _damaged("it is of another commitment")
        return papers

    def has(self, commitment: bytes) -> bool:
        """Tell whether a record can still be opened."""
        return self._path(commitment, "key").exists()

    def commitments(self) -> tuple[Hash32, ...]:
        """List the commitments of all records, ascending."""
        names = sorted(path.stem for path in self._folder.glob("*.key"))
        return tuple([Hash32(bytes.fromhex(name)) for name in names])

    def erase(self, commitment: bytes) -> None:
        """Destroy the key of a record, then its papers; nothing when there are none.

        Raises:
            OperationError: papers.disk.
        """
        with disk_errors("papers.disk", "erase the papers"):
            for suffix in ("key", "box"):
                path = self._path(commitment, suffix)
                if path.exists():
                    wipe(path)

    # --- files

    def _path(self, commitment: bytes, suffix: str) -> Path:
        return self._folder / f"{commitment.hex()}.{suffix}"

    def _write(self, path: Path, data: bytes) -> None:
        with disk_errors("papers.disk", "keep the papers"):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_whole(path, data)

    def _unseal(self, key: bytes, path: Path, bound: bytes) -> bytes:
        with disk_errors("papers.disk", "read the papers"):
            try:
                with path.open("rb") as file:
                    data = file.read(_FILE_BYTES_MAX)
            except FileNotFoundError:
                do = "name others, or look where they were brought: coop papers list"
                raise _refused(
                    "missing", "There are no such papers here.", f"{path} is missing.", do
                ) from None
        try:
            return AESGCM(key).decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], bound)
        except (InvalidTag, ValueError):
            raise _damaged(f"{path} was changed, or was sealed with another key") from None


def _seal(key: bytes, data: bytes, bound: bytes) -> bytes:
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, data, bound)


def _damaged(why: str) -> OperationError:
    do = "restore the folder, or ask the member for the papers again"
    return _refused("damaged", "The papers cannot be opened.", f"{why}.", do)


def _refused(kind: str, what: str, why: str, do: str) -> OperationError:
    return OperationError(f"papers.{kind}", what, why, do)
