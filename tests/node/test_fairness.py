"""A proposer who leaves one member out loses the office in Raft, and is passed by in BFT."""

from dataclasses import replace
from pathlib import Path

import pytest
import trio

from node.builder import Builder
from node.daemon import Daemon
from node.fairness import HEARD_HEIGHTS_MAX
from node.net.transport import PeerId
from node.wire import Starve, encode_starve, split
from protocol import crypto
from protocol.chain.transaction import SignedTransaction
from protocol.chain.validators import EngineKind
from protocol.errors import Rejected
from protocol.types import EpochNumber, Height, Signature, TxId
from tests.node.test_daemon import ADA, ASSET, ASSETS, BO, CASHIER, Cluster, address_of, call, cluster

BLOCKS_MAX = 60
"""Far more than the bound asks for, so that a slow machine decides nothing."""


def censor(node: Daemon, victim: bytes) -> None:
    """Let a node build blocks without the transactions of one member."""
    pool = node.mempool
    take = pool.take

    class Censored:
        def __getattr__(self, name: str) -> object:
            return getattr(pool, name)

        def __len__(self) -> int:
            return len(pool)

        def take(self, *limits: int) -> list[SignedTransaction]:
            return [signed for signed in take(*limits) if victim not in signed.tx.actors]

    builder: Builder = node.builder
    builder._mempool = Censored()  # type: ignore[assignment]


def pay(net: Cluster, number: int) -> SignedTransaction:
    """Let the cashier pay in a little, so that blocks are made."""
    instruction = call(ASSETS, 4, 0, address_of(CASHIER), address_of(BO), ASSET, 1, b"r%d" % number)
    return net.sign(CASHIER, instruction, sequence=number)


async def blocks_until(net: Cluster, through: Daemon, victim: TxId) -> int:
    """Make blocks, one transaction each, until the victim is in one; return how many it took."""
    for number in range(1, BLOCKS_MAX):
        signed = pay(net, 1_000 + number)
        [outcome] = await through.intake.submit([signed.raw])
        assert outcome.refusal is None
        await net.committed(signed.id)
        if through.store.place_of(victim):
            return number
        await trio.sleep(0.15)  # so that two seconds pass in some blocks
    raise AssertionError("it starves")


async def test_a_censoring_raft_leader_loses_the_office(tmp_path: Path) -> None:
    async with cluster(tmp_path) as net:
        leader = await net.has_leader()
        await net.until(lambda: all(n.executor.head.height >= 1 for n in net.nodes.values()))
        censor(net.nodes[leader], address_of(ADA))
        victim = net.sign(
            ADA, call(ASSETS, 7, 0, address_of(ADA), address_of(BO), ASSET, 1, None), sequence=1
        )
        other = net.nodes[(leader + 1) % 3]
        [outcome] = await other.intake.submit([victim.raw])
        assert outcome.refusal is None
        await blocks_until(net, other, victim.id)
        assert net.leader() != leader
        assert sum(node.driver.fairness.unwelcome_total for node in net.nodes.values()) > 0
        assert sum(node.driver.fairness.attested_total for node in net.nodes.values()) > 0
        assert len(net.roots()) == 1


async def test_in_bft_the_next_proposer_includes_it(tmp_path: Path) -> None:
    async with cluster(tmp_path, validators_count=4, engine=EngineKind.BFT) as net:
        await net.until(lambda: all(n.executor.head.height >= 1 for n in net.nodes.values()))
        censor(net.nodes[0], address_of(ADA))
        victim = net.sign(
            ADA, call(ASSETS, 7, 0, address_of(ADA), address_of(BO), ASSET, 1, None), sequence=1
        )
        [outcome] = await net.nodes[1].intake.submit([victim.raw])
        assert outcome.refusal is None
        assert await blocks_until(net, net.nodes[1], victim.id) <= 4
        assert len(net.roots()) == 1


async def test_a_bft_block_that_leaves_out_what_is_due_is_not_voted_for(tmp_path: Path) -> None:
    async with cluster(tmp_path, validators_count=4, engine=EngineKind.BFT) as net:
        await net.until(lambda: all(n.executor.head.height >= 1 for n in net.nodes.values()))
        for node in net.nodes.values():
            censor(node, address_of(ADA))
        victim = net.sign(
            ADA, call(ASSETS, 7, 0, address_of(ADA), address_of(BO), ASSET, 1, None), sequence=1
        )
        [outcome] = await net.nodes[1].intake.submit([victim.raw])
        assert outcome.refusal is None
        is_refused = trio.Event()

        async def watch() -> None:
            await net.until(lambda: all(n.driver.fairness.unwelcome_total for n in net.nodes.values()))
            # One of them has mercy: all others vote for its block only.
            net.nodes[0].builder._mempool = net.nodes[0].mempool
            is_refused.set()

        net.nursery.start_soon(watch)
        await blocks_until(net, net.nodes[1], victim.id)
        assert is_refused.is_set() and len(net.roots()) == 1


async def test_what_nobody_signed_is_not_heard(tmp_path: Path) -> None:
    async with cluster(tmp_path) as net:
        await net.until(lambda: all(n.executor.head.height >= 1 for n in net.nodes.values()))
        node, others = net.nodes[0], [1, 2]
        fairness, record = node.driver.fairness, node.executor.record
        ids = (TxId(bytes(32)),)
        for index in others:
            starve = Starve(EpochNumber(0), Height(node.executor.head.height + 1), ids, Signature(bytes(64)))
            peer = PeerId(crypto.public_key_of(net.keys[index][0]))
            with pytest.raises(Rejected):
                fairness.on_frame(peer, split(encode_starve(starve))[1])
            digest = starve.compute_digest(net.genesis_hash)
            signed = replace(starve, signature=crypto.sign(net.keys[index][1], digest))
            far = replace(signed, height=Height(starve.height + HEARD_HEIGHTS_MAX + 1))
            fairness.on_frame(peer, split(encode_starve(far))[1])
            near = replace(signed, height=Height(starve.height + HEARD_HEIGHTS_MAX))
            with pytest.raises(Rejected):  # it is looked at: nobody signed that height
                fairness.on_frame(peer, split(encode_starve(near))[1])
            assert len(fairness._attestations._said) == index - 1
            fairness.on_frame(peer, split(encode_starve(signed))[1])
        assert fairness._attestations.list_attested() == list(ids)
        assert len(record.validators) == 3


async def test_the_office_goes_round_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A leader who does nothing wrong hands over after so many blocks, and nobody waits for an election."""
    monkeypatch.setattr("protocol.consensus.raft.LEADER_HANDOVER_BLOCKS", 4)
    async with cluster(tmp_path) as net:
        await net.has_leader()
        await net.until(lambda: all(n.executor.head.height >= 1 for n in net.nodes.values()))
        leaders = set()
        for number in range(1, 17):
            signed = pay(net, number)
            await net.nodes[number % 3].intake.submit([signed.raw])
            await net.committed(signed.id)
            leaders.add(await net.has_leader())
        terms = {node.driver.machine.term for node in net.nodes.values()}
        assert len(leaders) > 1 and min(terms) >= 3 and len(net.roots()) == 1
        assert not any(node.driver.fairness.unwelcome_total for node in net.nodes.values())
