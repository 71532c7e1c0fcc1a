"""Whole nodes: three daemons over real links, real disks and the real machine, in one loop of the test."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trio

from node.clock import SystemClock
from node.config import Config, Peer
from node.daemon import Daemon, open_store
from node.signer import Signer
from protocol import crypto
from protocol.chain.genesis import Genesis
from protocol.chain.transaction import (
    SCHEME_ECDSA,
    UNORDERED,
    SignedTransaction,
    Transaction,
    TxSignature,
    assemble,
)
from protocol.chain.validators import EngineKind, EpochRecord, Validator, order_validators
from protocol.codec import Value
from protocol.contracts.policies import address_of_key
from protocol.crypto import SecretKey
from protocol.errors import Code
from protocol.transition import answer_query
from protocol.types import Address, EpochNumber, Gas, Height, Seconds, TimeMs, TxId

PATIENCE_SECONDS = 20
ASSET = 1
AUTH, ASSETS = 2, 16


def _key(*numbers: int) -> SecretKey:
    return SecretKey(bytes(numbers).rjust(32, b"\1"))


CASHIER, ADA, BO = _key(1), _key(2), _key(3)


def address_of(key: SecretKey) -> Address:
    return address_of_key(crypto.public_key_of(key))


def call(contract: int, method: int, actor: int, *arguments: Value) -> Value:
    return (contract, method, actor, arguments)


def founding() -> tuple[Value, ...]:
    people = [address_of(key) for key in (CASHIER, ADA, BO)]
    opened = tuple(call(AUTH, 1, 255, address) for address in people)
    asset = call(ASSETS, 1, 255, "CNY", "renminbi", 2, 2, 10**15)
    cashier = call(ASSETS, 3, 255, people[0], ASSET, 10**12, 10**12, 10**12)
    return (((), opened), ((), (asset,)), ((), (cashier,)))


@dataclass
class Cluster:
    """Three nodes on this machine; `down` are those that were stopped."""

    genesis: Genesis
    configs: list[Config]
    keys: list[tuple[SecretKey, SecretKey]]
    nursery: trio.Nursery
    nodes: dict[int, Daemon] = field(default_factory=dict)
    scopes: dict[int, trio.CancelScope] = field(default_factory=dict)

    @property
    def genesis_hash(self):  # type: ignore[no-untyped-def]
        return self.genesis.compute_hash()

    async def start(self, index: int) -> Daemon:
        store = open_store(self.configs[index])
        daemon = Daemon(self.configs[index], SystemClock(), self.keys[index], store)
        scope = trio.CancelScope()

        async def run(task_status: trio.TaskStatus = trio.TASK_STATUS_IGNORED) -> None:  # type: ignore[name-defined]
            try:
                with scope:
                    await daemon.run(task_status=task_status)
            finally:
                store.close()
                daemon.signer.close()

        await self.nursery.start(run)
        self.nodes[index], self.scopes[index] = daemon, scope
        return daemon

    async def kill(self, index: int) -> None:
        """Cancel a node wherever it stands; nothing is handed over."""
        self.scopes.pop(index).cancel()
        del self.nodes[index]
        await trio.testing.wait_all_tasks_blocked(0.05)

    def leader(self) -> int | None:
        return next((i for i, node in self.nodes.items() if node.driver.is_leading), None)

    async def until(self, condition) -> None:  # type: ignore[no-untyped-def]
        with trio.fail_after(PATIENCE_SECONDS):
            while not condition():
                await trio.sleep(0.01)

    async def has_leader(self) -> int:
        await self.until(lambda: self.leader() is not None)
        leader = self.leader()
        assert leader is not None
        return leader

    def sign(self, key: SecretKey, *instructions: Value, sequence: int) -> SignedTransaction:
        now = max(node.executor.head.time_ms for node in self.nodes.values()) // 1_000
        wall = SystemClock().wall_ms() // 1_000
        tx = Transaction(
            self.genesis.name,
            (address_of(key),),
            0,
            UNORDERED,
            sequence,
            Seconds(max(now, wall) + 300),
            Gas(100_000),
            0,
            ((), instructions),
        )
        blank = assemble(tx, self.genesis_hash, ())
        signature = TxSignature(0, crypto.public_key_of(key), SCHEME_ECDSA, crypto.sign(key, blank.id))
        return assemble(tx, self.genesis_hash, (signature,))

    async def committed(self, *ids: TxId) -> None:
        await self.until(
            lambda: all(node.store.place_of(tx_id) for node in self.nodes.values() for tx_id in ids)
        )

    def balance(self, index: int, address: Address) -> int:
        store = self.nodes[index].store
        with store.view() as state:
            found = answer_query(state, Seconds(0), "assets", "balance", (address, ASSET), None)
        assert isinstance(found, tuple) and isinstance(found[0], int)
        return found[0]

    def roots(self) -> set[bytes]:
        """State roots of all nodes at the lowest common height."""
        height = min(node.executor.head.height for node in self.nodes.values())
        return {node.store.header(height).state_root for node in self.nodes.values()}  # type: ignore[union-attr]


def _free_ports(count: int) -> list[int]:
    import socket

    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@asynccontextmanager
async def cluster(folder: Path, observers: int = 0) -> AsyncIterator[Cluster]:
    keys = [(_key(10, i), _key(20, i)) for i in range(3 + observers)]
    validators = order_validators(
        tuple(
            Validator(f"n{i}", crypto.public_key_of(consensus), crypto.public_key_of(node))
            for i, (node, consensus) in enumerate(keys[:3])
        )
    )
    now = SystemClock().wall_ms() - 1_000
    record = EpochRecord(EpochNumber(0), EngineKind.RAFT, Height(1), validators)
    genesis = Genesis("test-1", TimeMs(now), record, 8, 0, True, founding())
    ports = _free_ports(len(keys))
    peers = tuple(
        Peer(f"n{i}", crypto.public_key_of(node), "127.0.0.1", ports[i]) for i, (node, _) in enumerate(keys)
    )
    configs = []
    for index, port in enumerate(ports):
        home = folder / f"n{index}"
        home.mkdir()
        others = tuple(peer for place, peer in enumerate(peers) if place != index)
        config = Config(home, operator=f"n{index}", listen_port=port, batch_window_ms=5, peers=others)
        config.genesis_path.write_bytes(genesis.encode())
        Signer.create(config.guard_path, crypto.public_key_of(keys[index][1]))
        configs.append(config)
    async with trio.open_nursery() as nursery:
        made = Cluster(genesis, configs, keys, nursery)
        try:
            for index in range(len(keys)):
                await made.start(index)
            yield made
        finally:
            nursery.cancel_scope.cancel()


async def test_three_nodes_commit_pay_and_agree(tmp_path: Path) -> None:
    async with cluster(tmp_path) as net:
        await net.has_leader()
        await net.until(lambda: all(n.executor.head.height >= 1 for n in net.nodes.values()))
        cash = net.sign(
            CASHIER, call(ASSETS, 4, 0, address_of(CASHIER), address_of(ADA), ASSET, 500, b"r1"), sequence=1
        )
        [outcome] = await net.nodes[0].intake.submit([cash.raw])
        assert outcome.refusal is None
        await net.committed(cash.id)
        pay = net.sign(ADA, call(ASSETS, 7, 0, address_of(ADA), address_of(BO), ASSET, 120, None), sequence=2)
        [outcome] = await net.nodes[1].intake.submit([pay.raw])
        assert outcome.refusal is None
        await net.committed(pay.id)
        assert [net.balance(i, address_of(ADA)) for i in range(3)] == [380] * 3
        assert [net.balance(i, address_of(BO)) for i in range(3)] == [120] * 3
        assert len(net.roots()) == 1
        [again] = await net.nodes[2].intake.submit([pay.raw])
        assert again.refusal is not None and again.refusal.code == Code.EXISTS


async def test_a_killed_leader_is_replaced_and_catches_up(tmp_path: Path) -> None:
    async with cluster(tmp_path) as net:
        first = await net.has_leader()
        await net.until(lambda: all(n.executor.head.height >= 1 for n in net.nodes.values()))
        await net.kill(first)
        second = await net.has_leader()
        assert second != first
        ids = []
        for number in range(5):
            cash = net.sign(
                CASHIER,
                call(ASSETS, 4, 0, address_of(CASHIER), address_of(ADA), ASSET, 10, b"r%d" % number),
                sequence=number,
            )
            await net.nodes[second].intake.submit([cash.raw])
            await net.committed(cash.id)
            ids.append(cash.id)
        await net.start(first)
        await net.committed(*ids)
        assert {net.balance(i, address_of(ADA)) for i in range(3)} == {50}
        assert len(net.roots()) == 1


@pytest.mark.parametrize("victim", ["leader", "follower"])
async def test_a_cut_node_heals_by_itself(tmp_path: Path, victim: str) -> None:
    async with cluster(tmp_path) as net:
        leader = await net.has_leader()
        await net.until(lambda: all(n.executor.head.height >= 1 for n in net.nodes.values()))
        cut = leader if victim == "leader" else (leader + 1) % 3
        rest = [i for i in range(3) if i != cut]
        net.nodes[cut].network.cut([net.nodes[i].network.me for i in rest])
        for i in rest:
            net.nodes[i].network.cut([net.nodes[cut].network.me])
        await net.until(lambda: any(net.nodes[i].driver.is_leading for i in rest))
        ids = []
        for number in range(4):
            cash = net.sign(
                CASHIER,
                call(ASSETS, 4, 0, address_of(CASHIER), address_of(ADA), ASSET, 10, b"r%d" % number),
                sequence=number,
            )
            await net.nodes[rest[0]].intake.submit([cash.raw])
            ids.append(cash.id)
            await net.until(lambda: all(net.nodes[i].store.place_of(ids[-1]) for i in rest))
        assert net.nodes[cut].store.place_of(ids[0]) is None
        for node in net.nodes.values():
            node.network.cut(())
        await net.committed(*ids)
        assert len(net.roots()) == 1


async def test_an_observer_follows_and_passes_on(tmp_path: Path) -> None:
    async with cluster(tmp_path, observers=1) as net:
        await net.until(lambda: all(n.executor.head.height >= 1 for n in net.nodes.values()))
        observer = net.nodes[3]
        assert not observer.driver.machine.is_validating
        program = call(ASSETS, 4, 0, address_of(CASHIER), address_of(ADA), ASSET, 7, b"r1")
        cash = net.sign(CASHIER, program, sequence=1)
        [outcome] = await observer.intake.submit([cash.raw])
        assert outcome.refusal is None
        await net.committed(cash.id)
        assert net.balance(3, address_of(ADA)) == 7
        # What members give to a validator reaches the observer by gossip too, not only in a block.
        program = call(ASSETS, 4, 0, address_of(CASHIER), address_of(ADA), ASSET, 1, b"r2")
        heard = net.sign(CASHIER, program, sequence=2)
        await net.nodes[0].intake.submit([heard.raw])
        await net.until(lambda: observer.spread is not None and observer.spread.received_batches >= 1)
        await net.committed(heard.id)
        assert len(net.roots()) == 1
