"""A member's proof of who calls: a short record, signed with a key of the account.

proof = [[genesis hash, host name, address, public key, expiry in seconds], signature]

It is bound to one chain, one gateway and a time, so that a gateway that was shown it cannot use it
at another; no gateway keeps a session.
Its digest has a domain of its own: it is never a transaction or a vote. It travels as
`Authorization: Member <base64url>`. What a member may read with it is in `readers.py`.

*Source*: interfaces.md 6, sign-in.
"""

import base64
import binascii
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from node.rpc.failure import RpcFailure
from protocol import codec, crypto
from protocol.codec import Reader as Fields
from protocol.contracts.auth import POLICIES
from protocol.contracts.policies import address_of_key, list_keys, read_policy
from protocol.crypto import Domain, SecretKey
from protocol.errors import Rejected
from protocol.types import Address, Hash32, PublicKey
from protocol.vm.view import View

SCHEME: Final = "member"
SIGN_IN_SECONDS_MAX: Final = 12 * 3_600
"""How far ahead the expiry of a proof may lie."""
HOST_BYTES_MAX: Final = 253
PROOF_BYTES_MAX: Final = 512
_PROOFS_KEPT: Final = 4_096
_SECONDS_BITS: Final = 48


@dataclass(frozen=True, slots=True)
class Proof:
    """What a member signed.

    Args:
        host: name of the gateway, in lower case, without port.
        expires: seconds since 1970.
    """

    genesis_hash: Hash32
    host: str
    address: Address
    public_key: PublicKey
    expires: int


def sign_proof(secret: SecretKey, genesis_hash: Hash32, host: str, address: Address, expires: int) -> str:
    """Return the text of a proof, as it stands behind `Member`."""
    content = (genesis_hash, host.lower(), address, crypto.public_key_of(secret), expires)
    signature = crypto.sign(secret, crypto.digest(Domain.SIGN_IN, codec.encode(content)))
    return base64.urlsafe_b64encode(codec.encode((content, signature))).decode().rstrip("=")


@lru_cache(_PROOFS_KEPT)
def read_proof(text: str) -> Proof:
    """Read a proof and check its signature.

    Raises:
        RpcFailure: signin.malformed, signin.signature.
    """
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        outer = Fields(codec.decode(raw, PROOF_BYTES_MAX), "sign-in", 2)
        content, signature = outer.any(), outer.data(64)
        inner = Fields(content, "sign-in", 5)
        proof = Proof(
            Hash32(inner.data(32)),
            inner.text(HOST_BYTES_MAX),
            Address(inner.data(20)),
            PublicKey(inner.data(33)),
            inner.uint(_SECONDS_BITS),
        )
    except (binascii.Error, ValueError, Rejected):
        raise RpcFailure("signin.malformed") from None
    if not crypto.verify(proof.public_key, crypto.digest(Domain.SIGN_IN, codec.encode(content)), signature):
        raise RpcFailure("signin.signature")
    return proof


def check_place(proof: Proof, genesis_hash: Hash32, host: str) -> None:
    """Refuse a proof that was made for another chain or another gateway.

    Raises:
        RpcFailure: signin.other_chain, signin.other_host.
    """
    if proof.genesis_hash != genesis_hash:
        raise RpcFailure("signin.other_chain")
    if proof.host != host:
        raise RpcFailure("signin.other_host", signed=proof.host[:64], host=host[:64])


def check_now(proof: Proof, view: View, now: int) -> None:
    """Refuse a proof whose time is over, or whose key is none of the account's in this state.

    Args:
        now: seconds since 1970.

    Raises:
        RpcFailure: signin.expired, signin.too_long, signin.wrong_key.
    """
    if now >= proof.expires:
        raise RpcFailure("signin.expired", expires=proof.expires, now=now)
    if proof.expires - now > SIGN_IN_SECONDS_MAX:
        raise RpcFailure("signin.too_long", limit=SIGN_IN_SECONDS_MAX, asked=proof.expires - now)
    row = POLICIES.get(view, POLICIES.key(proof.address))
    keys = () if row is None else list_keys(read_policy(row[1]))
    if proof.public_key not in keys and not (
        row is None and address_of_key(proof.public_key) == proof.address
    ):
        raise RpcFailure("signin.wrong_key")
