"""Try one version of a plugin on a chain in memory with random programs, the same for the same number.

A program of its own, so that interpreter and hash seed can differ between runs (`conformance.py` compares):

    PYTHONHASHSEED=1 python -m node.plugin.trial FOLDER_OR_NAME VERSION PROGRAMS

It prints one JSON object: a digest of each block, what each method did, and what must not have happened. The
values come from the kinds of the arguments, and often from what earlier calls returned, so that calls meet.
"""

import hashlib
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any, Final

from node.plugin.loading import Source, find_installed, find_project, load
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
from protocol.chain.validators import EngineKind, EpochRecord, Validator
from protocol.codec import Value
from protocol.contracts import REGISTRY
from protocol.contracts.ledger.accounts import ACCOUNT, NONNEG_CREDIT, NONNEG_DEBIT, TOTAL
from protocol.contracts.policies import address_of_key
from protocol.contracts.registry.records import RUNNING, VERSIONS
from protocol.crypto import SecretKey
from protocol.errors import Code
from protocol.merkle.tree import StateTree
from protocol.plugin.schema import BUG
from protocol.transition import BlockContext, apply_genesis, build_block, rules_of
from protocol.types import Address, BlockId, EpochNumber, Gas, Height, Seconds, Signature, TimeMs
from protocol.vm.context import Environment
from protocol.vm.contract import Contract, Method, Registry
from protocol.vm.execute import run_program
from protocol.vm.kinds import Data, Fields, Flag, Integer, Kind, Many, Maybe, Text
from protocol.vm.program import literal, parse_program
from protocol.vm.tables import SCHEMA
from protocol.vm.view import MemoryState, View

START_MS: Final = 1_750_000_000_000
PEOPLE: Final = 6
MONEY: Final = 10**12
CALLS_OF_A_BLOCK: Final = 8
POOL_MAX: Final = 32
SAMPLES_MAX: Final = 40
GAS: Final = 400_000
NAME: Final = "trial-1"
STEPS: Final = (1, 1, 60, 86_400, 7 * 86_400)
"""Seconds from block to block, by chance."""


class Draw:
    """Numbers from a chain of digests."""

    def __init__(self, seed: bytes) -> None:
        self._state = seed

    def below(self, bound: int) -> int:
        """Return a number of 0 .. bound - 1."""
        self._state = hashlib.sha256(self._state).digest()
        return int.from_bytes(self._state, "big") % bound


KEYS: Final = [SecretKey(hashlib.sha256(b"trial%d" % n).digest()) for n in range(PEOPLE)]


class Trial:
    """A chain in memory on which one version of one plugin runs."""

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        self.publics = [crypto.public_key_of(key) for key in KEYS]
        self.addresses = [address_of_key(public) for public in self.publics]
        self.genesis = self._genesis()
        self.rules = rules_of(self.genesis)
        self.state = MemoryState()
        self.tree = StateTree(self.genesis.tree_bits)
        self.draw = Draw(b"trial")
        self.pool: list[int] = [1, 2]
        self.time_ms = START_MS
        self.methods: dict[str, dict[str, Any]] = {
            m.name: {"ok": 0, "codes": {}, "gas": [], "ns": []} for m in contract.methods
        }
        self.problems: dict[str, None] = {}
        self._apply(dict(apply_genesis(self.genesis).writes))
        versions = ((int(contract.id), contract.version),)
        running = (SCHEMA, contract.version, contract.compute_fingerprint(), "")
        rows: dict[bytes, Value] = {
            VERSIONS.prefix: (SCHEMA, versions),
            RUNNING.key(contract.id): running,
        }
        self._apply({key: codec.encode(row) for key, row in sorted(rows.items())})
        found = REGISTRY.at(versions)
        assert found is not None, "the contract is installed"
        self.registry: Registry = found

    def _genesis(self) -> Genesis:
        public = self.publics[0]
        record = EpochRecord(EpochNumber(0), EngineKind.RAFT, Height(1), (Validator("n", public, public),))
        cashier = self.addresses[0]
        programs: tuple[Value, ...] = (
            ((), tuple((2, 1, 255, (address,)) for address in self.addresses)),
            ((), ((16, 1, 255, ("CNY", "renminbi", 2, 2, 10**15)),)),
            ((), ((16, 3, 255, (cashier, 1, 10**14, 10**14, 10**14)),)),
        )
        return Genesis(NAME, TimeMs(START_MS), record, 8, 0, True, programs)

    def run(self, programs: int) -> list[str]:
        """Run so many programs in blocks; returns one digest a block."""
        roots = [self._block(1, [self._fund(n) for n in range(PEOPLE)])]
        for height in range(2, 2 + -(-programs // CALLS_OF_A_BLOCK)):
            calls = [self._call() for _ in range(CALLS_OF_A_BLOCK)]
            self._measure(height, calls)
            roots.append(self._block(height, calls))
            self._check_books()
        return roots

    def _fund(self, person: int) -> tuple[Method | None, int, Value]:
        ref = b"%d" % person
        return None, 0, (16, 4, 0, (self.addresses[0], self.addresses[person], 1, MONEY, ref))

    def _call(self) -> tuple[Method | None, int, Value]:
        who = self.draw.below(PEOPLE)
        method = self.contract.methods[self.draw.below(len(self.contract.methods))]
        arguments = [self._value(field.kind, who) for field in method.arguments]
        if method.owner_at >= 0 and self.draw.below(8):
            arguments[method.owner_at] = self.addresses[who]
        return method, who, (int(self.contract.id), method.id, 0, tuple([literal(a) for a in arguments]))

    def _value(self, kind: Kind, who: int) -> Value:
        """Draw a value of a kind: often a small or a known one, sometimes one at the edge."""
        draw = self.draw
        match kind:
            case Integer():
                return self._integer(kind)
            case Flag():
                return draw.below(2) == 1
            case Data():
                if kind.low == kind.high == 20:
                    known = [*self.addresses, self.contract.address]
                    return known[draw.below(len(known))]
                size = kind.low + draw.below(min(kind.high - kind.low, 64) + 1)
                return bytes([draw.below(256) for _ in range(size)])
            case Text():
                return "".join(["ab c"[draw.below(3)] for _ in range(draw.below(min(kind.high, 20) + 1))])
            case Maybe():
                return None if draw.below(3) == 0 else self._value(kind.kind, who)
            case Many():
                size = kind.low + draw.below(min(kind.high - kind.low, 4) + 1)
                return tuple([self._value(kind.kind, who) for _ in range(size)])
            case Fields():
                return tuple([self._value(field.kind, who) for field in kind.fields])
        return None

    def _integer(self, kind: Integer) -> int:
        draw, now = self.draw, self.time_ms // 1_000
        choices = (
            self.pool[draw.below(len(self.pool))],
            kind.low + draw.below(4),
            kind.low + draw.below(4),
            now + draw.below(30 * 86_400),
            (kind.low, kind.high)[draw.below(2)],
            kind.low + draw.below(kind.high - kind.low + 1),
        )
        chosen = choices[(0, 0, 0, 1, 1, 1, 2, 3, 4, 5)[draw.below(10)]]
        return min(max(chosen, kind.low), kind.high)

    def _block(self, height: int, calls: list[tuple[Method | None, int, Value]]) -> str:
        self.time_ms += STEPS[self.draw.below(len(STEPS))] * 1_000
        record = self.genesis.epoch
        key = record.validators[0].consensus_key
        parent = BlockId(crypto.sha256(self.tree.root))
        context = BlockContext(Height(height), TimeMs(self.time_ms), parent, record, key)
        by_id = {}
        for place, call in enumerate(calls):
            signed = self._sign(call[1], height * 100 + place, call[2])
            by_id[signed.id] = (call[0], signed)
        candidates = [signed for _, signed in by_id.values()]
        done, taken, dropped = build_block(
            self.state, self.rules, context, candidates, (), 100, 1 << 20, 10**8
        )
        for signed, receipt in zip(taken, done.receipts, strict=True):
            method = by_id[signed.id][0]
            self._note("a program of the kernel" if method is None else method.name, receipt)
        for receipt in done.job_receipts:
            self._note("", receipt)
        for _, rejected in dropped:
            self.problems[f"a program was not admitted: {rejected}"] = None
        self._apply(dict(done.writes))
        receipts = b"".join([*done.receipt_bytes, *done.job_receipt_bytes])
        return crypto.sha256(self.tree.root + receipts).hex()

    def _note(self, name: str, receipt: Any) -> None:
        rule = "" if receipt.reason is None else receipt.reason.rule
        if rule == BUG:
            self.problems[f"{name or 'a job'}: its code raised, or answered another kind"] = None
        elif receipt.code == Code.INVARIANT:
            self.problems[f"{name or 'a job'}: broke the invariant {rule}"] = None
        if name not in self.methods:
            return
        if receipt.code == Code.OK:
            self.methods[name]["ok"] += 1
            for value in receipt.results:
                if type(value) is int and value > 0 and value not in self.pool:
                    self.pool = [*self.pool, value][-POOL_MAX:]
        else:
            codes = self.methods[name]["codes"]
            codes[str(int(receipt.code))] = codes.get(str(int(receipt.code)), 0) + 1

    def _sign(self, who: int, sequence: int, call: Value) -> SignedTransaction:
        tx = Transaction(
            NAME,
            (self.addresses[who],),
            0,
            UNORDERED,
            sequence,
            Seconds(self.time_ms // 1_000 + 60),
            Gas(GAS),
            0,
            ((), (call,)),
        )
        # Nobody verifies here; the policies are checked.
        blank = TxSignature(0, self.publics[who], SCHEME_ECDSA, Signature(bytes(64)))
        return assemble(tx, self.rules.genesis_hash, (blank,))

    def _measure(self, height: int, calls: list[tuple[Method | None, int, Value]]) -> None:
        """Time the calls that succeed, on a view that is thrown away."""
        for method, who, call in calls:
            if method is None or len(self.methods[method.name]["ns"]) >= SAMPLES_MAX:
                continue
            gas, nanoseconds = self._time(height, who, call)
            if gas:
                self.methods[method.name]["ns"].append(nanoseconds)
                self.methods[method.name]["gas"].append(gas)

    def _time(self, height: int, who: int, call: Value) -> tuple[int, int]:
        now = Seconds(self.time_ms // 1_000 + 1)
        actors: tuple[Address, ...] = (self.addresses[who],)
        environment = Environment(
            now, now // 86_400, Height(height), 0, bytes(32), actors, epoch=self.genesis.epoch
        )
        start = time.process_time_ns()
        view = View(self.state)
        outcome = run_program(
            view, self.registry, environment, parse_program(((), (call,)), self.registry, 1)
        )
        view.collect_writes()
        spent = time.process_time_ns() - start
        return (view.gas_used, spent) if outcome.code == Code.OK else (0, 0)

    def compute_reference(self) -> float:
        """Measure the time of one gas of a transfer between two members, in nanoseconds."""
        pay = (16, 7, 0, (self.addresses[1], self.addresses[2], 1, 1, None))
        found = [self._time(1_000_000, 1, pay) for _ in range(50)]
        return statistics.median([spent / gas for gas, spent in found if gas])

    def _check_books(self) -> None:
        view, sums = View(self.state), dict[int, list[int]]()
        for key, row in TOTAL.scan(view):
            asset = TOTAL.parts(key)[0]
            assert type(asset) is int
            known = sums.setdefault(asset, [0, 0, 0, 0])
            for place in range(4):
                known[place] += row[1 + place]
        for asset, (dp, d, cp, c) in sums.items():
            if (dp, d) != (cp, c):
                self.problems[f"asset {asset}: debits are not credits"] = None
        for _, account in ACCOUNT.scan(view, self.contract.address):
            _, flags, dp, d, cp, c, _, _ = account
            if (flags & NONNEG_CREDIT and dp + d > c) or (flags & NONNEG_DEBIT and cp + c > d):
                self.problems["an account of the plugin is overdrawn"] = None

    def _apply(self, writes: dict[bytes, bytes | None]) -> None:
        self.state.apply(writes)
        self.tree.commit(self.tree.preview(writes))


def open_source(place: str) -> Source:
    """Find a plugin by the folder of its project, or as name==version of what is installed."""
    return find_project(Path(place)) if Path(place).is_dir() else find_installed(place)


def main() -> None:
    """Run a trial and print what came out."""
    place, version, programs = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    source = open_source(place)
    sys.path.insert(0, str(source.root))
    contracts = load(source)
    REGISTRY.install(contracts)
    trial = Trial(next(contract for contract in contracts if contract.version == version))
    roots = trial.run(programs)
    reference = trial.compute_reference()
    for told in trial.methods.values():
        pairs = zip(told.pop("ns"), told.pop("gas"), strict=True)
        ratios = [spent / gas / reference for spent, gas in pairs]
        told["ratio"] = statistics.median(ratios) if ratios else None
    print(json.dumps({"roots": roots, "methods": trial.methods, "problems": list(trial.problems)}))


if __name__ == "__main__":
    main()
