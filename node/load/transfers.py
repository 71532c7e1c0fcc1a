"""Signed transfers between load members, made before the clock starts, as calls ready for a batch."""

import hashlib
import time
from collections.abc import Callable
from typing import Final

from node.cluster.founding import CURRENCY_NUMBER, load_key
from protocol import codec, crypto
from protocol.chain.genesis import Genesis
from protocol.chain.transaction import SCHEME_ECDSA, UNORDERED, compute_tx_id
from protocol.contracts.assets import contract as assets
from protocol.contracts.policies import address_of_key
from protocol.crypto import public_key_of
from protocol.params import SEQUENCE_BITS, TX_VERSION
from protocol.types import Hash32

EXPIRY_SECONDS: Final = 540
GAS_LIMIT: Final = 12_000
PROGRESS_EVERY: Final = 5_000
TRANSFER: Final = next(method.id for method in assets.CONTRACT.methods if method.name == "transfer")


class Transfers:
    """So many signed transfers of load members, round robin.

    Args:
        ids: of the transactions, 0x-hex, in the order of `calls`.
        calls: JSON-RPC calls of `tx_submit`, encoded.
    """

    def __init__(
        self, genesis: Genesis, members: int, count: int, seed: bytes, note: Callable[[int], None]
    ) -> None:
        genesis_hash = genesis.compute_hash()
        secrets = [load_key(number) for number in range(members)]
        keys = [public_key_of(secret) for secret in secrets]
        addresses = [address_of_key(key) for key in keys]
        first = int.from_bytes(hashlib.sha256(seed).digest()[:5], "big") << 8
        until = int(time.time()) + EXPIRY_SECONDS
        self.ids: list[str] = []
        self.calls: list[bytes] = []
        for at in range(count):
            who = at % members
            payer, payee = addresses[who], addresses[(who + 1 + at // members) % members or (who == 0)]
            body = codec.encode(
                (
                    TX_VERSION,
                    genesis.name,
                    (payer,),
                    0,
                    (UNORDERED, (first + at) % (1 << SEQUENCE_BITS)),
                    until,
                    GAS_LIMIT,
                    0,
                    (
                        (),
                        (
                            (
                                assets.CONTRACT.id,
                                TRANSFER,
                                0,
                                (payer, payee, CURRENCY_NUMBER, 1 + at % 100, None),
                            ),
                        ),
                    ),
                    b"",
                )
            )
            tx_id = compute_tx_id(body, genesis_hash)
            signature = crypto.sign(secrets[who], Hash32(tx_id))
            raw = codec.encode((body, ((0, keys[who], SCHEME_ECDSA, signature),), ()))
            self.ids.append("0x" + tx_id.hex())
            self.calls.append(
                b'{"jsonrpc":"2.0","method":"tx_submit","params":["0x%s"],"id":%d}' % (raw.hex().encode(), at)
            )
            if at % PROGRESS_EVERY == 0:
                note(at)
