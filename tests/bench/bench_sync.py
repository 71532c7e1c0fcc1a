"""What a block costs a node that catches up, and the one that serves it: one process, real store, no network.

Clock and CPU time for a block of a few transfers, as a cluster with little load makes them; the disk counts.

    .venv/bin/python -m tests.bench.bench_sync [blocks] [transfers a block]
"""

import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import trio

from node.builder import Builder, Pace
from node.cli.payments import build_transfer, sign_transaction
from node.clock import SystemClock
from node.cluster.founding import CURRENCY_NUMBER, load_key
from node.driver import Driver
from node.evidence import EvidencePool
from node.executor import Executor
from node.intake import Intake
from node.keychain import Keychain
from node.mempool import Mempool
from node.net.transport import Channel, PeerId
from node.signer import Signer
from node.store.store import Store
from node.sync import BlockSync
from node.wire import split
from protocol.chain.block import Block
from protocol.chain.transaction import SignedTransaction
from protocol.consensus.engine import Consensus
from protocol.consensus.inputs import Start
from protocol.consensus.timeouts import LOCAL
from protocol.contracts.policies import address_of_key
from protocol.crypto import public_key_of
from protocol.merkle.tree import StateTree
from protocol.transition import apply_genesis
from protocol.types import Seconds
from tests.node.small_chain import SmallChain

MEMBERS = 200


class Wire:
    """One end of a link to another node of this process."""

    def __init__(self, me: PeerId, other: PeerId) -> None:
        self.me = me
        self._other = other
        self.far: BlockSync | None = None
        self.sent_bytes = 0

    def peers(self) -> tuple[PeerId, ...]:
        return (self._other,)

    def send(self, peer: PeerId, channel: Channel, data: bytes) -> bool:
        assert self.far is not None
        self.sent_bytes += len(data)
        self.far.on_frame(self.me, split(data)[1])
        return True


def make_node(folder: Path, chain: SmallChain, executor: Executor, index: int, wire: Wire) -> BlockSync:
    """Build the parts of a node that sync needs, for a validator that only follows."""
    secret = chain.secret(index)
    me = executor.record.validators[index].consensus_key
    mempool = Mempool()
    evidence = EvidencePool(
        folder / f"evidence{index}", executor.check_accusation, lambda data: 0, lambda: None
    )
    intake = Intake(chain.genesis_hash, mempool, None, lambda _: [], lambda _: False, lambda: None)  # type: ignore[arg-type]
    Signer.create(folder / f"guard{index}", me)
    head = executor.head
    sync: BlockSync

    def advance(block: Block, *_: object) -> None:
        sync.advance(block)

    store = executor._store
    driver = Driver(
        Consensus(chain.genesis_hash, me, executor.record, head.height, head.block_id, LOCAL),
        executor,
        Builder(executor, mempool, evidence, SystemClock(), me, Pace(5, 10, 1_000)),
        intake,
        mempool,
        evidence,
        store,
        Keychain(Signer.open(folder / f"guard{index}", secret), executor.record),
        wire,
        SystemClock(),
        advance,
        lambda peer, height: None,
    )
    driver.machine.step(Start(None))
    sync = BlockSync(store, executor, driver, wire)  # type: ignore[arg-type]
    return sync


def pay(chain: SmallChain, number: int) -> SignedTransaction:
    """Let one load member pay the next, soon enough for the time of the chain."""
    payer, payee = load_key(number % MEMBERS), load_key((number + 1) % MEMBERS)
    addresses = [address_of_key(public_key_of(key)) for key in (payer, payee)]
    tx = build_transfer(chain.genesis, addresses[0], addresses[1], CURRENCY_NUMBER, 1)
    until = Seconds(chain.executor.head.time_ms // 1_000 + 300)
    return sign_transaction(chain.genesis, replace(tx, valid_until=until), payer)


async def catch_up(folder: Path, blocks: int, transfers: int) -> None:
    """Make a chain, let an empty node fetch it, and print what a block cost."""
    chain = SmallChain(folder / "full", int(time.time() * 1_000) - 2_000 * blocks, load_members=MEMBERS)
    for at in range(blocks):
        chain.commit(*[pay(chain, at * transfers + i) for i in range(transfers)])
    execution = apply_genesis(chain.genesis)
    items = [(key, value) for key, value in execution.writes.items() if value is not None]
    root = StateTree.build(chain.genesis.tree_bits, items).root
    Store.create(folder / "empty", chain.genesis, execution.writes, root)
    executor = Executor(Store.open(folder / "empty"))
    keys = [PeerId(v.node_key) for v in executor.record.validators]
    up, down = Wire(keys[0], keys[1]), Wire(keys[1], keys[0])
    full = make_node(folder, chain, chain.executor, 0, up)
    lagging = make_node(folder, chain, executor, 1, down)
    up.far, down.far = lagging, full
    began, cpu = time.perf_counter(), time.process_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(full.run)
        nursery.start_soon(lagging.run)
        lagging.greet(keys[0])
        while executor.head.height < blocks:
            await trio.sleep(0.005)
        nursery.cancel_scope.cancel()
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    assert executor.head == chain.executor.head
    print(f"{blocks} blocks of {transfers} transfers: {wall:.2f} s, {blocks / wall:,.0f} blocks/s")
    for name, seconds in (("wall", wall), ("CPU of both", cpu)):
        print(f"  {name:<12} {seconds / blocks * 1e3:6.2f} ms a block")
    print(f"  {'bytes sent':<12} {up.sent_bytes / blocks:6,.0f} a block")


def main() -> None:
    sys.setswitchinterval(0.0005)  # as the daemon does
    numbers = [int(argument) for argument in sys.argv[1:]]
    blocks, transfers = (*numbers, *(1_000, 5)[len(numbers) :])
    with tempfile.TemporaryDirectory(prefix="coopd-bench-") as name:
        trio.run(catch_up, Path(name), blocks, transfers)


if __name__ == "__main__":
    main()
