"""What the gas of a program costs: nothing within the free quota of who pays, and a price above one's own.

Free gas is enough for hundreds of payments a day. What a program may use beyond it is bought at the price in
force, if the co-op sells any. A sponsor lends free gas to those to whom he has granted it, and buys none for
them. This file does not know what a program does, nor how the terms are asked for (`acting.py`).

*Source*: contracts.md 3.8.
"""

from dataclasses import dataclass, replace
from typing import Final

from protocol.chain.transaction import Transaction
from protocol.money import Rounding, mul_div
from protocol.params import GAS_PRICE_PARTS, TX_GAS_MAX
from protocol.types import Address, Gas

TRIAL_GAS_MIN: Final = 20_000
TRIAL_GAS_BOUGHT: Final = 200_000
"""For a trial when gas can be bought: more than most programs take."""
GAS_SPARE_PERCENT: Final = 30
"""A program that runs a block later may meet more records than in the trial."""
GAS_SPARE: Final = 5_000


@dataclass(frozen=True, slots=True)
class GasTerms:
    """Say what gas costs whoever pays.

    Args:
        payer: the actor (0), or the address of a sponsor.
        free: gas that costs nothing now.
        price: minor units per million gas above it; 0: none is sold.
        asset: in which it is paid.
    """

    payer: int | Address
    free: int
    price: int = 0
    asset: int = 0

    @property
    def trial_gas(self) -> int:
        """Return as much gas as a trial may have without being refused for want of a fee.

        An eighth of what is free stays: a standing order may use some of it in the block of the trial.
        """
        least = TRIAL_GAS_BOUGHT if self.price else TRIAL_GAS_MIN
        return min(TX_GAS_MAX, max(self.free - self.free // 8, least))

    def choose_limit(self, used: int) -> int:
        """Return the gas limit for a program that has used so much in its trial."""
        limit = min(TX_GAS_MAX, used * (100 + GAS_SPARE_PERCENT) // 100 + GAS_SPARE)
        return limit if self.price else max(used, min(limit, self.free))

    def compute_fee(self, gas_limit: int) -> int:
        """Compute what a gas limit costs, minor units."""
        return mul_div(max(0, gas_limit - self.free), self.price, GAS_PRICE_PARTS, Rounding.CEIL)

    def apply(self, tx: Transaction, gas_limit: int) -> Transaction:
        """Return a transaction under these terms."""
        return replace(tx, payer=self.payer, gas_limit=Gas(gas_limit), gas_price=self.price)
