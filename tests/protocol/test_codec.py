"""Canonical bytes: the published encodings, the limits, and the promise that nothing else gets in."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import codec
from protocol.codec import Reader, Value
from protocol.errors import Code, Rejected
from protocol.params import DECODE_DEPTH_MAX, DECODE_LIST_ITEMS_MAX, TEXT_BYTES_MAX

SUITE = json.loads((Path(__file__).parents[1] / "vectors/msgpack/msgpack-test-suite.json").read_text())
LIMIT = 1 << 20

scalars = (
    st.none()
    | st.booleans()
    | st.integers(codec.INT_MIN, codec.INT_MAX)
    | st.binary(max_size=300)
    | st.text(max_size=80)
)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=20).map(tuple), max_leaves=60)


def _refusal(data: bytes, limit: int = LIMIT) -> Code:
    with pytest.raises(Rejected) as refused:
        codec.decode(data, limit)
    return Code(refused.value.code)


def _published() -> list[tuple[str, object, bytes]]:
    cases = []
    for group in SUITE.values():
        for case in group:
            kind = "bignum" if "bignum" in case else next(k for k in case if k != "msgpack")
            for spelling in case["msgpack"]:
                cases.append((kind, case[kind], bytes.fromhex(spelling.replace("-", ""))))
    return cases


@pytest.mark.parametrize(("kind", "value", "data"), _published())
def test_published_encodings(kind: str, value: object, data: bytes) -> None:
    """kawanet/msgpack-test-suite: the shortest spelling is read, every other and every other type refused."""
    wanted: object = value
    if kind == "binary":
        wanted = bytes.fromhex(str(value).replace("-", ""))
    elif kind == "bignum":
        wanted = int(str(value))
    elif kind == "array":
        wanted = _to_tuples(value)
    if kind in ("map", "timestamp", "ext") or _holds_map(value) or isinstance(value, float):
        assert _refusal(data) in (Code.MALFORMED, Code.NOT_CANONICAL)
    elif codec.encode(wanted) == data:  # type: ignore[arg-type]
        assert codec.decode(data, LIMIT) == wanted
    else:
        assert _refusal(data) in (Code.MALFORMED, Code.NOT_CANONICAL)


def test_the_published_suite_has_canonical_spellings() -> None:
    """Guard of the test above: it must not pass by refusing everything."""
    read = 0
    for _, _, data in _published():
        try:
            codec.decode(data, LIMIT)
            read += 1
        except Rejected:
            pass
    assert read > 50


def _to_tuples(value: object) -> object:
    return tuple(_to_tuples(v) for v in value) if isinstance(value, list) else value


def _holds_map(value: object) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(_holds_map(v) for v in value))


@given(values)
def test_what_is_written_is_read(value: Value) -> None:
    assert codec.decode(codec.encode(value), LIMIT) == value


@given(st.binary(max_size=200))
def test_garbage_is_rejected_or_canonical(data: bytes) -> None:
    """No bytes from outside raise anything but Rejected, and what is read has no other spelling."""
    try:
        value = codec.decode(data, LIMIT)
    except Rejected:
        return
    assert codec.encode(value) == data


@given(values, st.data())
def test_a_changed_byte_is_another_value(value: Value, data: st.DataObject) -> None:
    encoded = bytearray(codec.encode(value))
    place = data.draw(st.integers(0, len(encoded) - 1))
    encoded[place] ^= data.draw(st.integers(1, 255))
    try:
        assert codec.decode(bytes(encoded), LIMIT) != value
    except Rejected:
        pass


def test_depth_limit() -> None:
    assert codec.decode(b"\x91" * (DECODE_DEPTH_MAX - 1) + b"\x90", LIMIT)
    assert _refusal(b"\x91" * DECODE_DEPTH_MAX + b"\x90") is Code.MALFORMED
    assert _refusal(b"\x91" * 100_000) is Code.MALFORMED


def test_list_limit() -> None:
    at_limit = codec.encode((0,) * DECODE_LIST_ITEMS_MAX)
    assert len(codec.decode(at_limit, LIMIT)) == DECODE_LIST_ITEMS_MAX  # type: ignore[arg-type]
    assert _refusal(codec.encode((0,) * (DECODE_LIST_ITEMS_MAX + 1))) is Code.MALFORMED


def test_size_limit() -> None:
    data = codec.encode(bytes(100))
    assert codec.decode(data, len(data))
    assert _refusal(data, len(data) - 1) is Code.TOO_LARGE


def test_a_claimed_length_allocates_nothing() -> None:
    for header in ("dd7fffffff", "dfffffffff", "c6ffffffff", "dbffffffff", "c9ffffffff01"):
        assert _refusal(bytes.fromhex(header)) is Code.MALFORMED


@pytest.mark.parametrize("value", [{1}, object(), 1 << 64, -(1 << 63) - 1])
def test_encoding_what_cannot_be_said_is_our_bug(value: object) -> None:
    with pytest.raises(AssertionError):
        codec.encode(value)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("", True),
        ("plain", True),
        ("七月份", True),
        ("line\nbreak", False),
        ("\x7f", False),
        ("\x85", False),
        ("\ud800", False),
        ("e\u0301", False),
        ("é", True),
        ("a" * TEXT_BYTES_MAX, True),
        ("a" * (TEXT_BYTES_MAX + 1), False),
        ("é" * (TEXT_BYTES_MAX // 2), True),
        ("é" * (TEXT_BYTES_MAX // 2) + "a", False),
    ],
)
def test_text(text: str, fits: bool) -> None:
    assert codec.is_text(text, TEXT_BYTES_MAX) is fits


def test_reader_takes_fields_in_order() -> None:
    fields = Reader((1, b"ab", None, "x", True, (1, 2)), "record", 6)
    assert fields.integer(0, 1) == 1
    assert fields.data(2) == b"ab"
    assert fields.optional_data(3) is None
    assert fields.text(1) == "x"
    assert fields.flag() is True
    assert fields.records(2, lambda v: v) == (1, 2)
    fields.end()


@pytest.mark.parametrize(
    "take",
    [
        lambda f: f.integer(2, 3),
        lambda f: f.integer(0, 0),
        lambda f: f.uint(0),
        lambda f: f.data(1),
        lambda f: f.data_up_to(9),
        lambda f: f.optional_data(1),
        lambda f: f.text(9),
        lambda f: f.flag(),
        lambda f: f.items(9),
        lambda f: (f.any(), f.any()),
        lambda f: f.end(),
    ],
)
def test_reader_refuses(take) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(Rejected) as refused:
        take(Reader((1,), "record", 1))
    assert refused.value.code == Code.MALFORMED


def test_true_is_not_one() -> None:
    for value in (True, False):
        with pytest.raises(Rejected):
            Reader((value,), "record", 1).integer(0, 1)
