"""The transaction: what a member signs, its canonical bytes, its identity and its stateless checks.

A transaction names the accounts whose authority it uses (actors), a nonce in a lane, an expiry and a program.
Its id is the signing digest, so it does not depend on the signatures: several signers can add theirs in any
order. This file does not know what a program does (`vm/program.py`) nor whether the keys satisfy an account's
policy (`contracts/auth.py`); it checks form, bounds and signatures only.

*Source*: contracts.md 3.1. *Departs*: a signed transaction carries key policies as a third field (`reveals`),
because an account of several keys reveals its policy the first time it signs.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from protocol import codec, crypto
from protocol.codec import Reader, Value
from protocol.crypto import Domain
from protocol.errors import Code, Rejected
from protocol.params import (
    ACTORS_MAX,
    CHAIN_NAME_BYTES_MAX,
    INT64_MAX,
    LANE_UNORDERED,
    LANES_ORDERED,
    MEMO_BYTES_MAX,
    SEQUENCE_BITS,
    SIGNATURES_MAX,
    TX_BYTES_MAX,
    TX_GAS_MAX,
    TX_SIGNED_BYTES_MAX,
    TX_VERSION,
    UINT32_MAX,
)
from protocol.types import Address, Gas, Hash32, PublicKey, Seconds, Signature, TxId

SCHEME_ECDSA: Final = 0
"""secp256k1 ECDSA over the digest. Further numbers are kept for passkeys (P-256) and EIP-712."""

UNORDERED: Final = LANE_UNORDERED


@dataclass(frozen=True, slots=True)
class Transaction:
    """Hold what is signed.

    Args:
        chain_name: name of the chain, from its genesis.
        actors: accounts whose authority the program uses, ascending, unique.
        payer: index into actors, or the address of a sponsor.
        lane: 0..15 ordered, 65,535 unordered.
        sequence: ordered: last of the lane + 1; unordered: a random number, remembered until `valid_until`.
        valid_until: last block time at which it may run.
        gas_limit: most gas it may use.
        gas_price: minor units of the fee asset per million gas, for gas above the free quota.
        program: `[pins, instructions]`, typed by the VM.
        memo: for the reader; may be encrypted.
    """

    chain_name: str
    actors: tuple[Address, ...]
    payer: int | Address
    lane: int
    sequence: int
    valid_until: Seconds
    gas_limit: Gas
    gas_price: int
    program: Value
    memo: bytes = b""

    @property
    def nonce_holder(self) -> Address:
        """Return whose nonce it uses: the actor who pays, or the first one when a sponsor pays."""
        return self.actors[self.payer] if isinstance(self.payer, int) else self.actors[0]

    def encode(self) -> bytes:
        """Encode what is signed."""
        return codec.encode(
            (
                TX_VERSION,
                self.chain_name,
                self.actors,
                self.payer,
                (self.lane, self.sequence),
                self.valid_until,
                self.gas_limit,
                self.gas_price,
                self.program,
                self.memo,
            )
        )


@dataclass(frozen=True, slots=True)
class TxSignature:
    """One signature of one key of one actor."""

    actor: int
    public_key: PublicKey
    scheme: int
    signature: Signature


@dataclass(frozen=True, slots=True)
class SignedTransaction:
    """A transaction with its signatures, its id and its bytes; made only by `decode_signed` and `assemble`.

    Args:
        id: signing digest.
        raw: canonical bytes of the whole, as gossiped and stored.
        reveals: key policies by actor index, for accounts that sign for the first time.
    """

    id: TxId
    tx: Transaction
    signatures: tuple[TxSignature, ...]
    reveals: tuple[tuple[int, Value], ...]
    raw: bytes

    def signature_checks(self) -> list[tuple[bytes, bytes, bytes]]:
        """List (public key, digest, signature) for `crypto.verify_many`."""
        return [(s.public_key, self.id, s.signature) for s in self.signatures]


def compute_tx_id(body: bytes, genesis_hash: Hash32) -> TxId:
    """Compute the signing digest of the canonical bytes of a transaction; covers the genesis hash."""
    return TxId(crypto.digest(Domain.TX, genesis_hash, body))


def peek_id(raw: bytes, genesis_hash: Hash32) -> TxId:
    """Compute the id of a signed transaction without looking at the rest of it.

    Raises:
        Rejected: as `decode_signed`, as far as the envelope goes.
    """
    fields = Reader(codec.decode(raw, TX_SIGNED_BYTES_MAX), "signed transaction", 3)
    return compute_tx_id(fields.data_up_to(TX_BYTES_MAX), genesis_hash)


def assemble(
    tx: Transaction,
    genesis_hash: Hash32,
    signatures: tuple[TxSignature, ...],
    reveals: tuple[tuple[int, Value], ...] = (),
) -> SignedTransaction:
    """Join a transaction and its signatures, in canonical order (actor, public key)."""
    body = tx.encode()
    ordered = tuple(sorted(signatures, key=lambda s: (s.actor, s.public_key)))
    shown = tuple(sorted(reveals, key=_actor_of))
    raw = codec.encode((body, tuple((s.actor, s.public_key, s.scheme, s.signature) for s in ordered), shown))
    return SignedTransaction(compute_tx_id(body, genesis_hash), tx, ordered, shown, raw)


def decode_signed(raw: bytes, genesis_hash: Hash32) -> SignedTransaction:
    """Decode a signed transaction and check its form and bounds; signatures are not verified here.

    Raises:
        Rejected: `TOO_LARGE`, `MALFORMED`, `NOT_CANONICAL`.

    Cost: about 9 us; on the path of every transaction, so fields are checked here without a `Reader`.
    """
    value = codec.decode(raw, TX_SIGNED_BYTES_MAX)
    if type(value) is not tuple or len(value) != 3:
        raise Rejected(Code.MALFORMED, "signed transaction: not an array of 3 fields")
    body, signature_values, reveal_values = value
    if type(body) is not bytes or type(signature_values) is not tuple or type(reveal_values) is not tuple:
        raise Rejected(Code.MALFORMED, "signed transaction: not [bytes, signatures, reveals]")
    tx = decode_transaction(body)
    if not signature_values:
        raise Rejected(Code.BAD_SIG, "no signature")
    if len(signature_values) > SIGNATURES_MAX or len(reveal_values) > ACTORS_MAX:
        raise Rejected(Code.MALFORMED, "signed transaction: too many signatures or reveals")
    signatures = tuple([_read_signature(v) for v in signature_values])
    reveals = tuple([_read_reveal(v) for v in reveal_values]) if reveal_values else ()
    actors = len(tx.actors)
    order = [(s.actor, s.public_key) for s in signatures]
    if any(a >= b for a, b in pairwise(order)) or order[-1][0] >= actors:
        raise Rejected(Code.MALFORMED, "signatures: not ascending by (actor, key), or no such actor")
    if reveals:
        revealed = [actor for actor, _ in reveals]
        if any(a >= b for a, b in pairwise(revealed)) or revealed[-1] >= actors:
            raise Rejected(Code.MALFORMED, "reveals: not ascending by actor, or no such actor")
    return SignedTransaction(compute_tx_id(body, genesis_hash), tx, signatures, reveals, raw)


def decode_transaction(body: bytes) -> Transaction:
    """Decode what is signed and check its form and bounds.

    Raises:
        Rejected: `TOO_LARGE`, `MALFORMED`, `NOT_CANONICAL`.
    """
    value = codec.decode(body, TX_BYTES_MAX)
    if type(value) is not tuple or len(value) != 10:
        raise Rejected(Code.MALFORMED, "transaction: not an array of 10 fields")
    version, chain_name, actors, payer, nonce, valid_until, gas_limit, gas_price, program, memo = value
    if type(version) is not int or version != TX_VERSION:
        raise Rejected(Code.MALFORMED, f"transaction: version is not {TX_VERSION}")
    if type(chain_name) is not str or not codec.is_text(chain_name, CHAIN_NAME_BYTES_MAX):
        raise Rejected(Code.MALFORMED, f"chain name: not text of at most {CHAIN_NAME_BYTES_MAX} bytes")
    if type(actors) is not tuple or not 0 < len(actors) <= ACTORS_MAX:
        raise Rejected(Code.MALFORMED, f"actors: not 1..{ACTORS_MAX}")
    addresses = tuple([_read_address(actor) for actor in actors])
    if len(addresses) > 1 and any(a >= b for a, b in pairwise(addresses)):
        raise Rejected(Code.MALFORMED, "actors: not ascending and unique")
    if type(payer) is bytes:
        payer = _read_address(payer)
    elif type(payer) is not int or not 0 <= payer < len(addresses):
        raise Rejected(Code.MALFORMED, "payer: neither an actor's index nor an address")
    lane, sequence = _read_nonce(nonce)
    return Transaction(
        chain_name,
        addresses,
        payer,
        lane,
        sequence,
        Seconds(_read_uint(valid_until, INT64_MAX, "valid until")),
        Gas(_read_uint(gas_limit, TX_GAS_MAX, "gas limit")),
        _read_uint(gas_price, UINT32_MAX, "gas price"),
        program,
        _read_memo(memo),
    )


def _read_nonce(value: Value) -> tuple[int, int]:
    if type(value) is not tuple or len(value) != 2:
        raise Rejected(Code.MALFORMED, "nonce: not [lane, sequence]")
    lane = _read_uint(value[0], LANE_UNORDERED, "lane")
    if lane >= LANES_ORDERED and lane != LANE_UNORDERED:
        raise Rejected(Code.MALFORMED, f"lane {lane}: neither 0..{LANES_ORDERED - 1} nor {LANE_UNORDERED}")
    return lane, _read_uint(value[1], (1 << SEQUENCE_BITS) - 1, "sequence")


def _read_uint(value: Value, high: int, name: str) -> int:
    if type(value) is not int or not 0 <= value <= high:
        raise Rejected(Code.MALFORMED, f"{name}: not an integer of 0..{high}")
    return value


def _read_memo(value: Value) -> bytes:
    if type(value) is not bytes or len(value) > MEMO_BYTES_MAX:
        raise Rejected(Code.MALFORMED, f"memo: not at most {MEMO_BYTES_MAX} bytes")
    return value


def _actor_of(reveal: tuple[int, Value]) -> int:
    return reveal[0]


def _read_address(value: Value) -> Address:
    if type(value) is not bytes or len(value) != 20:
        raise Rejected(Code.MALFORMED, "address: not 20 bytes")
    return Address(value)


def _read_signature(value: Value) -> TxSignature:
    if type(value) is not tuple or len(value) != 4:
        raise Rejected(Code.MALFORMED, "signature: not [actor, public key, scheme, signature]")
    actor, key, scheme, signature = value
    if type(key) is not bytes or len(key) != 33 or type(signature) is not bytes or len(signature) != 64:
        raise Rejected(Code.MALFORMED, "signature: not a key of 33 and a signature of 64 bytes")
    return TxSignature(
        _read_uint(actor, ACTORS_MAX - 1, "actor"),
        PublicKey(key),
        _read_uint(scheme, SCHEME_ECDSA, "scheme"),
        Signature(signature),
    )


def _read_reveal(value: Value) -> tuple[int, Value]:
    fields = Reader(value, "reveal", 2)
    return fields.integer(0, ACTORS_MAX - 1), fields.any()
