"""Whole nodes: three daemons over real links, real disks and the real machine, in one loop of the test."""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from node import daemon as daemon_module
from node.clock import SystemClock
from node.config import CONSENSUS_KEY, NODE_KEY, Config, Peer
from node.daemon import FRAME_RATES, REFUSALS_LOG_SECONDS, Daemon, run_node
from node.errors import OperationError
from node.keychain import OwnKeys
from node.net.offences import BAN_SECONDS, FORGIVEN_A_SECOND, POINTS_MAX, WRONG_POINTS
from node.net.transport import Channel, Frame, PeerId
from node.signer import Signer
from node.store.environment import StorageBroken
from node.store.opening import open_store
from node.wallet.keyring import Keyring
from node.wire import FrameKind, encode_batch
from protocol import codec, crypto
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
from protocol.consensus.safety import SAFETY_VERSION, RaftSafety
from protocol.contracts.policies import address_of_key
from protocol.contracts.registry.epochs import compute_ready_digest
from protocol.contracts.registry.records import COUNCIL
from protocol.crypto import SecretKey
from protocol.errors import Code, VersionsMissing
from protocol.transition import answer_query
from protocol.types import Address, EpochNumber, Gas, Height, Seconds, TimeMs, TxId, View

PATIENCE_SECONDS = 20
ASSET = 1
AUTH, REGISTRY, ASSETS = 2, 4, 16


def _key(*numbers: int) -> SecretKey:
    return SecretKey(bytes(numbers).rjust(32, b"\1"))


CASHIER, ADA, BO = _key(1), _key(2), _key(3)


def address_of(key: SecretKey) -> Address:
    return address_of_key(crypto.public_key_of(key))


def call(contract: int, method: int, actor: int, *arguments: Value) -> Value:
    return (contract, method, actor, arguments)


def founding(*others: SecretKey) -> tuple[Value, ...]:
    people = [address_of(key) for key in (CASHIER, ADA, BO, *others)]
    opened = tuple(call(AUTH, 1, 255, address) for address in people)
    asset = call(ASSETS, 1, 255, "CNY", "renminbi", 2, 2, 10**15)
    cashier = call(ASSETS, 3, 255, people[0], ASSET, 10**12, 10**12, 10**12)
    council = call(AUTH, 4, 255, people[0], COUNCIL)
    return (((), opened), ((), (asset,)), ((), (cashier,)), ((), (council,)))


@dataclass
class Cluster:
    """Three nodes on this machine; `down` are those that were stopped."""

    genesis: Genesis
    configs: list[Config]
    keys: list[tuple[SecretKey, SecretKey]]
    nursery: trio.Nursery
    nodes: dict[int, Daemon] = field(default_factory=dict)
    scopes: dict[int, trio.CancelScope] = field(default_factory=dict)
    ended: dict[int, trio.Event] = field(default_factory=dict)

    @property
    def genesis_hash(self):  # type: ignore[no-untyped-def]
        return self.genesis.compute_hash()

    async def start(self, index: int) -> Daemon:
        store = open_store(self.configs[index])
        config = self.configs[index]
        daemon = Daemon(config, SystemClock(), self.keys[index][0], OwnKeys(config, lambda: None), store)
        scope, ended = trio.CancelScope(), trio.Event()

        async def run(task_status: trio.TaskStatus = trio.TASK_STATUS_IGNORED) -> None:  # type: ignore[name-defined]
            try:
                with scope:
                    await daemon.run(task_status=task_status)
            finally:
                store.close()
                daemon.keys.close()
                ended.set()

        await self.nursery.start(run)
        self.nodes[index], self.scopes[index], self.ended[index] = daemon, scope, ended
        return daemon

    async def kill(self, index: int) -> None:
        """Cancel a node wherever it stands; nothing is handed over."""
        self.scopes.pop(index).cancel()
        del self.nodes[index]
        await self.ended.pop(index).wait()

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
async def cluster(
    folder: Path, observers: int = 0, validators_count: int = 3, engine: EngineKind = EngineKind.RAFT
) -> AsyncIterator[Cluster]:
    keys = [(_key(10, i), _key(20, i)) for i in range(validators_count + observers)]
    validators = order_validators(
        tuple(
            Validator(f"n{i}", crypto.public_key_of(consensus), crypto.public_key_of(node))
            for i, (node, consensus) in enumerate(keys[:validators_count])
        )
    )
    now = SystemClock().wall_ms() - 1_000
    record = EpochRecord(EpochNumber(0), engine, Height(1), validators)
    programs = founding(*[node for node, _ in keys])
    genesis = Genesis("test-1", TimeMs(now), record, 8, 0, True, programs)
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
        Keyring(config.keys_path).save(CONSENSUS_KEY, keys[index][1], None)
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


HOLD_READER = """
import sys, time
from pathlib import Path
from node.store.store import Store
view = Store.open(Path(sys.argv[1]), readonly=True).view()
view.__enter__()
print("held", flush=True)
time.sleep(600)
"""


async def test_what_a_killed_gateway_held_is_freed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logged: list[Any]
) -> None:
    """`Daemon._tidy_readers`: a reader that is gone must not keep old pages for ever."""
    monkeypatch.setattr(daemon_module, "TIDY_SECONDS", 0.05)
    async with cluster(tmp_path, validators_count=1) as net:
        store = net.configs[0].store_path
        command = [sys.executable, "-c", HOLD_READER, str(store)]
        gateway = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE)
        assert gateway.stdout is not None
        with trio.fail_after(PATIENCE_SECONDS):
            assert b"held" in await gateway.stdout.receive_some()
            await trio.sleep(0.2)
            assert not [one for one in logged if one["event"] == "readers.freed"], (
                "one that lives keeps its slot"
            )
            gateway.kill()
            await gateway.wait()
            while all(one["event"] != "readers.freed" for one in logged):
                await trio.sleep(0.02)
        assert net.nodes[0].store.environment.release_dead_readers() == 0


async def test_an_observer_follows_and_passes_on(tmp_path: Path) -> None:
    async with cluster(tmp_path, observers=1) as net:
        await net.until(lambda: all(n.executor.head.height >= 1 for n in net.nodes.values()))
        observer = net.nodes[3]
        assert not observer.driver.machine.is_validating
        await net.until(lambda: observer.ipc._handlers.status().ready)
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
        await net.until(lambda: observer.spread.received_batches >= 1)
        await net.committed(heard.id)
        assert len(net.roots()) == 1


def say_ready(net: Cluster, index: int, node: SecretKey, consensus: SecretKey) -> SignedTransaction:
    """Say on a node that it could take part in the next epoch under a consensus key."""
    proof = crypto.sign(consensus, compute_ready_digest(node.public_key, consensus.public_key))
    keys = (address_of(node), node.public_key, consensus.public_key, proof)
    return net.sign(node, call(REGISTRY, 1, 0, *keys, f"n{index}", "1", 3, 0), sequence=index)


async def test_a_fresh_key_signs_from_the_seal_on_without_a_restart(tmp_path: Path) -> None:
    async with cluster(tmp_path) as net:
        await net.has_leader()
        fresh = OwnKeys(net.configs[0], lambda: None).create()
        secrets = [
            OwnKeys(net.configs[0], lambda: None).load(fresh),
            *[consensus for _, consensus in net.keys[1:]],
        ]
        ready = [say_ready(net, i, net.keys[i][0], secret) for i, secret in enumerate(secrets)]
        for index, signed in enumerate(ready):
            [outcome] = await net.nodes[index].intake.submit([signed.raw])
            assert outcome.refusal is None
        await net.committed(*[signed.id for signed in ready])
        old = net.nodes[0].signer.public_key
        keys: Value = (0, *sorted(secret.public_key for secret in secrets))
        change = net.sign(CASHIER, call(REGISTRY, 2, 0, int(EngineKind.RAFT), keys, 0, 0), sequence=9)
        await net.nodes[0].intake.submit([change.raw])
        await net.until(lambda: all(node.driver.machine.record.number == 1 for node in net.nodes.values()))
        assert net.nodes[0].signer.public_key == fresh.public_key != old
        await net.until(lambda: net.nodes[0].driver.machine.is_validating)
        await net.kill(2)
        pay = net.sign(
            CASHIER, call(ASSETS, 4, 0, address_of(CASHIER), address_of(ADA), ASSET, 5, b"r"), sequence=10
        )
        await net.nodes[0].intake.submit([pay.raw])
        await net.committed(pay.id)
        certificate = net.nodes[1].store.certificate(net.nodes[1].executor.head.height)
        place = net.nodes[1].executor.record.index_of(fresh.public_key)
        assert certificate is not None and place in certificate.signer_indexes(), "one of two that are left"
        await net.kill(0)
        again = await net.start(0)
        assert again.signer.public_key == fresh.public_key and not again.vigil.is_holding
        assert [key.public_key for key in OwnKeys(net.configs[0], lambda: None).list()] == [
            old,
            fresh.public_key,
        ]


async def test_an_epoch_ends_without_waiting_and_who_left_follows(tmp_path: Path) -> None:
    async with cluster(tmp_path) as net:
        await net.has_leader()
        ready = []
        for index, (node, consensus) in enumerate(net.keys):
            ready.append(say_ready(net, index, node, consensus))
        for index in (0, 1, 2):
            [outcome] = await net.nodes[index].intake.submit([ready[index].raw])
            assert outcome.refusal is None
        await net.committed(*[signed.id for signed in ready])
        stay: Value = (0, *sorted(crypto.public_key_of(consensus) for _, consensus in net.keys[:2]))
        change = net.sign(CASHIER, call(REGISTRY, 2, 0, int(EngineKind.RAFT), stay, 0, 0), sequence=9)
        await net.nodes[0].intake.submit([change.raw])
        await net.until(lambda: all(node.executor.record.number == 1 for node in net.nodes.values()))
        await net.until(lambda: not net.nodes[2].driver.machine.is_validating)
        await net.until(lambda: any(net.nodes[i].driver.is_leading for i in (0, 1)))
        pay = net.sign(
            CASHIER, call(ASSETS, 4, 0, address_of(CASHIER), address_of(ADA), ASSET, 5, b"r"), sequence=10
        )
        assert all(node.spread.is_observed for node in net.nodes.values())
        await net.nodes[2].intake.submit([pay.raw])
        await net.committed(pay.id)
        heard = net.sign(
            CASHIER, call(ASSETS, 4, 0, address_of(CASHIER), address_of(ADA), ASSET, 5, b"t"), sequence=12
        )
        # Gossip began with the epoch, on a host that ran without it before.
        with trio.fail_after(PATIENCE_SECONDS):
            while not net.nodes[2].spread.received_batches:
                await net.nodes[0].intake.submit([heard.raw])
                net.nodes[0].spread.broadcast(Channel.BULK, encode_batch([heard.raw]))
                await trio.sleep(0.2)
        await net.committed(heard.id)
        for index in (0, 1, 2):
            await net.kill(index)
        for index in (0, 1, 2):
            node = await net.start(index)
            assert node.executor.record.number == 1
        pay = net.sign(
            CASHIER, call(ASSETS, 4, 0, address_of(CASHIER), address_of(ADA), ASSET, 5, b"s"), sequence=11
        )
        await net.until(lambda: any(net.nodes[i].driver.is_leading for i in (0, 1)))
        await net.nodes[0].intake.submit([pay.raw])
        await net.committed(pay.id)
        assert len(net.roots()) == 1


# --- one process: how it ends


def lone_node(folder: Path) -> Config:
    """Found a chain of one validator, as `coopd localnet` does."""
    config = Config(folder, operator="n0", listen_port=_free_ports(1)[0], batch_window_ms=5)
    ring = Keyring(config.keys_path, demo=True)
    node, consensus = ring.create(NODE_KEY, None), ring.create(CONSENSUS_KEY, None)
    validator = Validator("n0", consensus.public_key, node.public_key)
    record = EpochRecord(EpochNumber(0), EngineKind.RAFT, Height(1), (validator,))
    now = TimeMs(SystemClock().wall_ms() - 1_000)
    config.genesis_path.write_bytes(Genesis("test-1", now, record, 8, 0, True, founding()).encode())
    Signer.create(config.guard_path, consensus.public_key)
    return config


def is_free(config: Config) -> bool:
    """Tell whether store and signing record were given back."""
    open_store(config).close()
    Signer.open(config.guard_path, Keyring(config.keys_path).load(CONSENSUS_KEY, None)).close()
    return True


@pytest.fixture
def survive_signals() -> Iterator[None]:
    """Let a signal that comes when the node has ended already not end the tests."""
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("survive_signals")
@pytest.mark.parametrize("times", [1, 2])
async def test_a_signal_ends_the_node_in_order_and_two_at_once(tmp_path: Path, times: int) -> None:
    config = lone_node(tmp_path)
    with trio.fail_after(PATIENCE_SECONDS):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run_node, config)
            while not config.socket_path.exists():
                await trio.sleep(0.01)
            for _ in range(times):
                os.kill(os.getpid(), signal.SIGTERM)
                await trio.sleep(0.05)
    assert is_free(config) and not config.socket_path.exists()
    assert not (tmp_path / "crash.txt").exists()


async def test_what_our_machine_cannot_do_ends_the_node_with_one_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object, record: bytes) -> None:
        raise StorageBroken("store.broken", "what", "why", "do")

    monkeypatch.setattr("node.store.store.Store.save_safety", fail)
    config = lone_node(tmp_path)
    with trio.fail_after(PATIENCE_SECONDS), pytest.raises(StorageBroken) as caught:
        await run_node(config)
    assert caught.value.slug == "store.broken" and is_free(config)
    assert not (tmp_path / "crash.txt").exists()


async def test_a_flipped_bit_in_the_safety_record_keeps_the_node_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = RaftSafety(EpochNumber(0), Height(1), View(3), 0, View(0), None).encode()
    damaged = bytes([*record[:6], record[6] ^ 1, *record[7:]])
    monkeypatch.setattr("node.store.store.Store.load_safety", lambda _: damaged)
    config = lone_node(tmp_path)
    with trio.fail_after(PATIENCE_SECONDS), pytest.raises(OperationError) as caught:
        await run_node(config)
    assert caught.value.slug == "safety.damaged" and is_free(config)


async def test_a_safety_record_of_another_version_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = codec.encode((SAFETY_VERSION + 1, b"unknown here"))
    monkeypatch.setattr("node.store.store.Store.load_safety", lambda _: newer + crypto.sha256(newer))
    config = lone_node(tmp_path)
    with trio.fail_after(PATIENCE_SECONDS), pytest.raises(OperationError) as caught:
        await run_node(config)
    assert caught.value.slug == "safety.other_version" and is_free(config)


@pytest.mark.parametrize("bug", [AssertionError("broken"), KeyError("broken")])
async def test_a_bug_of_ours_leaves_a_trace_and_ends_the_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bug: Exception
) -> None:
    def fail(*_: object) -> None:
        raise bug

    monkeypatch.setattr("node.executor.Executor.write", fail)
    config = lone_node(tmp_path)
    with trio.fail_after(PATIENCE_SECONDS), pytest.raises(BaseExceptionGroup):
        await run_node(config)
    assert is_free(config)
    trace = (tmp_path / "crash.txt").read_text()
    assert type(bug).__name__ in trace and "Start(" in trace and "BlockBuilt(" in trace


async def test_a_thread_that_meets_a_missing_version_first_ends_the_node_as_the_executor_would(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(_: object) -> None:
        raise VersionsMissing(((1_048, 2),))

    monkeypatch.setattr("node.watch.foresight.Foresight.look", look)
    config = lone_node(tmp_path)
    with trio.fail_after(PATIENCE_SECONDS), pytest.raises(OperationError) as caught:
        await run_node(config)
    assert caught.value.slug == "upgrade.missing" and "1048 in version 2" in caught.value.why
    assert is_free(config) and not (tmp_path / "crash.txt").exists()


class Flood:
    """A network on which a frame always waits."""

    def __init__(self, data: bytes, frames_max: int) -> None:
        self.frame, self.left = Frame(PeerId(b"\2" + bytes(32)), Channel.VOTE, data), frames_max

    async def receive(self) -> Frame:
        if not self.left:
            await trio.sleep_forever()
        self.left -= 1
        return self.frame


async def test_a_flood_of_nonsense_leaves_the_node_its_time_and_its_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    config = lone_node(tmp_path)
    ring = Keyring(config.keys_path)
    store = open_store(config)
    daemon = Daemon(config, SystemClock(), ring.load(NODE_KEY, None), OwnKeys(config, lambda: None), store)
    flood = Flood(b"\xff nonsense", 1_000)
    said: list[str] = []
    daemon.network = flood  # type: ignore[assignment]
    note = lambda event, **_: said.append(event)  # noqa: E731
    daemon.log = SimpleNamespace(warning=note, error=note)  # type: ignore[assignment]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(daemon._listen)
        await trio.lowlevel.checkpoint()
        await trio.lowlevel.checkpoint()
        assert flood.left > 900
        await trio.testing.wait_all_tasks_blocked()
        assert flood.left == 0 and said == ["peer.refused", "peer.banned"]
        await trio.sleep(max(REFUSALS_LOG_SECONDS, BAN_SECONDS))
        flood.left = 1
        nursery.start_soon(daemon._listen)
        await trio.testing.wait_all_tasks_blocked()
        assert said == ["peer.refused", "peer.banned", "peer.refused"]
        nursery.cancel_scope.cancel()
    store.close()
    daemon.keys.close()


async def test_the_roster_follows_the_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = lone_node(tmp_path)
    ring = Keyring(config.keys_path)
    store = open_store(config)
    daemon = Daemon(config, SystemClock(), ring.load(NODE_KEY, None), OwnKeys(config, lambda: None), store)
    newcomer = crypto.public_key_of(_key(10, 7))
    validators = (
        *daemon.executor.record.validators,
        Validator("n7", crypto.public_key_of(_key(20, 7)), newcomer),
    )
    rosters: list[set[bytes]] = []
    monkeypatch.setattr(
        daemon.links, "set_roster", lambda roster: rosters.append({e.peer for e in roster if e.validator})
    )
    monkeypatch.setattr(daemon.sync, "advance", lambda _: None)
    monkeypatch.setattr(daemon.vigil, "note", lambda *_: None)
    own = {PeerId(validator.node_key) for validator in daemon.executor.record.validators}
    assert not daemon.spread.is_observed
    for is_seal in (False, True):
        daemon.executor.record = replace(daemon.executor.record, validators=validators)
        block = SimpleNamespace(height=Height(1), header=SimpleNamespace(is_seal=is_seal))
        daemon._on_committed(block, None)  # type: ignore[arg-type]
    assert rosters == [own | {newcomer}]
    store.close()
    daemon.keys.close()


async def test_liars_are_cut_off_as_soon_as_their_lies_are_too_many(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    config = lone_node(tmp_path)
    ring = Keyring(config.keys_path)
    store = open_store(config)
    daemon = Daemon(config, SystemClock(), ring.load(NODE_KEY, None), OwnKeys(config, lambda: None), store)
    banned: list[PeerId] = []
    daemon.links.ban = lambda peer, *_: banned.append(peer)  # type: ignore[method-assign]
    for liar, lie in (
        (PeerId(b"\2" * 33), daemon.sync._on_liar),
        (PeerId(b"\3" * 33), daemon.snapshots._on_liar),
    ):
        for _ in range(POINTS_MAX // WRONG_POINTS):
            assert liar not in banned
            lie(liar)
        assert banned[-1] == liar and daemon.offences.is_banned(liar, trio.current_time())
    store.close()
    daemon.keys.close()


@pytest.mark.parametrize("kind", list(FrameKind))
async def test_ten_times_the_rate_of_any_kind_costs_its_sender_the_connection(
    tmp_path: Path, autojump_clock: MockClock, kind: FrameKind
) -> None:
    """And whoever keeps to the rate, as every correct node does by far, is heard all the while."""
    config = lone_node(tmp_path)
    ring = Keyring(config.keys_path)
    store = open_store(config)
    daemon = Daemon(config, SystemClock(), ring.load(NODE_KEY, None), OwnKeys(config, lambda: None), store)
    flooder, honest = PeerId(b"\2" * 33), PeerId(b"\3" * 33)
    read: dict[PeerId, int] = {flooder: 0, honest: 0}
    banned: list[PeerId] = []

    def on_frame(peer: PeerId, data: bytes) -> None:
        read[peer] += 1

    daemon._on_frame = on_frame  # type: ignore[method-assign]
    daemon.links.ban = lambda peer, *_: banned.append(peer)  # type: ignore[method-assign]
    rate = FRAME_RATES[int(kind)]
    seconds = 2 + POINTS_MAX // (9 * rate.frames_a_second - FORGIVEN_A_SECOND)
    for _ in range(seconds * rate.frames_a_second):
        for _ in range(10):
            daemon._read(flooder, bytes((kind,)))
        daemon._read(honest, bytes((kind,)))
        await trio.sleep(1 / rate.frames_a_second)
    assert set(banned) == {flooder}
    assert read[honest] == seconds * rate.frames_a_second
    assert read[flooder] <= rate.burst_frames + seconds * rate.frames_a_second
    store.close()
    daemon.keys.close()
