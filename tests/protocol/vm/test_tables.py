"""Keys and tables: layout, order, limits, indexes that follow their records, gas."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import CallFailed, Code
from protocol.params import QUERY_ITEMS_MAX, STATE_KEY_BYTES_MAX, STATE_VALUE_BYTES_MAX
from protocol.vm import gas
from protocol.vm.keys import (
    KeyPart,
    check_layout,
    data_key,
    pack_key,
    table_prefix,
    text_key,
    uint_key,
    unpack_key,
)
from protocol.vm.kinds import U8, U32, Anything, Field
from protocol.vm.tables import Index, Table
from protocol.vm.view import MemoryState, Row, View

LAYOUT = (uint_key("day", 32), data_key("who", 4), text_key("name", 8))


# --- keys


@given(st.tuples(st.integers(0, (1 << 32) - 1), st.binary(min_size=4, max_size=4), st.text(max_size=2)))
def test_keys_round_trip(parts: tuple[int, bytes, str]) -> None:
    prefix = table_prefix(258, 3)
    key = pack_key(prefix, LAYOUT, parts)
    assert key.startswith(b"\x01\x02\x03") and unpack_key(key, LAYOUT) == parts
    assert key.startswith(pack_key(prefix, LAYOUT, parts[:2]))


@given(st.tuples(st.integers(0, (1 << 40) - 1), st.integers(0, (1 << 40) - 1)))
def test_key_order_is_number_order(pair: tuple[int, int]) -> None:
    layout = (uint_key("n", 40),)
    packed = [pack_key(b"", layout, (n,)) for n in pair]
    assert (packed[0] < packed[1]) == (pair[0] < pair[1])


@pytest.mark.parametrize(
    "parts", [(1 << 32,), (-1,), (b"1",), (1, b"123"), (1, b"12345"), (1, "1234"), (1, b"1234", "123456789")]
)
def test_parts_that_do_not_fit_are_our_bug(parts: tuple[KeyPart, ...]) -> None:
    with pytest.raises(AssertionError):
        pack_key(b"", LAYOUT, parts)


def test_layout_at_the_limit_and_one_beyond() -> None:
    assert check_layout((data_key("d", STATE_KEY_BYTES_MAX - 3),)) == STATE_KEY_BYTES_MAX
    with pytest.raises(ValueError):
        check_layout((data_key("d", STATE_KEY_BYTES_MAX - 2),))
    with pytest.raises(ValueError):
        check_layout((text_key("t", 4), uint_key("n", 8)))


# --- tables


def select(_: tuple[KeyPart, ...], row: Row) -> tuple[KeyPart, ...] | None:
    value = row[1]
    assert type(value) is int
    return (value,) if value else None


BY_VALUE = Index(2, "by_value", (uint_key("value", 8),), select)
THINGS: Table[tuple[int, int]] = Table(
    9, 1, "thing", (uint_key("id", 16),), (Field("value", U8),), (BY_VALUE,)
)


def index_rows(view: View) -> list[tuple[KeyPart, ...]]:
    return list(THINGS.scan_index(view, BY_VALUE))


def test_records_and_their_index() -> None:
    view = View(MemoryState())
    for number, value in ((1, 5), (2, 3), (3, 0)):
        THINGS.put(view, THINGS.key(number), (1, value))
    assert [(THINGS.parts(k), row) for k, row in THINGS.scan(view)] == [
        ((1,), (1, 5)),
        ((2,), (1, 3)),
        ((3,), (1, 0)),
    ]
    assert index_rows(view) == [(3, 2), (5, 1)]
    THINGS.put(view, THINGS.key(1), (1, 2))
    THINGS.put(view, THINGS.key(2), (1, 0))
    THINGS.put(view, THINGS.key(3), (1, 9))
    assert index_rows(view) == [(2, 1), (9, 3)]
    assert list(THINGS.scan_index(view, BY_VALUE, 9)) == [(9, 3)]
    THINGS.delete(view, THINGS.key(1))
    THINGS.delete(view, THINGS.key(7))
    assert index_rows(view) == [(9, 3)]
    assert THINGS.get(view, THINGS.key(1)) is None


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5) | st.none(), st.booleans())))
def test_index_never_drifts_even_by_aborts(steps: list[tuple[int, int | None, bool]]) -> None:
    view = View(MemoryState())
    model: dict[int, int] = {}
    for number, value, is_aborted in steps:
        mark = view.mark()
        if value is None:
            THINGS.delete(view, THINGS.key(number))
        else:
            THINGS.put(view, THINGS.key(number), (1, value))
        if is_aborted:
            view.rewind(mark)
        elif value is None:
            model.pop(number, None)
        else:
            model[number] = value
    assert index_rows(view) == sorted((v, n) for n, v in model.items() if v)
    assert [THINGS.parts(k)[0] for k, _ in THINGS.scan(view)] == sorted(model)


def test_gas_of_each_operation() -> None:
    view = View(MemoryState())

    def cost(work: object) -> int:
        before = view.gas_used
        assert callable(work)
        work()
        return view.gas_used - before

    key = THINGS.key(1)
    assert cost(lambda: THINGS.get(view, key)) == THINGS.read_gas == gas.READ
    assert cost(lambda: THINGS.put(view, key, (1, 4))) == THINGS.write_gas + gas.INDEX_ENTRY
    assert cost(lambda: THINGS.put(view, key, (1, 4))) == THINGS.write_gas
    assert cost(lambda: THINGS.delete(view, key)) == gas.DELETE + gas.INDEX_ENTRY
    assert cost(lambda: THINGS.peek(view, key)) == 0
    view.gas_limit = view.gas_used + THINGS.read_gas
    THINGS.get(view, key)
    with pytest.raises(CallFailed) as failure:
        THINGS.get(view, key)
    assert failure.value.code == Code.GAS and view.gas_used == view.gas_limit


def test_record_size_at_the_limit_and_one_beyond() -> None:
    def table(size: int) -> Table[tuple[int]]:
        return Table(9, 1, "t", (), (Field("x", Anything("x", size)),))

    table(STATE_VALUE_BYTES_MAX - 4)
    with pytest.raises(ValueError):
        table(STATE_VALUE_BYTES_MAX - 3)
    with pytest.raises(ValueError):
        Table(9, 1, "t", (data_key("d", 62),), (Field("x", U32),))


# --- pages


def _select_parity(_: tuple[KeyPart, ...], row: Row) -> tuple[KeyPart, ...] | None:
    value = row[1]
    assert type(value) is int
    return (value % 2,)


PARITY = Index(31, "parity", (uint_key("parity", 8),), _select_parity)
NUMBERS: Table[Row] = Table(
    9, 30, "number", (uint_key("group", 8), uint_key("number", 32)), (Field("value", U32),), (PARITY,)
)


@pytest.mark.parametrize("count", [0, QUERY_ITEMS_MAX, QUERY_ITEMS_MAX + 1])
def test_pages_end_at_the_limit_and_continue_after_the_last_key(count: int) -> None:
    view = View(MemoryState())
    for number in range(count):
        NUMBERS.put(view, NUMBERS.key(1, number), (1, 2 * number))
    NUMBERS.put(view, NUMBERS.key(2, 0), (1, 1))
    first = NUMBERS.page_rows(view, 1)
    assert [key for key, _ in first] == [(1, n) for n in range(min(count, QUERY_ITEMS_MAX))]
    assert NUMBERS.page(view, PARITY, 0) == first
    assert NUMBERS.page_keys(view, PARITY, 0) == tuple(key for key, _ in first)
    if first:
        rest = [(1, n) for n in range(QUERY_ITEMS_MAX, count)]
        assert [key for key, _ in NUMBERS.page_rows(view, 1, after=first[-1][0][1:])] == rest
        assert [key for key, _ in NUMBERS.page(view, PARITY, 0, after=first[-1][0])] == rest
