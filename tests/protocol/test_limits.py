"""Limits of a transaction as a whole: what is exactly as large as allowed runs, one more does not.

Limits of one field stand beside what reads it (`chain/test_chain.py`, `vm/test_program.py`).
"""

import pytest

from protocol import codec
from protocol.chain.transaction import (
    SignedTransaction,
    Transaction,
    decode_signed,
    decode_transaction,
)
from protocol.codec import Value
from protocol.errors import Code, Rejected
from protocol.params import (
    CHAIN_NAME_BYTES_MAX,
    PROGRAM_INSTRUCTIONS_MAX,
    TX_BYTES_MAX,
    TX_SIGNED_BYTES_MAX,
)
from protocol.types import Gas, Seconds
from tests.protocol.ledger_world import ALICE, ASSETS, BOB, COOP, World


def _body(program: Value, chain_name: str = "test-1") -> bytes:
    tx = Transaction(chain_name, (ALICE.address,), 0, 0, 1, Seconds(1), Gas(9), 0, program)
    return tx.encode()


def _refused(call) -> Code:  # type: ignore[no-untyped-def]
    with pytest.raises(Rejected) as refused:
        call()
    return Code(refused.value.code)


def test_body_at_the_limit_and_one_beyond() -> None:
    rest = len(_body(bytes(TX_BYTES_MAX // 2))) - TX_BYTES_MAX // 2
    at_limit, beyond = (_body(bytes(TX_BYTES_MAX - rest + more)) for more in (0, 1))
    assert (len(at_limit), len(beyond)) == (TX_BYTES_MAX, TX_BYTES_MAX + 1)
    assert decode_transaction(at_limit).encode() == at_limit
    assert _refused(lambda: decode_transaction(beyond)) is Code.TOO_LARGE


def test_signed_transaction_at_the_limit_and_one_beyond() -> None:
    world = World()

    def signed(size_bytes: int) -> bytes:
        signatures = ((0, ALICE.key, 0, bytes(64)),)
        return codec.encode((_body(()), signatures, ((0, bytes(size_bytes)),)))

    rest = len(signed(TX_SIGNED_BYTES_MAX // 2)) - TX_SIGNED_BYTES_MAX // 2
    at_limit, beyond = (signed(TX_SIGNED_BYTES_MAX - rest + more) for more in (0, 1))
    assert (len(at_limit), len(beyond)) == (TX_SIGNED_BYTES_MAX, TX_SIGNED_BYTES_MAX + 1)
    assert decode_signed(at_limit, world.rules.genesis_hash).raw == at_limit
    assert _refused(lambda: decode_signed(beyond, world.rules.genesis_hash)) is Code.TOO_LARGE


def test_chain_name_at_the_limit_and_one_beyond() -> None:
    assert decode_transaction(_body((), "x" * CHAIN_NAME_BYTES_MAX)).chain_name == "x" * CHAIN_NAME_BYTES_MAX
    assert _refused(lambda: decode_transaction(_body((), "x" * (CHAIN_NAME_BYTES_MAX + 1)))) is Code.MALFORMED


def _many(world: World, gas: int) -> SignedTransaction:
    call = (ASSETS, 7, 0, (ALICE.address, BOB.address, COOP, 1, None))
    return world.tx(*[call] * PROGRAM_INSTRUCTIONS_MAX, gas=gas)


def test_a_full_program_at_the_edge_of_its_gas() -> None:
    """All of its calls run, or none of them, and one unit of gas decides."""
    world = World()
    world.ok(world.cash_in(ALICE, 1_000), world.cash_in(BOB, 100))
    (receipt,) = world.ok(_many(world, 1_000_000))
    short = world.failed(_many(world, receipt.gas - 1))
    assert (short.code, short.failed_instruction, short.gas) == (Code.GAS, 63, receipt.gas - 1)
    assert world.ask("assets", "balance", BOB.address, COOP) == (164, 164, 0, 0)
    (again,) = world.ok(_many(world, receipt.gas))
    assert again.gas == receipt.gas
    assert world.ask("assets", "balance", BOB.address, COOP) == (228, 228, 0, 0)


@pytest.mark.parametrize("digits", [20, 4_299, 4_300, 4_301])
def test_integers_that_python_would_not_print_are_refused_before_they_exist(digits: int) -> None:
    """An integer on the wire has at most 64 bits; nothing longer can be said, whatever it would cost."""
    with pytest.raises(AssertionError, match="not a canonical value"):
        _body((10**digits,))
