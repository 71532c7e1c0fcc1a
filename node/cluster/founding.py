"""The demo co-operative: a genesis document, its operators' keys, and members whose phrases are public.

Everything of value here is worthless: the keys of the members are derived from their names, so anybody can
sign for them. Never found a real chain with this.
"""

import hashlib
import secrets
from dataclasses import dataclass
from typing import Final

from node.wallet.derivation import compute_member_key
from node.wallet.phrase import Phrase, phrase_of
from protocol.chain.genesis import Genesis
from protocol.chain.validators import EngineKind, EpochRecord, Validator, order_validators
from protocol.codec import Value
from protocol.contracts import assets, auth
from protocol.contracts.policies import address_of_key
from protocol.crypto import SecretKey, public_key_of
from protocol.params import PROGRAM_INSTRUCTIONS_MAX, STATE_TREE_BITS_DEFAULT
from protocol.types import Address, EpochNumber, Height, TimeMs
from protocol.vm.program import NO_ACTOR

MEMBERS: Final = ("ada", "bo", "cy")
CASHIER: Final = "till"
CURRENCY: Final = "CNY"
CURRENCY_DECIMALS: Final = 2
CURRENCY_NUMBER: Final = 1
CHAIN_NAME: Final = "riverbend-demo"
OPENING_MINOR: Final = 5_000_000
LOAD_OPENING_MINOR: Final = 1_000_000_000
LOAD_MEMBERS_MAX: Final = 20_000
CASH_LIMIT: Final = 1 << 60


@dataclass(frozen=True, slots=True)
class Operator:
    """A validator of the demo: its name and its two secret keys."""

    name: str
    node_key: SecretKey
    consensus_key: SecretKey


def make_operators(count: int) -> tuple[Operator, ...]:
    """Draw the keys of so many operators, n1 .. nX."""
    return tuple(
        Operator(f"n{number}", SecretKey(secrets.token_bytes(32)), SecretKey(secrets.token_bytes(32)))
        for number in range(1, count + 1)
    )


def demo_phrase(name: str) -> Phrase:
    """Return the public recovery phrase of a demo member."""
    return phrase_of(hashlib.sha256(b"coopd public demo key " + name.encode()).digest()[:16])


def demo_key(name: str) -> SecretKey:
    """Return the secret key of a demo member, which anybody can compute."""
    return compute_member_key(demo_phrase(name).seed())


def demo_address(name: str) -> Address:
    """Return the address of a demo member."""
    return address_of_key(public_key_of(demo_key(name)))


def load_key(number: int) -> SecretKey:
    """Return the secret key of a member that exists for load tests, which anybody can compute."""
    return SecretKey(hashlib.sha256(b"coopd public load key %d" % number).digest())


def make_genesis(
    operators: tuple[Operator, ...], time_ms: int, load_members: int = 0, name: str = CHAIN_NAME
) -> Genesis:
    """Found the demo co-operative: one currency, one cashier, members with opening balances.

    Args:
        load_members: how many members more, for load tests.
    """
    assert 0 <= load_members <= LOAD_MEMBERS_MAX
    validators = tuple(
        Validator(o.name, public_key_of(o.consensus_key), public_key_of(o.node_key)) for o in operators
    )
    record = EpochRecord(EpochNumber(0), EngineKind.RAFT, Height(1), order_validators(validators))
    return Genesis(
        name, TimeMs(time_ms), record, STATE_TREE_BITS_DEFAULT, 8 * 3_600, True, _programs(load_members)
    )


def _programs(load_members: int) -> tuple[Value, ...]:
    till = demo_address(CASHIER)
    number = CURRENCY_NUMBER
    found = (
        _call(
            assets.CONTRACT.id,
            _ASSETS["create"],
            CURRENCY,
            "Yuan",
            CURRENCY_DECIMALS,
            assets.FIAT_CLAIM,
            1 << 62,
        ),
        _call(assets.CONTRACT.id, _ASSETS["set_cashier"], till, number, CASH_LIMIT, CASH_LIMIT, CASH_LIMIT),
        _call(auth.CONTRACT.id, _AUTH["open"], till),
    )
    credits = [(demo_address(name), OPENING_MINOR) for name in MEMBERS]
    credits += [(address_of_key(public_key_of(load_key(n))), LOAD_OPENING_MINOR) for n in range(load_members)]
    calls = [
        _call(assets.CONTRACT.id, _ASSETS["cash_in"], till, member, number, amount, b"open%d" % at)
        for at, (member, amount) in enumerate(credits)
    ]
    step = PROGRAM_INSTRUCTIONS_MAX
    parts = [tuple(calls[at : at + step]) for at in range(0, len(calls), step)]
    return ((), found), *(((), part) for part in parts)


def _call(contract: int, method: int, *arguments: Value) -> Value:
    return (contract, method, NO_ACTOR, arguments)


_ASSETS: Final = {method.name: method.id for method in assets.CONTRACT.methods}
_AUTH: Final = {method.name: method.id for method in auth.CONTRACT.methods}
