"""Build, sign and send a payment, and bring its proved receipt home.

A payment uses the unordered lane: a random number instead of a counter, remembered by the chain until the
expiry, so that two programs of one member never wait for each other, and sending twice pays once.
"""

import secrets
import time
from dataclasses import dataclass
from typing import Any, Final

from node.cli.rpc_client import RpcClient
from node.cli.terminal import Failure
from node.rpc.amounts import BadAmount, parse_amount
from protocol import crypto
from protocol.chain.genesis import Genesis
from protocol.chain.transaction import (
    SCHEME_ECDSA,
    UNORDERED,
    SignedTransaction,
    Transaction,
    TxSignature,
    assemble,
    compute_tx_id,
)
from protocol.codec import Value
from protocol.contracts.assets import contract as assets
from protocol.contracts.policies import address_of_key
from protocol.crypto import SecretKey, public_key_of
from protocol.params import HEARTBEAT_BLOCK_SECONDS, SEQUENCE_BITS
from protocol.types import Address, Gas, Hash32, Seconds

EXPIRY_SECONDS: Final = 120
GAS_LIMIT: Final = 20_000
"""Above what a transfer takes, about 7,000."""
TRANSFER: Final = next(method.id for method in assets.CONTRACT.methods if method.name == "transfer")
WAIT_MS: Final = 15_000


@dataclass(frozen=True, slots=True)
class Asset:
    """What is paid: number, symbol, decimals."""

    number: int
    symbol: str
    decimals: int


def find_asset(client: RpcClient, symbol: str | None) -> Asset:
    """Return the asset with a symbol, or the first one of the chain.

    Raises:
        Failure: there is none.
    """
    found: list[dict[str, Any]] = client.call("assets_assets", after=0)["value"]
    for item in found:
        if symbol is None or item["symbol"] == symbol.upper():
            return Asset(int(item["asset"]), str(item["symbol"]), int(item["decimals"]))
    names = ", ".join(str(item["symbol"]) for item in found) or "none"
    raise Failure(
        f"There is no currency {symbol or ''} here.".replace("  ", " "),
        f"this chain has: {names}.",
        "use one of them",
        "E1233 ledger.asset",
    )


def read_typed_amount(client: RpcClient, text: str, symbol: str | None) -> tuple[int, Asset]:
    """Read an amount in display units, with or without its currency.

    Raises:
        Failure: not an amount, or of no asset here.
    """
    letters = "".join(char for char in text if char.isascii() and char.isalpha())
    asset = find_asset(client, symbol or letters or None)
    try:
        return parse_amount(text, asset.decimals, asset.symbol), asset
    except BadAmount as bad:
        raise Failure(
            "The amount cannot be read.", f"{bad}.", "type it as in 25 or 25.50 or 25CNY", "cli.bad_amount"
        ) from None


def build_transfer(
    genesis: Genesis,
    payer: Address,
    payee: Address,
    asset: int,
    amount: int,
    memo: bytes = b"",
    now: int | None = None,
) -> Transaction:
    """Build the transaction that pays another account."""
    call: Value = (assets.CONTRACT.id, TRANSFER, 0, (payer, payee, asset, amount, memo or None))
    return build_transaction(genesis, payer, (call,), now=now)


def read_time(client: RpcClient, genesis: Genesis) -> int:
    """Return what time it is on the chain, Unix seconds.

    That of this machine, which no node can change; but on a chain of development, whose clocks can be moved
    ahead, that of the newest block.
    """
    now = int(time.time())
    if not genesis.is_dev:
        return now
    return max(now, int(client.call("chain_getHeader", block="latest")["time"]) // 1_000)


def read_clock(client: RpcClient, genesis: Genesis) -> int:
    """Return the time, Unix seconds, from which a transaction's life counts."""
    return compute_clock(read_time(client, genesis))


def compute_clock(now: int) -> int:
    """Return from when a transaction's life counts: the newest block may be as old as the chain idles."""
    is_moved = now > time.time() + EXPIRY_SECONDS
    return now + HEARTBEAT_BLOCK_SECONDS if is_moved else now


def build_transaction(
    genesis: Genesis,
    actor: Address,
    instructions: tuple[Value, ...],
    gas_limit: int = GAS_LIMIT,
    now: int | None = None,
) -> Transaction:
    """Build an unordered transaction of one actor that expires soon.

    Args:
        now: as `read_clock` says; the time of this machine without it.
    """
    return Transaction(
        genesis.name,
        (actor,),
        0,
        UNORDERED,
        secrets.randbits(SEQUENCE_BITS),
        Seconds((int(time.time()) if now is None else now) + EXPIRY_SECONDS),
        Gas(gas_limit),
        0,
        ((), instructions),
    )


def sign_transaction(genesis: Genesis, tx: Transaction, secret: SecretKey) -> SignedTransaction:
    """Sign with the key of its only actor."""
    public_key = public_key_of(secret)
    assert tx.actors == (address_of_key(public_key),), "the key is not that of the actor"
    genesis_hash = genesis.compute_hash()
    digest = compute_tx_id(tx.encode(), genesis_hash)
    signature = TxSignature(0, public_key, SCHEME_ECDSA, crypto.sign(secret, Hash32(digest)))
    return assemble(tx, genesis_hash, (signature,))


def send(client: RpcClient, signed: SignedTransaction, wait_ms: int = WAIT_MS) -> dict[str, Any]:
    """Submit and wait; returns the receipt.

    Raises:
        Failure: refused, or the outcome is unknown.
    """
    receipt: dict[str, Any] = client.call("tx_submitAndWait", tx="0x" + signed.raw.hex(), timeoutMs=wait_ms)
    return receipt
