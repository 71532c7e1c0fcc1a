"""Run a fixed history of blocks through the core and print the roots of every block, one line each.

Run as a program, so that interpreter, hash seed and optimisation can differ between runs:

    PYTHONHASHSEED=1 python -O -m tests.determinism.replay

It draws its transactions from digests, not from `random`, so the history is the same everywhere. It includes
failing programs, holds, many actors, unordered and ordered lanes, and transactions that are not admissible.
"""

import hashlib

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
from protocol.contracts.policies import address_of_key
from protocol.crypto import SecretKey
from protocol.merkle.tree import StateTree
from protocol.transition import BlockContext, apply_genesis, build_block, rules_of
from protocol.types import Address, BlockId, EpochNumber, Gas, Height, Seconds, TimeMs
from protocol.vm.view import MemoryState

BLOCKS = 40
TXS_OF_A_BLOCK = 25
PEOPLE = 12
START_MS = 1_750_000_000_000


class Draw:
    """Numbers from a chain of digests."""

    def __init__(self, seed: bytes) -> None:
        self._state = seed

    def below(self, bound: int) -> int:
        """Return a number of 0 .. bound - 1."""
        self._state = hashlib.sha256(self._state).digest()
        return int.from_bytes(self._state[:8], "big") % bound


def _key(number: int) -> SecretKey:
    return SecretKey(hashlib.sha256(b"replay" + bytes([number])).digest())


KEYS = [_key(i) for i in range(PEOPLE)]
ADDRESSES: list[Address] = [address_of_key(crypto.public_key_of(key)) for key in KEYS]


def _genesis() -> Genesis:
    public = crypto.public_key_of(KEYS[0])
    record = EpochRecord(EpochNumber(0), EngineKind.RAFT, Height(1), (Validator("n0", public, public),))
    programs: tuple[Value, ...] = (
        ((), tuple((2, 1, 255, (address,)) for address in ADDRESSES)),
        ((), ((16, 1, 255, ("CNY", "renminbi", 2, 2, 10**15)), (16, 1, 255, ("PTS", "points", 0, 1, 10**9)))),
        ((), ((16, 3, 255, (ADDRESSES[0], 1, 10**12, 10**12, 10**6)),)),
    )
    return Genesis("replay-1", TimeMs(START_MS), record, 8, 3_600, True, programs)


def _program(draw: Draw, me: int, block: int, place: int) -> Value:
    other = ADDRESSES[draw.below(PEOPLE)]
    amount = draw.below(5_000) + 1
    ref = b"%d.%d" % (block, place)
    mine = ADDRESSES[me]
    choices: tuple[tuple[Value, ...], ...] = (
        ((16, 4, 0, (mine, other, 1, amount, ref)),),
        ((16, 7, 0, (mine, other, 1, amount, None)),),
        ((16, 7, 0, (mine, other, 1, amount, b"memo")), (0, 0, 5, (1, 0), amount, 7)),
        ((16, 7, 0, (mine, other, 1, amount, None)), (0, 0, 3, (1, 0), amount, 9)),
        ((16, 8, 0, (mine, 1, (0, (0, ADDRESSES[1], 3), (0, ADDRESSES[2], 4)))),),
        ((16, 5, 0, (mine, ADDRESSES[0], 1, amount, ref)),),
    )
    return ((), choices[draw.below(len(choices))])


def _signed(genesis: Genesis, draw: Draw, block: int, place: int, lanes: dict[int, int]) -> SignedTransaction:
    me = 0 if draw.below(3) == 0 else draw.below(PEOPLE)
    is_ordered = draw.below(3) == 0
    sequence = lanes.get(me, 0) + 1 if is_ordered else draw.below(1 << 40)
    if is_ordered:
        lanes[me] = sequence
    tx = Transaction(
        genesis.name,
        (ADDRESSES[me],),
        0,
        3 if is_ordered else UNORDERED,
        sequence,
        Seconds(START_MS // 1_000 + block + 60),
        Gas(100_000 if draw.below(8) else 400),
        0,
        _program(draw, me, block, place),
    )
    blank = assemble(tx, genesis.compute_hash(), ())
    signature = TxSignature(0, crypto.public_key_of(KEYS[me]), SCHEME_ECDSA, crypto.sign(KEYS[me], blank.id))
    return assemble(tx, genesis.compute_hash(), (signature,))


def replay() -> list[str]:
    """Return one line a block: height, state root, receipts root, codes, hash of the whole state."""
    genesis, draw = _genesis(), Draw(b"history")
    rules = rules_of(genesis)
    state: dict[bytes, bytes] = {}
    tree = StateTree(genesis.tree_bits)
    parent, lanes, lines = BlockId(rules.genesis_hash), dict[int, int](), []
    execution = apply_genesis(genesis)
    for height in range(BLOCKS + 1):
        if height:
            context = BlockContext(
                Height(height),
                TimeMs(START_MS + height * 1_000),
                parent,
                genesis.epoch,
                genesis.epoch.validators[0].consensus_key,
            )
            candidates = [_signed(genesis, draw, height, i, lanes) for i in range(TXS_OF_A_BLOCK)]
            execution, _, _ = build_block(
                MemoryState(state), rules, context, candidates, (), 1_000, 1 << 20, 10**8
            )
        for key, value in execution.writes.items():
            if value is None:
                state.pop(key, None)
            else:
                state[key] = value
        tree.commit(tree.preview(execution.writes))
        parent = BlockId(hashlib.sha256(parent + tree.root).digest())
        codes = ",".join(str(receipt.code) for receipt in execution.receipts)
        whole = codec.encode(tuple((key, state[key]) for key in sorted(state)))
        lines.append(
            f"{height} {tree.root.hex()} {execution.receipts_root.hex()} "
            f"{hashlib.sha256(codes.encode() + whole).hexdigest()} {len(execution.receipts)}"
        )
    return lines


if __name__ == "__main__":
    print("\n".join(replay()))
