"""What an export is made of: accounts, assets, days, and the postings between them.

An export names its accounts by address, class and sub, dates by the co-op's calendar, and amounts in whole
units of the asset with its decimals. It does not know where postings come from.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from node.books.postings import Posting, format_day
from protocol.addresses import format_address
from protocol.contracts.ledger.accounts import read_account_key
from protocol.money import SECONDS_PER_DAY, compute_day


@dataclass(frozen=True, slots=True)
class Asset:
    """How amounts of an asset are written."""

    symbol: str
    decimals: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where an export comes from.

    Args:
        name: of the chain.
        hrp: human part of its addresses.
        height: of the state that the balances at the end are of.
        time: of that block, in seconds.
    """

    name: str
    hrp: str
    utc_offset_seconds: int
    assets: Mapping[int, Asset]
    height: int
    time: int

    def asset(self, number: int) -> Asset:
        """Return how an asset is written; one that is not known by its number, in minor units."""
        return self.assets.get(number) or Asset(f"ASSET{number}", 0)

    def day(self, time: int) -> str:
        """Return the co-op's calendar day of a time."""
        return format_day(compute_day(time, self.utc_offset_seconds))

    def clock(self, time: int) -> str:
        """Return the co-op's time of day."""
        seconds = (time + self.utc_offset_seconds) % SECONDS_PER_DAY
        return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"

    def account(self, account: bytes) -> str:
        """Write an account: address/class/sub."""
        owner, account_class, _, sub = read_account_key(account)
        return f"{format_address(owner, self.hrp)}/{account_class}/{sub}"


@dataclass(frozen=True, slots=True)
class AccountExport:
    """One account's postings of a stretch of days.

    Args:
        opening: balance before the first posting.
    """

    account: bytes
    opening: int
    postings: Sequence[Posting]

    @property
    def closing(self) -> int:
        """Return the balance after the last posting."""
        return self.postings[-1].balance if self.postings else self.opening


def write_amount(minor: int, decimals: int) -> str:
    """Write minor units without grouping: `-1234.50`."""
    whole, part = divmod(abs(minor), 10**decimals)
    return ("-" if minor < 0 else "") + (f"{whole}.{part:0{decimals}d}" if decimals else str(whole))


def show_ref(ref: bytes) -> str:
    """Write a reference as text where it is printable ASCII, else as hex."""
    is_text = all(0x20 <= octet < 0x7F for octet in ref)
    return ref.decode("ascii") if is_text else "0x" + ref.hex()
