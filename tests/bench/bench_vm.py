"""Measure the ledger tower: process CPU time of one-transfer transactions, without signatures, tree.

Prints, decides nothing. Goals: performance.md, sections 3 and 6: decode + execute + receipt + pack about
10 us, 33 us at most; a failing program of four instructions below 60 us. Run it from the root of the project:
`python tests/bench/bench_vm.py [accounts] [transactions]`.
"""

import gc
import hashlib
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from protocol.chain.order import check_order, order_transactions
from protocol.chain.transaction import SignedTransaction, decode_signed
from protocol.codec import encode
from protocol.contracts import REGISTRY, auth
from protocol.contracts.ledger.accounts import MEMBER_FREE, account_key
from protocol.contracts.ledger.contract import CONTRACT as LEDGER_CONTRACT
from protocol.transition import check_admission, execute_block
from protocol.vm.program import parse_program
from tests.protocol.ledger_world import ASSETS, COOP, Person, World, person

ROUNDS = 15
GC_THRESHOLDS = (50_000, 20, 100)
"""Those of `node/daemon.py`."""


def least_us(work: Callable[[], object], operations: int) -> float:
    """Least CPU microseconds of one operation: what others do on the machine only ever adds."""
    times = []
    for _ in range(ROUNDS):
        start = time.process_time_ns()
        work()
        times.append(time.process_time_ns() - start)
    return min(times) / operations / 1_000


def fill(world: World, people: list[Person]) -> None:
    """Give everybody an account with money, behind the chain's back."""
    writes: dict[bytes, bytes | None] = {}
    ledger = LEDGER_CONTRACT.tables[0]
    for one in people:
        writes[auth.ACCOUNT.prefix + one.address] = encode((1, 0, (), 0, 0))
        name = account_key(one.address, MEMBER_FREE, COOP)
        writes[ledger.prefix + name] = encode((1, 1, 0, 0, 0, 1 << 40, 1, bytes(32)))
    world.state.apply(writes)


def spread(world: World, people: list[Person], count: int, lane: int) -> list[SignedTransaction]:
    made = []
    for n in range(count):
        payer, payee = people[n % len(people)], people[(n * 7_919 + 1) % len(people)]
        if payer is payee:
            payee = people[n % len(people) - 1]
        sequence = 1 + n // len(people) if lane != 65_535 else n + 1
        made.append(world.pay(payer, payee, 100 + n % 900, lane=lane, sequence=sequence))
    return made


def hash_64_us() -> float:
    """Return the cost of one SHA-256 of 64 bytes here and now, by which runs on busy machines compare."""
    data, sha256 = bytes(64), hashlib.sha256
    return least_us(lambda: [sha256(data).digest() for _ in range(10_000)], 10_000)


def main() -> None:
    print(f"unit: one SHA-256 of 64 bytes takes {hash_64_us():.2f} us")
    accounts, count = (int(a) for a in (sys.argv[1:] + ["5000", "1000"][len(sys.argv) - 1 :]))
    world = World()
    people = [person(f"bench{n}") for n in range(accounts)]
    fill(world, people)
    context = world.next_context()
    gc.freeze()  # as a node does once it has started
    gc.set_threshold(*GC_THRESHOLDS)
    for label, lane in (("ordered lane", 0), ("unordered", 65_535)):
        txs = spread(world, people, count, lane)
        raws = [tx.raw for tx in txs]
        genesis_hash = world.rules.genesis_hash
        decode = least_us(lambda: [decode_signed(raw, genesis_hash) for raw in raws], count)
        parse = least_us(lambda: [parse_program(tx.tx.program, REGISTRY, 1) for tx in txs], count)
        admit = least_us(
            lambda: [check_admission(world.state, world.rules, world.time, tx) for tx in txs], count
        )
        block = tuple(order_transactions(context.parent_id, txs))
        execute = least_us(lambda: execute_block(world.state, world.rules, context, block, ()), count)
        order = least_us(lambda: check_order(context.parent_id, block), count)
        sort = least_us(lambda: order_transactions(context.parent_id, txs), count)
        done = execute_block(world.state, world.rules, context, block, ())
        assert all(r.is_ok for r in done.receipts)
        size, gas, writes = len(raws[0]), done.receipts[0].gas, len(done.writes) / count
        print(f"{label}: {size} bytes, {gas} gas, {writes:.2f} writes")
        print(f"  order: to bring it about {sort:.2f}, to check it {order:.2f}")
        print(f"  decode {decode:.1f}; program typing {parse:.1f}; mempool admission {admit:.1f}")
        print(
            f"  execute + receipt + pack {execute:.1f} us: {1_000_000 / execute:,.0f} programs a second "
            f"(goal 30,000); with decode {decode + execute:.1f} us (goal 10, < 33)"
        )
    call = (ASSETS, 7, 0, (people[0].address, people[1].address, COOP, 5, None))
    fails = tuple(
        world.tx(
            call, call, call, (0, 0, 0, 1, 2, 7), actors=(people[0],), lane=0, sequence=n + 1, gas=20_000
        )
        for n in range(40)
    )
    failing = least_us(lambda: execute_block(world.state, world.rules, context, fails, ()), len(fails))
    print(f"failing program of four instructions, rewound: {failing:.1f} us (goal < 60)")


if __name__ == "__main__":
    main()
