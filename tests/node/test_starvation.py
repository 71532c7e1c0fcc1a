"""Who is left out is seen, said and served; and nobody who is honest is accused."""

import random
from dataclasses import replace

import pytest

from node import starvation
from node.starvation import (
    OPEN_MAX,
    SMALL_BLOCK_TXS,
    STARVE_BLOCKS,
    STARVE_HEIGHTS,
    STARVE_SECONDS,
    SUSPECTS_MAX,
    Attestations,
    Room,
    Suspicion,
    list_left_out,
)
from node.wire import Starve, decode_starve, encode_starve, split
from protocol import crypto
from protocol.chain.block import Block, Header
from protocol.chain.transaction import UNORDERED, SignedTransaction, Transaction, TxSignature, assemble
from protocol.chain.validators import EngineKind, EpochRecord, Validator
from protocol.errors import Rejected
from protocol.params import BLOCK_GAS_MAX, BLOCK_TXS_MAX
from protocol.types import (
    Address,
    EpochNumber,
    Gas,
    Hash32,
    Height,
    PublicKey,
    Seconds,
    Signature,
    TimeMs,
    TxId,
    View,
)

GENESIS = crypto.sha256(b"genesis")

LONG = STARVE_SECONDS


def pay(payer: int, number: int = 0, gas: int = 7_000) -> SignedTransaction:
    actor = Address(payer.to_bytes(20, "big"))
    body = Transaction("t", (actor,), 0, UNORDERED, number, Seconds(9), Gas(gas), 0, ((), ()), b"")
    signature = TxSignature(0, PublicKey(b"\x02" + bytes(32)), 0, Signature(bytes(64)))
    return assemble(body, GENESIS, (signature,))


def block_of(*transactions: SignedTransaction, height: int = 1) -> Block:
    zero, nobody = Hash32(bytes(32)), PublicKey(bytes(33))
    header = Header(
        zero, Height(height), TimeMs(0), EpochNumber(0), View(0), nobody, zero, Height(0),  # type: ignore[arg-type]
        zero, zero, len(transactions), zero, zero, zero, zero, zero,
    )  # fmt: skip
    return Block(header.compute_id(), header, transactions)


def record_of(n: int, engine: EngineKind) -> EpochRecord:
    keys = [PublicKey(bytes((2, i)) + bytes(31)) for i in range(n)]
    validators = tuple(Validator(f"v{i}", key, key) for i, key in enumerate(keys))
    return EpochRecord(EpochNumber(0), engine, Height(1), validators)


VICTIM = pay(1)
SMALL = block_of(pay(2), pay(3))


def passed_over(suspicion: Suspicion, block: Block, times: int, until: float = LONG) -> list[TxId]:
    """Let blocks pass over the victim, the last one at a time; return what starves then."""
    starving: list[SignedTransaction] = []
    for number in range(times + 1):
        starving = suspicion.note_block(block, [VICTIM], until * number / times if times else 0.0)
    return [signed.id for signed in starving]


# --- suspicion


@pytest.mark.parametrize(("blocks", "starves"), [(STARVE_BLOCKS - 1, False), (STARVE_BLOCKS, True)])
def test_what_three_blocks_passed_over_starves(blocks: int, starves: bool) -> None:
    assert passed_over(Suspicion(), SMALL, blocks) == ([VICTIM.id] if starves else [])


@pytest.mark.parametrize(("seconds", "starves"), [(STARVE_SECONDS - 0.01, False), (STARVE_SECONDS, True)])
def test_and_only_after_two_seconds(seconds: float, starves: bool) -> None:
    assert passed_over(Suspicion(), SMALL, STARVE_BLOCKS, seconds) == ([VICTIM.id] if starves else [])


def test_a_small_machine_is_no_censor() -> None:
    """It serves each payer once before any twice, however few it can serve."""
    fair = block_of(*(pay(n) for n in range(2, 2 + SMALL_BLOCK_TXS)))
    assert passed_over(Suspicion(), fair, 9) == []
    greedy = block_of(*(pay(2, n) for n in range(SMALL_BLOCK_TXS)))
    assert passed_over(Suspicion(), greedy, 9) == [VICTIM.id]
    serving = block_of(pay(1, 5), *(pay(2, n) for n in range(SMALL_BLOCK_TXS)))
    assert passed_over(Suspicion(), serving, 9) == []


def test_a_full_block_passes_over_nobody() -> None:
    """By gas and by count, at the limit and one below."""
    gas = int(VICTIM.tx.gas_limit)
    assert passed_over(Suspicion(), block_of(pay(2, gas=BLOCK_GAS_MAX - gas)), 9) == [VICTIM.id]
    assert passed_over(Suspicion(), block_of(pay(2, gas=BLOCK_GAS_MAX - gas + 1)), 9) == []
    one = pay(2)
    assert Room(block_of(*[one] * (BLOCK_TXS_MAX - 1))).fits(VICTIM)
    assert not Room(block_of(*[one] * BLOCK_TXS_MAX)).fits(VICTIM)


def test_who_waits_behind_the_watched_waits_until_they_are_served() -> None:
    suspicion, crowd = Suspicion(), [pay(n) for n in range(10, 10 + SUSPECTS_MAX)]
    for number in range(9):
        starving = suspicion.note_block(SMALL, [*crowd, VICTIM], float(number))
    assert starving == crowd


def test_who_was_served_meanwhile_starts_anew() -> None:
    suspicion = Suspicion()
    passed_over(suspicion, SMALL, STARVE_BLOCKS)
    assert suspicion.note_block(SMALL, [], 9.0) == []
    assert suspicion.note_block(SMALL, [VICTIM], 10.0) == []


# --- attestations


@pytest.mark.parametrize(
    ("n", "engine", "needed"),
    [
        (1, EngineKind.RAFT, 2),
        (3, EngineKind.RAFT, 2),
        (4, EngineKind.BFT, 2),
        (7, EngineKind.BFT, 3),
        (10, EngineKind.BFT, 4),
    ],
)
def test_enough_validators_must_say_so(n: int, engine: EngineKind, needed: int) -> None:
    said = Attestations(record_of(n, engine))
    for validator in range(min(n, needed)):
        assert said.list_attested() == []
        said.hear(validator, [VICTIM.id], Height(5))
        said.hear(validator, [VICTIM.id], Height(6))
    assert said.list_attested() == ([VICTIM.id] if n >= needed else [])


@pytest.mark.parametrize(("after", "is_due"), [(STARVE_HEIGHTS, False), (STARVE_HEIGHTS + 1, True)])
def test_it_is_due_two_heights_after_the_last_that_was_needed(after: int, is_due: bool) -> None:
    said = Attestations(record_of(4, EngineKind.BFT))
    for validator, height in ((0, 3), (1, 7), (2, 9)):
        said.hear(validator, [VICTIM.id], Height(height))
    assert said.list_due(Height(7 + after)) == ([VICTIM.id] if is_due else [])


def test_saying_it_again_makes_it_no_younger_and_silence_takes_it_back() -> None:
    said = Attestations(record_of(3, EngineKind.RAFT))
    for height in range(1, 5):
        said.hear(0, [VICTIM.id], Height(height))
        said.hear(1, [VICTIM.id], Height(height))
    assert said.list_due(Height(4)) == [VICTIM.id]
    said.hear(1, [], Height(5))
    assert said.list_attested() == []


@pytest.mark.parametrize("more", [0, 1])
def test_one_validator_says_little(more: int) -> None:
    said = Attestations(record_of(3, EngineKind.RAFT))
    ids = [pay(n).id for n in range(OPEN_MAX + more)]
    for validator in (0, 1):
        said.hear(validator, ids, Height(1))
    assert said.list_attested() == ids[:OPEN_MAX]
    said.forget(ids)
    assert said.list_attested() == []


def test_all_that_can_be_due_fits_the_smallest_block() -> None:
    for f in range(1, 34):
        n = 3 * f + 1
        assert n * OPEN_MAX // (f + 1) <= SMALL_BLOCK_TXS


def test_what_is_in_it_or_cannot_run_or_does_not_fit_is_not_left_out() -> None:
    def left(block: Block, can_run: bool = True) -> list[SignedTransaction]:
        return list_left_out(block, [VICTIM], lambda _: can_run)

    assert left(SMALL) == [VICTIM]
    assert left(block_of(VICTIM)) == [] and left(SMALL, can_run=False) == []
    assert left(block_of(pay(2, gas=BLOCK_GAS_MAX))) == []


# --- the wire


def test_an_attestation_says_the_same_after_the_way() -> None:
    starve = Starve(
        EpochNumber(3), Height(9), tuple(pay(n).id for n in range(OPEN_MAX)), Signature(bytes(64))
    )
    assert decode_starve(split(encode_starve(starve))[1]) == starve
    more = replace(starve, ids=(*starve.ids, VICTIM.id))
    with pytest.raises(Rejected):
        decode_starve(split(encode_starve(more))[1])
    digests = {
        starve.compute_digest(GENESIS),
        starve.compute_digest(crypto.sha256(b"other")),
        replace(starve, height=Height(8)).compute_digest(GENESIS),
        replace(starve, epoch=EpochNumber(4)).compute_digest(GENESIS),
        more.compute_digest(GENESIS),
    }
    assert len(digests) == 5


# --- I16: the rule as a whole, over a model of both engines


@pytest.mark.parametrize("engine", [EngineKind.RAFT, EngineKind.BFT])
@pytest.mark.parametrize("seed", range(40))
def test_nobody_starves_longer_than_the_bound(engine: EngineKind, seed: int) -> None:
    """Censors hold the office as long as they can, words are lost, and still everybody is served."""
    chance = random.Random(seed)
    n = 3 if engine is EngineKind.RAFT else chance.choice((4, 7))
    record = record_of(n, engine)
    liars = set(chance.sample(range(n), 1 if engine is EngineKind.RAFT else (n - 1) // 3))
    suspicions, said = [Suspicion() for _ in range(n)], [Attestations(record) for _ in range(n)]
    quorum, leader, now, served_at = record.quorum, min(liars), 0.0, -1
    seconds = chance.choice((0.1, 0.5, 1.0))
    for height in range(1, 200):
        now += seconds
        while True:
            due_first = [t for t in said[leader].list_attested() if t == VICTIM.id]
            serves = leader not in liars and (bool(due_first) or chance.random() < 0.5)
            block = block_of(*([VICTIM] if serves else []), pay(2, height), height=height)
            votes = sum(
                i in liars
                or not list_left_out(block, [VICTIM] * bool(said[i].list_due(Height(height))), lambda _: True)
                for i in range(n)
            )
            if votes >= quorum:
                break
            leader = (leader + 1) % n
        if serves:
            served_at = height
            break
        if engine is EngineKind.BFT:
            leader = (leader + 1) % n
        for i in set(range(n)) - liars:
            ids = [s.id for s in suspicions[i].note_block(block, [VICTIM], now)]
            for j in range(n):
                if i == j or chance.random() < 0.7:
                    said[j].hear(i, ids, Height(height + 1))
    waited = -(-STARVE_SECONDS // seconds) + 1
    bound = max(STARVE_BLOCKS + 1, waited) + STARVE_HEIGHTS + 12  # the last: words that were lost
    assert 0 < served_at <= bound


def test_what_fits_beside_header_and_certificate_fits_and_one_byte_more_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    signed = pay(1)
    for size, fits in ((2 * len(signed.raw), True), (2 * len(signed.raw) - 1, False)):
        monkeypatch.setattr(starvation, "BODY_BYTES_MAX", size)
        assert Room(block_of(pay(2))).fits(signed) == fits
