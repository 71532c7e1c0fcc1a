"""The first transaction of a demo chain: the cashier takes in cash, so that there is a block to look at."""

import secrets
import time
from pathlib import Path

from node.cluster.founding import CASHIER, CURRENCY_NUMBER, MEMBERS, demo_address, demo_key
from node.cluster.local import LocalNet
from node.ipc.ask import ask
from node.ipc.messages import Submit
from protocol import crypto
from protocol.chain.transaction import (
    SCHEME_ECDSA,
    UNORDERED,
    Transaction,
    TxSignature,
    assemble,
    compute_tx_id,
)
from protocol.contracts import assets
from protocol.crypto import public_key_of
from protocol.params import SEQUENCE_BITS
from protocol.types import Gas, Hash32, Seconds

FIRST_AMOUNT_MINOR = 10_000
EXPIRY_SECONDS = 120
GAS_LIMIT = 60_000


def send_first_transaction(net: LocalNet) -> None:
    """Submit a cash-in for every demo member to the first node, unless the chain has blocks already."""
    if any(status is not None and status.height for status in (node.status() for node in net.state.nodes)):
        return
    genesis = net.genesis
    till, secret = demo_address(CASHIER), demo_key(CASHIER)
    cash_in = next(method.id for method in assets.CONTRACT.methods if method.name == "cash_in")
    calls = tuple(
        (
            assets.CONTRACT.id,
            cash_in,
            0,
            (till, demo_address(name), CURRENCY_NUMBER, FIRST_AMOUNT_MINOR, b"first " + name.encode()),
        )
        for name in MEMBERS
    )
    tx = Transaction(
        genesis.name,
        (till,),
        0,
        UNORDERED,
        secrets.randbits(SEQUENCE_BITS),
        Seconds(int(time.time()) + EXPIRY_SECONDS),
        Gas(GAS_LIMIT),
        0,
        ((), calls),
    )
    genesis_hash = genesis.compute_hash()
    digest = Hash32(compute_tx_id(tx.encode(), genesis_hash))
    signature = TxSignature(0, public_key_of(secret), SCHEME_ECDSA, crypto.sign(secret, digest))
    signed = assemble(tx, genesis_hash, (signature,))
    ask(Path(net.state.nodes[0].home) / "daemon.sock", Submit((signed.raw,)))
