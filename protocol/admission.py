"""When a transaction may stand in a block: its chain and time, its nonce, its authority, and who pays.

What admission finds out is used when the transaction runs (`transition.py`). It changes nothing, knows no
block, and does not verify signatures.

*Source*: contracts.md 3.1, 3.7, 3.8.
"""

from dataclasses import dataclass
from typing import NamedTuple

from protocol.chain.transaction import SignedTransaction, Transaction
from protocol.contracts import auth, grants
from protocol.contracts.policies import address_of_key
from protocol.errors import Code, Rejected
from protocol.money import compute_day
from protocol.params import PROGRAMS_TYPED_MAX
from protocol.types import Address, Hash32, Seconds
from protocol.vm.contract import Registry
from protocol.vm.gas import compute_envelope_gas
from protocol.vm.program import Program, parse_program
from protocol.vm.view import View


@dataclass(frozen=True, slots=True)
class ChainRules:
    """What genesis fixes for every block."""

    genesis_hash: Hash32
    chain_name: str
    utc_offset_seconds: int
    is_dev: bool


class Admitted(NamedTuple):
    """What admission found out.

    Args:
        holder: actor whose nonce it uses.
        grant: by which a sponsor pays; 0: the payer is the holder.
    """

    holder: Address
    payer: Address
    grant: int
    program: Program
    envelope_gas: int
    fee_asset: int
    fee: int


def admit(
    view: View,
    registry: Registry,
    rules: ChainRules,
    time: Seconds,
    signed: SignedTransaction,
    are_signatures_assumed: bool = False,
) -> Admitted:
    """Check every rule of admission; changes nothing.

    Rules, in this order: chain, expiry, program, intrinsic gas, accounts, nonce, policies, free gas or fee.

    Args:
        are_signatures_assumed: for a simulation, which nobody has signed yet.

    Raises:
        Rejected: with the code of the first rule that is broken; NONCE_GAP can be tried again.
    """
    tx = signed.tx
    if tx.chain_name != rules.chain_name:
        raise Rejected(Code.WRONG_CHAIN, f"for {tx.chain_name}, this is {rules.chain_name}")
    auth.check_expiry(time, tx.lane, tx.valid_until)
    program = _type_program(signed, registry)
    envelope_gas = compute_envelope_gas(len(signed.raw), len(signed.signatures))
    if envelope_gas > tx.gas_limit:
        raise Rejected(Code.GAS, f"limit {tx.gas_limit}, the envelope alone takes {envelope_gas}")
    sponsor = None if isinstance(tx.payer, int) else tx.payer
    holder = tx.nonce_holder
    row = auth.ACCOUNT.peek(view, auth.ACCOUNT.prefix + holder)
    if row is None:
        raise Rejected(Code.NO_ACCOUNT, "the payer does not exist", retry=True)
    auth.check_nonce(view, row, tx.lane, tx.sequence, tx.valid_until, signed.id)
    if not are_signatures_assumed and not _is_signed_by_own_key(signed, row):
        keys = tuple([(s.actor, s.public_key) for s in signed.signatures])
        auth.check_actors(view, tx.actors, keys, signed.reveals)
    if sponsor is not None:
        grant, fee_asset, fee = _check_sponsor(view, rules, time, tx, sponsor)
        return Admitted(holder, sponsor, grant, program, envelope_gas, fee_asset, fee)
    fee_asset, fee = auth.compute_fee(view, row, tx.gas_limit, tx.gas_price, time)
    return Admitted(holder, holder, 0, program, envelope_gas, fee_asset, fee)


def _check_sponsor(
    view: View, rules: ChainRules, time: Seconds, tx: Transaction, sponsor: Address
) -> tuple[int, int, int]:
    """Check that a sponsor pays for a transaction; returns the grant, asset and amount of the fee."""
    day = compute_day(time, rules.utc_offset_seconds)
    grant, terms = grants.find_sponsor(view, time, day, sponsor, tx.actors)
    row = auth.ACCOUNT.peek(view, auth.ACCOUNT.prefix + sponsor)
    if row is None:
        raise Rejected(Code.NO_ACCOUNT, "the sponsor does not exist", retry=True)
    asset, fee = auth.compute_fee(view, row, tx.gas_limit, tx.gas_price, time)
    grants.check_sponsor(terms, tx.gas_limit, asset, fee)
    return grant, asset, fee


def _type_program(signed: SignedTransaction, registry: Registry) -> Program:
    """Type the program of a transaction, or find it typed: admission, building and execution all ask.

    What a registry remembers is a pure function's memory: the id covers the program, and its contracts never
    change.
    """
    program: Program | None = registry.typed.get(signed.id)
    if program is None:
        tx = signed.tx
        program = parse_program(tx.program, registry, len(tx.actors))
        if len(registry.typed) >= PROGRAMS_TYPED_MAX:
            registry.typed.clear()
        registry.typed[signed.id] = program
    return program


def _is_signed_by_own_key(signed: SignedTransaction, row: auth.AccountRow) -> bool:
    """Tell whether this is the usual case, one account and the one key it was made from: no tree to walk."""
    if len(signed.signatures) != 1 or len(signed.tx.actors) != 1 or row[1] != 0 or signed.reveals:
        return False
    return address_of_key(signed.signatures[0].public_key) == signed.tx.actors[0]
