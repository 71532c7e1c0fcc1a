"""Who decides: members by a vote, and the council as long as members have not taken that over.

The council, the founding board, decides first. When members vote, their vote goes through the same doors, and
what they decided no council cancels. They may also close a door to the council, one method at a time and for
good: nothing opens it again, no vote and no other council. The way back to Raft closes to the council by
itself as soon as members may vote on it (`voting/policies.py`).

*Source*: contracts.md 3.12; consensus.md 1.3 (M1: only a second, equally strong vote cancels).
"""

from collections.abc import Callable
from functools import wraps
from typing import Final

from protocol.codec import Value
from protocol.contracts.registry.records import COUNCIL, FOR_MEMBERS, ID, TAKEN_OVER, TOOK_OVER
from protocol.errors import Code
from protocol.vm.context import Context, QueryContext, fail
from protocol.vm.contract import GOV, Role
from protocol.vm.tables import SCHEMA

CANCELLED_BY: Final = {2: 3, 7: 8, 10: 11}
"""The methods that decide something which can be cancelled, and those that cancel it."""
RETURN_METHODS: Final = (10, 11)
"""What leads back to Raft, and what keeps from it."""


def is_by_members(ctx: Context) -> bool:
    """Tell whether a vote decides now; at the founding, the founders do in its place."""
    return ctx.environment.system == GOV.name


def take_over(ctx: Context, method: int) -> Value:
    """Let the council call a method of this contract no more, for good; tells whether that is new."""
    found = ctx.registry.methods.get((ID, method))
    if found is None or Role(COUNCIL) not in found[1].capabilities:
        fail(Code.UNKNOWN_METHOD, "registry.council_method", None, method)
    key = TAKEN_OVER.key(method)
    if TAKEN_OVER.get(ctx.view, key) is not None:
        return False
    TAKEN_OVER.put(ctx.view, key, (SCHEMA,))
    ctx.emit(TOOK_OVER, method)
    return True


def query_taken_over(query: QueryContext) -> Value:
    """List the methods that the council has no part in any more."""
    return tuple([TAKEN_OVER.parts(key)[0] for key, _ in TAKEN_OVER.scan(query.view)])


def until_taken_over(method: int, run: Callable[..., Value]) -> Callable[..., Value]:
    """Return what a method does, refused to the council once members have taken it over."""

    @wraps(run)
    def decide(ctx: Context, *arguments: Value) -> Value:
        if not is_by_members(ctx) and TAKEN_OVER.get(ctx.view, TAKEN_OVER.key(method)) is not None:
            fail(FOR_MEMBERS, "registry.taken_over", None, method)
        return run(ctx, *arguments)

    return decide


def check_may_cancel(ctx: Context, *, decided_by_members: bool) -> None:
    """Check that what cancels a decision is as strong as what made it.

    Raises:
        CallFailed: FOR_MEMBERS.
    """
    if decided_by_members and not is_by_members(ctx):
        fail(FOR_MEMBERS, "registry.decided_by_members")
