"""What a member's program keeps on disk: the chain it is pinned to, its epochs, contacts, keys, receipts.

The genesis document is pinned once, at `coop connect`; from then on no node can pass off another chain. It
does not talk to a node.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Final

import msgspec

from node.cli.member.epoch_chain import EpochChain, Seen
from node.cli.member.receipts import Bundle
from node.cli.terminal import Exit, Failure
from node.files import write_whole
from node.wallet.keyring import Keyring
from protocol.addresses import HRP_MAIN, HRP_TEST, format_address, parse_address
from protocol.chain.evidence import Evidence
from protocol.chain.genesis import Genesis, decode_genesis
from protocol.contracts.policies import address_of_key
from protocol.errors import Rejected
from protocol.types import Address, TxId

DEFAULT_HOME: Final = "~/.local/share/coop"


class Connection(msgspec.Struct, frozen=True):
    """Where the node is, and whether it needs a token."""

    url: str
    token: str | None = None


@dataclass(frozen=True, slots=True)
class Chain:
    """The chain that a member is pinned to."""

    genesis: Genesis

    @property
    def hrp(self) -> str:
        """Return the human part of its addresses."""
        return HRP_TEST if self.genesis.is_dev else HRP_MAIN

    @property
    def fingerprint(self) -> str:
        """Return the first bytes of its identity, to compare by eye."""
        text = self.genesis.compute_hash().hex()[:16]
        return " ".join(text[at : at + 4] for at in range(0, 16, 4))


class MemberHome:
    """The folder of one member."""

    def __init__(self, path: Path | None) -> None:
        self.path = (path or Path(os.environ.get("COOP_HOME") or DEFAULT_HOME)).expanduser().absolute()

    @property
    def keyring(self) -> Keyring:
        """Return the member's keys."""
        return Keyring(self.path / "keys")

    def pin(self, connection: Connection, genesis: Genesis, *, replace: bool = False) -> None:
        """Remember node and chain.

        Raises:
            Failure: another chain is pinned already.
        """
        file = self.path / "genesis.bin"
        document = genesis.encode()
        if file.exists() and file.read_bytes() != document and not replace:
            raise Failure(
                "Not connected: this node serves another chain than yours.",
                f"{file} pins another genesis; a wrong node would look like this.",
                "check the address; to change the chain on purpose: coop connect URL --replace",
                "member.other_chain",
            )
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if file.exists() and file.read_bytes() != document:
            (self.path / "epochs.json").unlink(missing_ok=True)
        write_whole(file, document)
        write_whole(self.path / "connection.json", msgspec.json.encode(connection))

    def connection(self) -> Connection:
        """Return where the node is.

        Raises:
            Failure: not connected yet.
        """
        try:
            return msgspec.json.decode((self.path / "connection.json").read_bytes(), type=Connection)
        except (FileNotFoundError, msgspec.MsgspecError, UnicodeDecodeError):
            raise _not_connected(self.path) from None

    def chain(self) -> Chain:
        """Return the chain that is pinned.

        Raises:
            Failure: not connected yet.
        """
        try:
            return Chain(decode_genesis((self.path / "genesis.bin").read_bytes()))
        except (FileNotFoundError, Rejected):
            raise _not_connected(self.path) from None

    def epochs(self) -> EpochChain:
        """Return the epochs that were proved before, proved again.

        Raises:
            Failure: not connected yet, or what was remembered does not hold.
        """
        genesis, file = self.chain().genesis, self.path / "epochs.json"
        try:
            return EpochChain.restore(genesis, msgspec.json.decode(file.read_bytes(), type=Seen))
        except FileNotFoundError:
            return EpochChain(genesis)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError, Rejected) as broken:
            raise Failure(
                "What was proved of this chain before cannot be read.",
                f"{file}: {broken}.",
                "restore it from a backup, or remove it; without it a node could hide a fork from you",
                "member.epochs_damaged",
            ) from None

    def save_epochs(self, epochs: EpochChain) -> None:
        """Remember what is proved of the chain's epochs."""
        write_whole(
            self.path / "epochs.json", msgspec.json.format(msgspec.json.encode(epochs.remember())) + b"\n"
        )

    def evidence(self) -> list[str]:
        """Return the evidence of a fork that was seen, as 0x-hex."""
        try:
            return msgspec.json.decode((self.path / "evidence.json").read_bytes(), type=list[str])
        except (FileNotFoundError, msgspec.MsgspecError, UnicodeDecodeError):
            return []

    def save_evidence(self, evidence: Sequence[Evidence]) -> None:
        """Keep evidence of a fork beside what was kept before."""
        kept = dict.fromkeys([*self.evidence(), *["0x" + one.encode().hex() for one in evidence]])
        write_whole(self.path / "evidence.json", msgspec.json.encode(list(kept)) + b"\n")

    def contacts(self) -> dict[str, str]:
        """Return names and addresses."""
        try:
            return msgspec.json.decode((self.path / "contacts.json").read_bytes(), type=dict[str, str])
        except (FileNotFoundError, msgspec.MsgspecError, UnicodeDecodeError):
            return {}

    def save_contacts(self, contacts: dict[str, str]) -> None:
        """Replace names and addresses."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(self.path / "contacts.json", msgspec.json.format(msgspec.json.encode(contacts)))

    def find_address(self, who: str) -> Address:
        """Return the address of a contact, of a key of this folder, or that is typed out.

        Raises:
            Failure: nobody by that name, or an address of another network.
        """
        chain = self.chain()
        known = self.contacts().get(who)
        if known is None and who in self.keyring.names():
            return address_of_key(self.keyring.entry(who).public_key)
        try:
            hrp, address = parse_address(known or who)
        except Rejected as rejected:
            if known is None and not who.lower().startswith((HRP_MAIN + "1", HRP_TEST + "1")):
                close = get_close_matches(who, sorted({*self.contacts(), *self.keyring.names()}))
                raise Failure(
                    f"There is nobody called {who[:40]} here.",
                    f"the closest: {', '.join(close)}." if close else "no contact or key has that name.",
                    f"type the address, or add it: coop contacts add {who[:40]} ADDRESS",
                    "member.no_contact",
                ) from None
            raise Failure(
                "The address is not valid.",
                f"{rejected.detail}.",
                "copy it again; a typing error is likely",
                "E1130 auth.bad_address",
            ) from None
        if hrp != chain.hrp:
            raise Failure(
                "The address is of another network.",
                f"it begins with {hrp}1, addresses here begin with {chain.hrp}1.",
                "ask for an address of this co-operative",
                "E1130 auth.bad_address",
            )
        return address

    def name_of(self, address: Address) -> str:
        """Return what to call an address: a contact's name, or the short form."""
        text = format_address(address, self.chain().hrp)
        for name, known in self.contacts().items():
            if known == text:
                return name
        return shorten(text)

    def pick_key(self, name: str | None) -> str:
        """Return the name of the key to act with: the one named, or the only one there is.

        Raises:
            Failure: there is none, or one must be named.
        """
        names = self.keyring.names()
        if name is not None:
            return name
        if len(names) == 1:
            return names[0]
        if not names:
            raise Failure(
                "There is no key here.",
                f"{self.path / 'keys'} is empty.",
                "make one: coop key new NAME, or coop key recover NAME",
                "member.no_key",
                Exit.USAGE,
            )
        raise Failure(
            "Which key should act?",
            f"there are several: {', '.join(names)}.",
            f"name one, as in: coop --as {names[0]} me",
            "member.which_key",
            Exit.USAGE,
        )

    def save_receipt(self, tx_id: TxId, bundle: Bundle) -> Path:
        """Save a receipt; returns the file."""
        folder = self.path / "receipts"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = folder / f"{tx_id.hex()}.json"
        write_whole(file, msgspec.json.format(msgspec.json.encode(bundle)) + b"\n")
        return file

    def newest_receipt(self) -> Path:
        """Return the receipt that was saved last; a path that does not exist when there is none."""
        saved = (self.path / "receipts").glob("*.json")
        return max(saved, key=lambda file: file.stat().st_mtime_ns, default=self.path / "receipts" / "none")

    def receipt_file(self, tx_id: TxId) -> Path:
        """Return where the receipt of a transaction is saved."""
        return self.path / "receipts" / f"{tx_id.hex()}.json"


def shorten(address: str) -> str:
    """Shorten an address for people: its beginning and its last four characters."""
    return f"{address[:11]}...{address[-4:]}"


def _not_connected(path: Path) -> Failure:
    return Failure(
        "Not connected to a co-operative yet.",
        f"{path} holds no chain.",
        "connect to a node: coop connect http://127.0.0.1:9500",
        "member.not_connected",
        Exit.USAGE,
    )
