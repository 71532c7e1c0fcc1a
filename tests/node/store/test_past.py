"""States of earlier blocks: what was asked when a block was the head is answered the same way ever after."""

import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.cluster.founding import CURRENCY_NUMBER, MEMBERS, demo_address
from node.queries import StoredJournal
from node.store.packing import Changes, pack_changes
from node.store.past import PastState
from node.store.state import PRUNED_MAX
from node.store.store import Store
from protocol.merkle.tree import StateTree
from protocol.transition import answer_query
from protocol.types import Height, Seconds
from protocol.vm.view import MemoryState
from tests.node.job_chain import allow_self, order
from tests.node.small_chain import SmallChain
from tests.node.store.chain_maker import ChainMaker

KEYS = st.binary(min_size=1, max_size=3)
WRITES = st.dictionaries(KEYS, st.none() | st.binary(max_size=4), max_size=12)


@given(st.dictionaries(KEYS, st.none() | st.binary(max_size=300), max_size=40), KEYS)
def test_changes_are_found_in_place(changes: dict[bytes, bytes | None], other: bytes) -> None:
    row = memoryview(pack_changes(sorted(changes.items())))
    packed = Changes(row)
    assert dict(packed.items()) == changes and len(packed) == len(changes)
    for key in {*changes, other}:
        at = packed.find(key)
        assert (at is not None) == (key in changes)
        assert at is None or packed.value(at) == changes[key]


@given(st.lists(WRITES, min_size=1, max_size=8), KEYS, KEYS)
def test_an_overlay_of_blocks_is_the_state_before_them(
    blocks: list[dict[bytes, bytes | None]], prefix: bytes, start: bytes
) -> None:
    state, states, undos = MemoryState(), list[dict[bytes, bytes]](), list[Changes]()
    for writes in blocks:
        states.append(state.items())
        undos.append(Changes(pack_changes([(key, state.get(key)) for key in sorted(writes)])))
        state.apply(writes)
    for height, before in enumerate(states):
        past, right = PastState(state, undos[height:]), MemoryState(before)
        assert dict(past.scan(b"")) == before and list(past.scan(b"")) == sorted(before.items())
        for cut in (prefix, prefix[:1], b""):
            assert list(past.scan(cut)) == list(right.scan(cut))
            assert list(past.scan(cut, start)) == list(right.scan(cut, start))
        assert {key: past.get(key) for key in {*before, prefix, start}} == {
            key: right.get(key) for key in {*before, prefix, start}
        }


def ask(chain: SmallChain, height: int) -> list[Any]:
    """Ask one question of each kind: records, scans, totals, statements, jobs."""
    header = chain.store.header(height)
    seconds = Seconds((header.time_ms if header else chain.genesis.time_ms) // 1_000)
    questions: list[tuple[str, str, tuple[Any, ...]]] = [("ledger", "totals", (CURRENCY_NUMBER,))]
    for name in MEMBERS:
        who = demo_address(name)
        account = (who, 2010, CURRENCY_NUMBER, 0)
        questions += [
            ("ledger", "account", (account,)),
            ("ledger", "accounts", (who,)),
            ("ledger", "statement", (account, None, 5)),
            ("assets", "balances", (who,)),
            ("sched", "by_owner", (who,)),
        ]
    questions += [("sched", "due", ()), ("sched", "history", ())]
    with chain.store.view_at(height) as state:
        assert state is not None
        journal = StoredJournal(chain.store)
        return [answer_query(state, seconds, name, query, args, journal) for name, query, args in questions]


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 1 << 32))
def test_an_answer_at_a_height_is_the_one_given_when_it_was_the_head(seed: int) -> None:
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        chain = SmallChain(Path(folder) / "store", int(time.time() * 1_000) - 90_000)
        answers = [ask(chain, 0)]
        chain.commit(allow_self(chain, "ada"))
        answers.append(ask(chain, 1))
        for height in range(2, 12):
            payments = [
                chain.pay(*chance.sample(MEMBERS, 2), chance.randint(1, 10**9), f"{height} {at}")
                for at in range(chance.randint(0, 4))
            ]
            jobs = [order(chain, "ada", "bo", chance.randint(1, 1 << 30), chance.randint(2, 4))]
            chain.commit(*payments, *chance.sample(jobs, chance.randint(0, 1)))
            answers.append(ask(chain, height))
        for height in range(12):
            assert ask(chain, height) == answers[height]
            with chain.store.view_at(height) as state:
                assert state is not None
                header = chain.store.header(height)
                if header is not None:
                    root = StateTree.build(chain.genesis.tree_bits, state.scan(b"")).root
                    assert root == header.state_root
        chain.store.close()


@pytest.fixture
def maker() -> ChainMaker:
    return ChainMaker({b"a": b"0"})


@pytest.fixture
def store(tmp_path: Path, maker: ChainMaker) -> Iterator[Store]:
    Store.create(tmp_path / "chain", maker.genesis, maker.first_state, maker.first_root)
    opened = Store.open(tmp_path / "chain", past_blocks=5)
    yield opened
    opened.close()


def is_kept(store: Store, height: int) -> bool:
    with store.view_at(height) as state:
        if state is not None:
            assert state.get(b"a") == b"%d" % height
        return state is not None


def test_states_are_kept_to_the_limit_and_not_one_more(store: Store, maker: ChainMaker) -> None:
    for height in range(1, 9):
        store.commit_blocks([maker.next((), {b"a": b"%d" % height})])
        kept = [is_kept(store, at) for at in range(height + 1)]
        assert kept == [at >= height - 5 for at in range(height + 1)]
        assert store.oldest_state() == max(0, height - 5)
    assert not is_kept(store, 9), "a height that is not there yet has no state"


def test_a_lower_setting_prunes_a_few_at_a_time(tmp_path: Path, maker: ChainMaker) -> None:
    Store.create(tmp_path / "wide", maker.genesis, maker.first_state, maker.first_root)
    store = Store.open(tmp_path / "wide")
    for height in range(1, 41):
        store.commit_blocks([maker.next((), {b"a": b"%d" % height})])
    store.close()
    store = Store.open(tmp_path / "wide", past_blocks=2)
    assert store.oldest_state() == Height(0)
    store.commit_blocks([maker.next((), {b"a": b"41"})])
    assert store.oldest_state() == PRUNED_MAX
    for height in range(42, 45):
        store.commit_blocks([maker.next((), {b"a": b"%d" % height})])
    assert store.oldest_state() == 42
    store.close()
