"""Hostile inputs for every decoder: mutated examples, by a seed, and what must hold for each.

*Rules*: 1. a target answers or raises what its border allows (`Rejected`; on the wire `PeerFault`), nothing
else. 2. no input costs more than `INPUT_CPU_MS_MAX` of CPU time; a slow one is tried again before it counts,
since a machine has other work.

Used by `scripts/fuzz` (millions) and by `test_fuzz.py` (thousands, the same seed each time).
"""

import asyncio
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from node.ipc.frames import FrameReader
from node.ipc.messages import decode_message as decode_ipc
from node.net.frames import FRAME_BYTES_MAX, FrameSplitter
from node.net.mux import Mux, MuxLimits
from node.net.transport import Channel, PeerFault
from node.rpc.dispatch import ANONYMOUS_LIMITS, Dispatcher, Method
from node.rpc.methods.table import build_methods
from node.wire import (
    FrameKind,
    decode_batch,
    decode_get_txs,
    decode_outline,
    decode_starve,
    decode_txs,
    split,
)
from protocol import codec
from protocol.admission import ChainRules
from protocol.chain.block import decode_block
from protocol.chain.certificate import decode_certificate
from protocol.chain.genesis import decode_genesis
from protocol.chain.receipt import decode_receipt
from protocol.chain.transaction import decode_signed
from protocol.chain.validators import EngineKind, EpochRecord, Validator
from protocol.consensus.messages import decode_message as decode_consensus
from protocol.consensus.messages import list_signature_checks
from protocol.consensus.safety import decode_safety
from protocol.contracts import REGISTRY
from protocol.errors import Rejected
from protocol.sync.messages import decode_sync
from protocol.sync.snapshot_messages import decode_snapshot_message
from protocol.transition import check_admission
from protocol.types import EpochNumber, Height, PublicKey, Seconds
from protocol.vm.view import MemoryState
from tests.fuzz.corpus import GENESIS_HASH, Corpus, build

INPUT_CPU_MS_MAX = 10.0
SLOW_TRIES = 3
CUTS_OF_A_STREAM = 3

Target = Callable[[bytes], object]


@dataclass(frozen=True, slots=True)
class Finding:
    """An input that broke a rule."""

    target: str
    data: bytes
    why: str


@dataclass(slots=True)
class Report:
    """What a run did."""

    inputs: int = 0
    accepted: int = 0
    slowest_ms: float = 0.0
    slowest_target: str = ""
    findings: tuple[Finding, ...] = ()


_RULES = ChainRules(GENESIS_HASH, "fuzz-1", 0, True)
_RECORD = EpochRecord(
    EpochNumber(0),
    EngineKind.RAFT,
    Height(1),
    tuple(Validator(str(i), PublicKey(bytes([2 + i]) * 33), PublicKey(bytes(33))) for i in range(3)),
)


def _transaction(data: bytes) -> object:
    signed = decode_signed(data, GENESIS_HASH)
    return check_admission(MemoryState(), _RULES, Seconds(500), signed)


def _block(data: bytes) -> object:
    return decode_block(data, lambda raw: decode_signed(raw, GENESIS_HASH))


def _consensus(data: bytes) -> object:
    return list_signature_checks(decode_consensus(data, _block), _RECORD, GENESIS_HASH)  # type: ignore[arg-type]


def _frame(data: bytes) -> object:
    kind, payload = split(data)
    readers: dict[FrameKind, Target] = {
        FrameKind.TRANSACTIONS: decode_batch,
        FrameKind.OUTLINE: decode_outline,
        FrameKind.GET_TXS: decode_get_txs,
        FrameKind.TXS: decode_txs,
        FrameKind.STARVE: decode_starve,
        FrameKind.SYNC: decode_sync,
        FrameKind.SNAPSHOT: decode_snapshot_message,
    }
    return readers[kind](payload) if kind in readers else payload


def _ipc(data: bytes) -> object:
    return [decode_ipc(frame) for frame in FrameReader().feed(data)]


def _lane(data: bytes) -> object:
    splitter = FrameSplitter(FRAME_BYTES_MAX[Channel.VOTE])
    step = len(data) // CUTS_OF_A_STREAM + 1
    return [splitter.feed(data[at : at + step]) for at in range(0, len(data), step)]


def _mux(data: bytes) -> object:
    mux = Mux(False, MuxLimits())
    step = len(data) // CUTS_OF_A_STREAM + 1
    for at in range(0, len(data), step):
        mux.receive(data[at : at + step])
    return mux.take_output(1 << 16)


class _Rpc:
    """The dispatcher with every real method and its params; only what a method does is left out."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._bugs: list[BaseException] = []

        async def nothing(context: Any, params: Any) -> None:
            return None

        methods: list[Method[Any]] = [replace(method, run=nothing) for method in build_methods(REGISTRY)]
        self._dispatcher: Dispatcher[Any] = Dispatcher(methods, on_bug=lambda _, bug: self._bugs.append(bug))

    def __call__(self, data: bytes) -> object:
        answer = self._loop.run_until_complete(self._dispatcher.answer(data, None, ANONYMOUS_LIMITS))
        if self._bugs:
            raise self._bugs.pop()
        return answer


def targets(corpus: Corpus) -> dict[str, tuple[Target, tuple[bytes, ...]]]:
    """Return every decoder with the examples it starts from."""
    return {
        "transaction": (_transaction, corpus.transactions),
        "block": (_block, corpus.blocks),
        "certificate": (decode_certificate, corpus.certificates),
        "receipt": (decode_receipt, corpus.receipts),
        "genesis": (decode_genesis, corpus.genesis),
        "consensus": (_consensus, corpus.consensus),
        "safety": (lambda data: decode_safety(data, _block), corpus.safety),  # type: ignore[arg-type]
        "frame": (_frame, corpus.frames),
        "lane": (_lane, corpus.lanes),
        "ipc": (_ipc, corpus.ipc),
        "mux": (_mux, corpus.mux),
        "rpc": (_Rpc(), corpus.rpc),
    }


def run(inputs: int, seed: int, only: str | None = None) -> Report:
    """Feed so many inputs, spread evenly over the targets; stops at the tenth finding."""
    rng, report = random.Random(seed), Report()
    chosen = {name: t for name, t in targets(build()).items() if only in (None, name)}
    findings: list[Finding] = []
    for name, (target, examples) in chosen.items():
        for data in _inputs(rng, examples, inputs // len(chosen)):
            finding = _feed(name, target, data, report)
            if finding is not None:
                findings.append(finding)
            if len(findings) >= 10:
                break
    report.findings = tuple(findings)
    return report


def _feed(name: str, target: Target, data: bytes, report: Report) -> Finding | None:
    report.inputs += 1
    spent_ms = INPUT_CPU_MS_MAX
    for _ in range(SLOW_TRIES):
        began = time.process_time()
        try:
            target(data)
            report.accepted += 1
        except (Rejected, PeerFault):
            pass
        except BaseException as bug:
            return Finding(name, data, repr(bug))
        spent_ms = (time.process_time() - began) * 1_000
        if spent_ms < INPUT_CPU_MS_MAX:
            break
    if spent_ms > report.slowest_ms:
        report.slowest_ms, report.slowest_target = spent_ms, name
    if spent_ms >= INPUT_CPU_MS_MAX:
        return Finding(name, data, f"{spent_ms:.1f} ms of CPU time, limit {INPUT_CPU_MS_MAX}")
    return None


# --- hostile inputs

_HEADERS = tuple(
    bytes.fromhex(text)
    for text in (
        *("dd7fffffff", "dcffff", "c6ffffffff", "c5ffff", "dbffffffff", "daffff"),  # lengths
        *(
            "dfffffffff",
            "deffff",
            "80",
            "c9ffffffff01",
            "d4ff00",
            "cb7ff8000000000000",
            "c1",
        ),  # types
        *("cf0000000000000001", "d3ffffffffffffffff", "cc01", "9f", "90", "c0", "c3", "a0", "c400"),
    )
)
_JSON = (b"NaN", b"1e400", b"\\ud800", b'"a":1,"a":2', b"[" * 64, b"{" * 64, b"\xff", b"0x", b"9" * 400)


def _inputs(rng: random.Random, examples: tuple[bytes, ...], count: int) -> Iterator[bytes]:
    for _ in range(count):
        data = rng.choice(examples)
        for _ in range(rng.choice((1, 1, 1, 2, 4))):
            data = rng.choice(_MUTATIONS)(rng, data, examples)
        yield data


def _flip(rng: random.Random, data: bytes, _: tuple[bytes, ...]) -> bytes:
    if not data:
        return data
    at = rng.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :]


def _set(rng: random.Random, data: bytes, _: tuple[bytes, ...]) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.randbytes(1) + data[at + 1 :]


def _cut(rng: random.Random, data: bytes, _: tuple[bytes, ...]) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _insert(rng: random.Random, data: bytes, _: tuple[bytes, ...]) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.choice(_HEADERS + _JSON) + data[at:]


def _overwrite(rng: random.Random, data: bytes, _: tuple[bytes, ...]) -> bytes:
    at = rng.randrange(len(data) + 1)
    piece = rng.choice(_HEADERS + _JSON)
    return data[:at] + piece + data[at + len(piece) :]


def _splice(rng: random.Random, data: bytes, examples: tuple[bytes, ...]) -> bytes:
    other = rng.choice(examples)
    return data[: rng.randrange(len(data) + 1)] + other[rng.randrange(len(other) + 1) :]


def _repeat(rng: random.Random, data: bytes, _: tuple[bytes, ...]) -> bytes:
    at = rng.randrange(len(data) + 1)
    size = rng.randrange(64)
    return data[:at] + data[at : at + size] * rng.randrange(20) + data[at:]


def _retype(rng: random.Random, data: bytes, _: tuple[bytes, ...]) -> bytes:
    """Change one value inside a canonical tree and encode it again: well-formed, but another type or size."""
    try:
        value = codec.decode(data, 1 << 24)
    except Rejected:
        return data
    return codec.encode(_change(rng, value))


def _change(rng: random.Random, value: codec.Value) -> codec.Value:
    if type(value) is tuple and value and rng.random() < 0.9:
        at = rng.randrange(len(value))
        return (*value[:at], _change(rng, value[at]), *value[at + 1 :])
    if type(value) is bytes and rng.random() < 0.5:
        try:  # a record inside a byte string
            return codec.encode(_change(rng, codec.decode(value, 1 << 24)))
        except Rejected:
            return rng.randbytes(len(value))
    return rng.choice(_ODD)


_ODD: tuple[codec.Value, ...] = (
    None,
    True,
    0,
    -1,
    (1 << 64) - 1,
    -(1 << 63),
    b"",
    bytes(20),
    bytes(33),
    b"\xff" * 64,
    "",
    "\u0000",
    "é" * 100,
    (),
    ((),) * 100,
    tuple(range(1_000)),
    (((((((((((),),),),),),),),),),),
)

_MUTATIONS = (_flip, _set, _cut, _insert, _overwrite, _splice, _repeat, _retype, _retype)
