"""The judge: what all nodes hold afterwards, against what members were told. Pure, so each rule can be tried.

Rules:
    1. Heights on a node never go back.
    2. At every common height all nodes hold the same block and the same state root, linked to the one before.
    3. No transaction stands in the chain twice.
    4. What was acknowledged stands where the receipt said, with the result that it said.
    5. What was refused, with nothing applied, does not stand in the chain.
    6. Of two payments under one number at most one stands in the chain.
    7. The balances of a node are the opening balances and every payment applied once; so no money is made
       or lost, on every node.
    8. Nobody but the bank paid: what else stands in the chain is an act of operators or council.
    9. No validator signed two contents at one place, or anything behind what it had signed.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tests.nemesis.bank import Outcome, Payment


@dataclass(frozen=True, slots=True)
class BlockSeen:
    """A block as one node shows it: ids of block, parent and transactions, and the state root."""

    height: int
    id: str
    parent: str
    state_root: str
    tx_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NodeSeen:
    """What one node shows afterwards.

    Args:
        blocks: from height 1 on, the founding blocks left out by their having no payments.
        results: of every transaction of the chain that it was asked about: applied or failed.
        balances: of the members, by number.
        damage: what the check of its store, its receipts, its signatures and its log found.
        acts: transactions that call nothing but the registry.
    """

    name: str
    blocks: tuple[BlockSeen, ...]
    results: Mapping[str, bool]
    balances: Mapping[int, int]
    damage: tuple[str, ...] = ()
    acts: frozenset[str] = frozenset()


def judge(
    payments: Sequence[Payment],
    nodes: Sequence[NodeSeen],
    heights: Mapping[str, Sequence[int]],
    opening: int,
) -> list[str]:
    """Return one sentence for everything that must not be.

    Args:
        heights: of each node, in the order in which they were seen.
        opening: balance of every member at the start.
    """
    found = [f"{node.name}: {damage}" for node in nodes for damage in node.damage]
    found += _judge_heights(heights)
    found += _judge_agreement(nodes)
    for node in nodes:
        found += (f"{node.name}: {what}" for what in _judge_payments(payments, node))
        found += (f"{node.name}: {what}" for what in _judge_balances(payments, node, opening))
    return found


def _judge_heights(heights: Mapping[str, Sequence[int]]) -> Iterator[str]:
    for name, seen in sorted(heights.items()):
        for before, after in pairwise(seen):
            if after < before:
                yield f"{name}: its height went back from {before} to {after}"


def _judge_agreement(nodes: Sequence[NodeSeen]) -> Iterator[str]:
    first: dict[int, tuple[str, BlockSeen]] = {}
    for node in nodes:
        for before, after in pairwise(node.blocks):
            if after.parent != before.id or after.height != before.height + 1:
                yield f"{node.name}: block {after.height} does not follow {before.height}"
        for block in node.blocks:
            name, other = first.setdefault(block.height, (node.name, block))
            if block.id != other.id:
                yield f"{node.name} and {name} differ in block {block.height}: {block.id} and {other.id}"
            if block.state_root != other.state_root:
                yield f"{node.name} and {name} differ in the state root of height {block.height}"


def _judge_payments(payments: Sequence[Payment], node: NodeSeen) -> Iterator[str]:
    places: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for block in node.blocks:
        for index, tx_id in enumerate(block.tx_ids):
            places[tx_id].append((block.height, index))
    for tx_id, stands in places.items():
        if len(stands) > 1:
            yield f"transaction {tx_id} stands at {stands}"
    for payment in payments:
        stands = places.get(payment.id, [])
        place = (payment.height, payment.index)
        if payment.outcome is Outcome.COMMITTED:
            if not stands:
                yield f"LOST: {payment.id}, acknowledged at {place}"
            elif place not in stands:
                yield f"{payment.id} was acknowledged at {place} and stands at {stands}"
            elif node.results.get(payment.id) is not payment.ok:
                yield f"{payment.id} has another result than its receipt said"
        elif payment.outcome is Outcome.REFUSED and stands:
            yield f"{payment.id} was refused ({payment.why}) and stands at {stands}"
    rivals = Counter(payment.rival for payment in payments if payment.id in places)
    for rival, count in rivals.items():
        if count > 1:
            yield f"{count} payments under the number of {rival} stand in the chain"
    for tx_id in places.keys() - {payment.id for payment in payments} - node.acts:
        yield f"transaction {tx_id} stands in the chain, and nobody submitted it"


def _judge_balances(payments: Sequence[Payment], node: NodeSeen, opening: int) -> Iterator[str]:
    model = dict.fromkeys(node.balances, opening)
    for payment in payments:
        if node.results.get(payment.id):
            model[payment.payer] = model.get(payment.payer, opening) - payment.amount
            model[payment.payee] = model.get(payment.payee, opening) + payment.amount
    for member, expected in sorted(model.items()):
        if node.balances.get(member) != expected:
            yield f"member {member} has {node.balances.get(member)}, the payments make {expected}"
    if sum(node.balances.values()) != opening * len(node.balances):
        yield f"all members have {sum(node.balances.values())}, there were {opening * len(node.balances)}"
