"""The demo co-operative: a genesis document, its operators' keys, and members whose phrases are public.

Everything of value here is worthless: the keys of the members and of the board are derived from their names,
so anybody can sign for them. Never found a real chain with this.
"""

import hashlib
import secrets
from dataclasses import dataclass
from functools import cache
from typing import Final

from node.wallet.derivation import compute_member_key
from node.wallet.phrase import Phrase, phrase_of
from protocol.chain.genesis import Genesis
from protocol.chain.validators import EngineKind, EpochRecord, Validator, order_validators
from protocol.codec import Value
from protocol.contracts import auth
from protocol.contracts.assets import contract as assets
from protocol.contracts.assets.records import FIAT_CLAIM
from protocol.contracts.parameters import RAFT_RETURN
from protocol.contracts.policies import address_of_key, compute_address
from protocol.contracts.registry import records as registry
from protocol.crypto import SecretKey, public_key_of
from protocol.params import PROGRAM_INSTRUCTIONS_MAX, STATE_TREE_BITS_DEFAULT
from protocol.types import Address, EpochNumber, Height, TimeMs
from protocol.vm.program import NO_ACTOR

MEMBERS: Final = ("ada", "bo", "cy")
CASHIER: Final = "till"
BOARD: Final = ("board1", "board2", "board3")
BOARD_THRESHOLD: Final = 2
"""So many keys of the founding board decide together, as the account that holds the role of the council."""
CURRENCY: Final = "CNY"
CURRENCY_DECIMALS: Final = 2
CURRENCY_NUMBER: Final = 1
CHAIN_NAME: Final = "riverbend-demo"
OPENING_MINOR: Final = 5_000_000
LOAD_OPENING_MINOR: Final = 1_000_000_000
LOAD_MEMBERS_MAX: Final = 20_000
CASH_LIMIT: Final = 1 << 60
SET_PARAMETER: Final = 6
UTC_OFFSET_SECONDS: Final = 8 * 3_600


@dataclass(frozen=True, slots=True)
class Operator:
    """One who runs a node of the demo: its name and its two secret keys."""

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


@cache
def demo_key(name: str) -> SecretKey:
    """Return the secret key of a demo member, which anybody can compute."""
    return compute_member_key(demo_phrase(name).seed())


def demo_address(name: str) -> Address:
    """Return the address of a demo member."""
    return address_of_key(public_key_of(demo_key(name)))


def board_policy() -> Value:
    """Return the key policy of the founding board's account; its address is made from it."""
    return demo_policy(BOARD_THRESHOLD, BOARD)


def demo_policy(threshold: int, names: tuple[str, ...]) -> Value:
    """Return the key policy by which so many of these decide."""
    return (threshold, tuple((0, public_key_of(demo_key(name)), 1) for name in names))


def load_key(number: int) -> SecretKey:
    """Return the secret key of a member that exists for load tests, which anybody can compute."""
    return SecretKey(hashlib.sha256(b"coopd public load key %d" % number).digest())


def make_genesis(
    operators: tuple[Operator, ...],
    time_ms: int,
    load_members: int = 0,
    name: str = CHAIN_NAME,
    *,
    spare: tuple[Operator, ...] = (),
    engine: EngineKind = EngineKind.RAFT,
) -> Genesis:
    """Found the demo co-operative: one currency, one cashier, a board, members with opening balances.

    Args:
        operators: whose nodes validate the first epoch.
        load_members: how many members more, for load tests.
        spare: whose nodes only follow at first. Every operator has an account, to say `ready` from.
    """
    programs = (*_programs(load_members), *_board(), *operator_programs((*operators, *spare)))
    return assemble_genesis(operators, time_ms, name, engine, programs)


def assemble_genesis(
    operators: tuple[Operator, ...],
    time_ms: int,
    name: str,
    engine: EngineKind,
    programs: tuple[Value, ...],
) -> Genesis:
    """Put a founding document together; these operators validate the first epoch."""
    validators = tuple(
        Validator(o.name, public_key_of(o.consensus_key), public_key_of(o.node_key)) for o in operators
    )
    record = EpochRecord(EpochNumber(0), engine, Height(1), order_validators(validators))
    return Genesis(name, TimeMs(time_ms), record, STATE_TREE_BITS_DEFAULT, UTC_OFFSET_SECONDS, True, programs)


def operator_programs(operators: tuple[Operator, ...]) -> tuple[Value, ...]:
    """Return the programs that open the accounts of operators, to say `ready` from."""
    opened = [address_of_key(public_key_of(operator.node_key)) for operator in operators]
    calls = [_call(auth.CONTRACT.id, _AUTH["open"], address) for address in opened]
    # A demonstration shows the way back from BFT to Raft at once, not after the seven days of a real one.
    calls.append(_call(registry.ID, SET_PARAMETER, RAFT_RETURN.name, 0, 0))
    return _parts(calls)


def load_openings(load_members: int) -> list[tuple[Address, int]]:
    """Return the accounts of so many members for load tests, with what they begin with, minor units."""
    assert 0 <= load_members <= LOAD_MEMBERS_MAX
    return [(address_of_key(public_key_of(load_key(n))), LOAD_OPENING_MINOR) for n in range(load_members)]


def _board() -> tuple[Value, ...]:
    """Return the program that opens the account of the board and makes it the council."""
    board = compute_address(board_policy())
    calls = [_call(auth.CONTRACT.id, _AUTH["open"], board)]
    calls.append(_call(auth.CONTRACT.id, _AUTH["grant_role"], board, registry.COUNCIL))
    return _parts(calls)


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
            FIAT_CLAIM,
            1 << 62,
        ),
        _call(assets.CONTRACT.id, _ASSETS["set_cashier"], till, number, CASH_LIMIT, CASH_LIMIT, CASH_LIMIT),
        _call(auth.CONTRACT.id, _AUTH["open"], till),
    )
    credits = [(demo_address(name), OPENING_MINOR) for name in MEMBERS] + load_openings(load_members)
    calls = [
        _call(assets.CONTRACT.id, _ASSETS["cash_in"], till, member, number, amount, b"open%d" % at)
        for at, (member, amount) in enumerate(credits)
    ]
    return ((), found), *_parts(calls)


def _parts(calls: list[Value]) -> tuple[Value, ...]:
    step = PROGRAM_INSTRUCTIONS_MAX
    return tuple(((), tuple(calls[at : at + step])) for at in range(0, len(calls), step))


def _call(contract: int, method: int, *arguments: Value) -> Value:
    return (contract, method, NO_ACTOR, arguments)


_ASSETS: Final = {method.name: method.id for method in assets.CONTRACT.methods}
_AUTH: Final = {method.name: method.id for method in auth.CONTRACT.methods}
