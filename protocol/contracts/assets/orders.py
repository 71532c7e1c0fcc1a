"""Orders of freezing: nothing leaves a free balance for a while, by a document, and it ends by itself.

The role `compliance` may order at most 30 days, and not again within 30 days after; longer is for the members
to decide.
Money still comes in. The ledger keeps a flag of its own for it, so an estate that is frozen too stays frozen.
"""

from typing import Final

from protocol.codec import Value
from protocol.contracts import sched
from protocol.contracts.assets.records import (
    FREEZE_SECONDS_MAX,
    FROZEN,
    ID,
    NOT_FROZEN,
    TERMS,
    get_asset,
)
from protocol.contracts.ledger.accounts import (
    ACCOUNT,
    FROZEN_BY_ORDER,
    MEMBER_FREE,
    account_key,
    get_account,
    open_account,
)
from protocol.params import JOB_AHEAD_SECONDS_MAX
from protocol.types import Address
from protocol.vm.context import Context, fail
from protocol.vm.contract import EventType
from protocol.vm.kinds import ADDRESS, ASSET, HASH, SECONDS, Field
from protocol.vm.tables import SCHEMA
from protocol.vm.view import View

LIFT_METHOD: Final = 18
LIFT_GAS: Final = 20_000

FROZE: Final = EventType(
    ID,
    13,
    "frozen",
    (
        Field("account", ADDRESS),
        Field("asset", ASSET),
        Field("document", HASH),
        Field("until", SECONDS, "0: nothing is frozen any more"),
    ),
    "A free balance was frozen by an order, or is free again.",
)


def freeze(ctx: Context, account: Address, asset: int, document: bytes, until: int) -> Value:
    """Freeze what an account has free; returns true."""
    view, now = ctx.view, ctx.environment.time
    get_asset(view, asset)
    by_members = ctx.environment.system == "gov"
    most = now + (JOB_AHEAD_SECONDS_MAX if by_members else FREEZE_SECONDS_MAX)
    if not now < until <= most:
        fail(TERMS, "assets.freeze_until", most, until)
    key = FROZEN.key(account, asset)
    old = FROZEN.get(view, key)
    if old is not None and not by_members and now < old[2] + FREEZE_SECONDS_MAX:
        fail(TERMS, "assets.freeze_again", old[2] + FREEZE_SECONDS_MAX, now)
    FROZEN.put(view, key, (SCHEMA, document, until))
    _flag(view, account, asset, True)
    program = ((), ((ID, LIFT_METHOD, 0, (account, asset)),))
    sched.schedule(ctx, program, (), until, gas=LIFT_GAS)
    ctx.emit(FROZE, account, asset, document, until)
    return True


def lift(ctx: Context, account: Address, asset: int) -> Value:
    """Free what an order froze; by the chain itself when its time has come. Returns whether it is free."""
    view = ctx.view
    row = FROZEN.need(view, FROZEN.key(account, asset), NOT_FROZEN, "assets.frozen", account)
    if ctx.environment.system != "gov" and ctx.environment.time < row[2]:
        return False  # another order came after the one that ends now
    _flag(view, account, asset, False)
    ctx.emit(FROZE, account, asset, row[1], 0)
    return True


def _flag(view: View, account: Address, asset: int, on: bool) -> None:
    name = account_key(account, MEMBER_FREE, asset)
    open_account(view, name)
    row = get_account(view, name)
    assert row is not None, "it was opened above"
    flags = row[1] | FROZEN_BY_ORDER if on else row[1] & ~FROZEN_BY_ORDER
    ACCOUNT.put(view, ACCOUNT.prefix + name, (row[0], flags, *row[2:]))
