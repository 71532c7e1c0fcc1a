"""The score of a member with where each part comes from. The plain records are there as `credit_*`.

What the numbers mean in words is the client's (`node/cli/member/credit.py`); how they are computed is
`contracts/credit/parts.py`.
"""

from typing import Any

from node.rpc.dispatch import Method
from node.rpc.forms import Form
from node.rpc.methods.params import AddressParam, At, Params
from node.rpc.service import Call
from protocol.contracts.credit.doors import collect_facts
from protocol.contracts.credit.parts import compute_parts, compute_score, count_facts
from protocol.money import compute_day
from protocol.types import Seconds
from protocol.vm.view import View

PARTS = ("punctuality", "regularity", "depth", "tenure", "guarantees", "use", "attestations")
"""Names of the parts, in the order of their numbers."""


class CreditParams(Params):
    """A member's account."""

    address: AddressParam
    at: At = None


class CreditPart(Form):
    """A part of a score; `count` and `beside` are what it is computed from, `relief` what an answer gave."""

    part: str
    points: int
    most: int
    value: int
    evidence: int
    relief: int
    count: int
    beside: int


class MemberCredit(Form):
    """A score, its parts, and the day (of the co-op's calendar, from 1970) for which it holds."""

    height: int
    member: int
    score: int
    as_of: int
    parts: list[CreditPart]


async def get_credit(call: Call, params: CreditParams) -> MemberCredit:
    """Show the score of a member, and what it comes from."""
    height = call.state_height_of(params.at)
    seconds = Seconds(call.time_ms_of(height) // 1_000)
    today = compute_day(seconds, call.facts.genesis.utc_offset_seconds)
    with call.state(height) as state:
        view = View(state)
        member = call.member_of(view, params.address)
        facts = collect_facts(view, member, today)
    parts = compute_parts(facts)
    shown = [
        CreditPart(name, part.points, part.most, part.value, part.evidence, part.relief, *counts)
        for name, part, counts in zip(PARTS, parts, count_facts(facts), strict=True)
    ]
    return MemberCredit(height, member, compute_score(parts), today, shown)


METHODS: tuple[Method[Any], ...] = (
    Method(
        "member_getCredit",
        CreditParams,
        MemberCredit,
        "The score of a member, and what each part of it comes from.",
        get_credit,
        ("members.unknown_member", "chain.pruned"),
    ),
)
