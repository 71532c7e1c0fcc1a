"""Sign for an account of several keys that lie in one folder, and send a call of a contract.

The folder holds `account.json` (threshold and public keys, from which the address is made) and those of the
keys that its owner has. Carrying a transaction from one key holder to the next is not known here.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import msgspec

from node.catalog import fill
from node.cli.payments import build_transaction, read_clock, send
from node.cli.rpc_client import RpcClient
from node.cli.session import session
from node.cli.terminal import Exit, Failure
from node.rpc.failure import failure_of_receipt
from node.wallet.keyring import Keyring
from protocol import crypto
from protocol.addresses import HRP_MAIN, HRP_TEST, format_address
from protocol.chain.genesis import Genesis
from protocol.chain.receipt import decode_receipt
from protocol.chain.transaction import (
    SCHEME_ECDSA,
    SignedTransaction,
    Transaction,
    TxSignature,
    assemble,
    compute_tx_id,
)
from protocol.codec import Value
from protocol.contracts import REGISTRY
from protocol.contracts.policies import compute_address
from protocol.types import Address, Hash32
from protocol.vm.contract import Contract

GAS_LIMIT: Final = 200_000
"""Above what any call of the registry takes; what is not used is not taken from the quota."""


class Account(msgspec.Struct, frozen=True):
    """What `account.json` says: so many of these keys decide."""

    threshold: int
    keys: list[str]


@dataclass(frozen=True, slots=True)
class Council:
    """The account that decides by so many of its `size` keys, and those of them that are here, by name."""

    policy: Value
    threshold: int
    size: int
    ring: Keyring
    names: tuple[str, ...]

    @property
    def address(self) -> Address:
        """Return its address."""
        return compute_address(self.policy)


def load_council(home: Path) -> Council:
    """Read the folder of a council's keys, as many as decide.

    Raises:
        Failure: there is none, it is malformed, or it holds fewer keys than decide.
    """
    council = read_council(home)
    if len(council.names) < council.threshold:
        raise Failure(
            "Nothing was signed: more keys are needed.",
            f"rule: {council.threshold} of {council.size} keys decide; {len(council.names)} are in "
            f"{home / 'keys'}.",
            "bring the other keys there, or sign where they are",
            "E1112 tx.needs_signatures",
            Exit.MORE_SIGNATURES,
        )
    return replace(council, names=council.names[: council.threshold])


def read_council(home: Path) -> Council:
    """Read the folder of a council's keys, however few of them are here.

    Raises:
        Failure: there is none, or it is malformed.
    """
    path = home / "account.json"
    try:
        account = msgspec.json.decode(path.read_bytes(), type=Account)
        keys = tuple(bytes.fromhex(key) for key in account.keys)
    except (OSError, ValueError, msgspec.MsgspecError):
        raise Failure(
            "Nothing was signed: the keys of the council are not here.",
            f"{path} is missing or cannot be read.",
            "name the folder of the council's keys: --board DIR",
            "council.missing",
            Exit.USAGE,
        ) from None
    ring = Keyring(home / "keys")
    names = tuple(name for name in ring.names() if ring.entry(name).public_key in keys)
    policy: Value = (account.threshold, tuple((0, key, 1) for key in keys))
    return Council(policy, account.threshold, len(keys), ring, names)


def send_as_council(
    client: RpcClient,
    genesis: Genesis,
    council: Council,
    contract: Contract,
    method: str,
    arguments: tuple[Value, ...],
) -> dict[str, Any]:
    """Sign a call with as many keys as decide, send it, and return the receipt.

    Raises:
        Failure: refused, or the outcome is unknown.
    """
    hrp = HRP_TEST if genesis.is_dev else HRP_MAIN
    known = client.call("auth_account", address=format_address(council.address, hrp))["value"]
    is_revealed = known is not None and known["policy"] is not None

    def sign(tx: Transaction) -> SignedTransaction:
        genesis_hash = genesis.compute_hash()
        digest = Hash32(compute_tx_id(tx.encode(), genesis_hash))
        signatures = []
        for name in council.names:
            sealed = council.ring.entry(name).encrypted
            passphrase = session.terminal.secret(f"passphrase of {name}: ") if sealed else None
            secret = council.ring.load(name, passphrase)
            signature = crypto.sign(secret, digest)
            signatures.append(TxSignature(0, secret.public_key, SCHEME_ECDSA, signature))
        reveals = () if is_revealed else ((0, council.policy),)
        return assemble(tx, genesis_hash, tuple(signatures), reveals)

    return send_call(client, genesis, council.address, contract, method, arguments, sign)


def send_call(
    client: RpcClient,
    genesis: Genesis,
    actor: Address,
    contract: Contract,
    method: str,
    arguments: tuple[Value, ...],
    sign: Callable[[Transaction], SignedTransaction],
) -> dict[str, Any]:
    """Build one call of a contract, sign it, send it, and return the receipt.

    Raises:
        Failure: refused with the rule, limit and actual value, or the outcome is unknown.
    """
    number = next(known.id for known in contract.methods if known.name == method)
    call: Value = (contract.id, number, 0, arguments)
    tx = build_transaction(genesis, actor, (call,), GAS_LIMIT, read_clock(client, genesis))
    receipt = send(client, sign(tx))
    if not receipt["ok"]:
        failure = failure_of_receipt(decode_receipt(bytes.fromhex(str(receipt["raw"])[2:])), REGISTRY)
        text = fill(failure.entry, session.terminal.language, failure.params)
        raise Failure(text.what, text.why, text.fix, f"E{failure.entry.number} {failure.entry.slug}")
    return receipt
