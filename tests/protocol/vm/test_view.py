"""The view: a model of a dictionary with marks, scans over cache and state, events, journal, writes."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.chain.receipt import Event
from protocol.codec import encode
from protocol.errors import CallFailed, Code
from protocol.params import EVENTS_PER_TX_MAX
from protocol.types import ContractId
from protocol.vm.view import INSERTED_ONE_BY_ONE_MAX, JournalRow, MemoryState, View

KEYS = [b"a", b"aa", b"ab", b"b", b"ba"]
keys = st.sampled_from(KEYS)
rows = st.none() | st.integers(0, 3).map(lambda n: (1, n))


def state_of(model: dict[bytes, tuple[int, int]]) -> MemoryState:
    return MemoryState({key: encode(row) for key, row in model.items()})


@given(
    st.dictionaries(keys, st.integers(0, 3).map(lambda n: (1, n))),
    st.lists(
        st.lists(st.tuples(keys, rows), max_size=5).flatmap(lambda s: st.tuples(st.just(s), st.booleans()))
    ),
)
def test_view_is_a_dictionary_with_marks(
    start: dict[bytes, tuple[int, int]],
    programs: list[tuple[list[tuple[bytes, tuple[int, int] | None]], bool]],
) -> None:
    view = View(state_of(start))
    model = dict(start)
    for writes, is_aborted in programs:
        mark = view.mark()
        attempt = dict(model)
        for key, row in writes:
            view.put(key, row)
            attempt.pop(key, None)
            if row is not None:
                attempt[key] = row
        if is_aborted:
            view.rewind(mark)
        else:
            model = attempt
        for prefix in (b"", b"a", b"c"):
            expected = [(k, model[k]) for k in sorted(model) if k.startswith(prefix)]
            assert list(view.scan(prefix)) == expected
        assert [k for k, _ in view.scan(b"", b"ab")] == [k for k in sorted(model) if k >= b"ab"]
        assert all(view.get(key) == model.get(key) for key in KEYS)
    changed = view.collect_writes()
    assert list(changed) == sorted(changed)
    assert set(changed) == {key for key in KEYS if start.get(key) != model.get(key)}
    state = state_of(start)
    state.apply(changed)
    assert state.items() == state_of(model).items()


def test_rewind_takes_events_and_journal_back() -> None:
    view = View(MemoryState())
    event, row = Event(ContractId(1), 1, ()), JournalRow(b"a", 1, b"")
    view.emit(event)
    view.journal.append(row)
    mark = view.mark()
    view.emit(event)
    view.journal.append(row)
    view.put(b"k", (1,))
    view.rewind(mark)
    assert (view.events, view.journal, view.collect_writes()) == ([event], [row], {})


def test_events_at_the_limit_and_one_beyond() -> None:
    view = View(MemoryState())
    event = Event(ContractId(1), 1, ())
    for _ in range(EVENTS_PER_TX_MAX):
        view.emit(event)
    with pytest.raises(CallFailed) as failure:
        view.emit(event)
    assert failure.value.code == Code.LIMIT


def test_reads_go_to_the_state_once() -> None:
    class Counting:
        def __init__(self) -> None:
            self.asked: list[bytes] = []

        def get(self, key: bytes) -> bytes | None:
            self.asked.append(key)
            return None

        def scan(self, prefix: bytes, start: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
            return iter(())

    reader = Counting()
    view = View(reader)
    for _ in range(3):
        view.get(b"k")
    view.put(b"k", (1,))
    view.put(b"l", (1,))
    assert reader.asked == [b"k", b"l"]


@pytest.mark.parametrize("count", [INSERTED_ONE_BY_ONE_MAX, INSERTED_ONE_BY_ONE_MAX + 1])
def test_new_keys_are_walked_in_order_one_by_one_and_sorted_together(count: int) -> None:
    view = View(MemoryState())
    view.put(b"m", (1,))
    assert [key for key, _ in view.scan(b"")] == [b"m"]
    new = [bytes([6 * n]) for n in reversed(range(count - 1))]  # before and after what is in its place
    for key in (*new, b"\xff"):
        view.put(key, (1,))
    assert [key for key, _ in view.scan(b"")] == sorted([*new, b"m", b"\xff"])


def test_memory_state_scans_from_a_start() -> None:
    state = MemoryState({b"a1": b"1", b"a3": b"3", b"b": b"4"})
    assert [k for k, _ in state.scan(b"a")] == [b"a1", b"a3"]
    assert [k for k, _ in state.scan(b"a", b"a2")] == [b"a3"]
    state.apply({b"a1": None, b"zz": None, b"a2": b"2"})
    assert [k for k, _ in state.scan(b"")] == [b"a2", b"a3", b"b"]


def test_state_that_somebody_else_wrote_stops_us() -> None:
    for raw in (b"\xc1", b"\x92\x01", b"", b"\x05"):
        with pytest.raises(AssertionError):
            View(MemoryState({b"k": raw})).get(b"k")
