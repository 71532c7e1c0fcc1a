"""Kinds: what they hold, what they accept, how large they can become."""

import pytest

from protocol.codec import Value, encode
from protocol.vm.kinds import (
    ADDRESS,
    AMOUNT,
    BOOL,
    HASH,
    POSITIVE,
    U8,
    U16,
    U32,
    U63,
    Anything,
    Data,
    Field,
    Fields,
    Integer,
    Kind,
    Many,
    Maybe,
    Text,
)

PAIR = Fields((Field("a", U8), Field("b", ADDRESS)))
SHORT = Text("short", 4)


@pytest.mark.parametrize(
    "kind, inside, outside",
    [
        (U8, [0, 255], [-1, 256, True, "1", b"1", None, ()]),
        (POSITIVE, [1, (1 << 63) - 1], [0, 1 << 63]),
        (Integer("signed", -5, 5), [-5, 5], [-6, 6]),
        (ADDRESS, [bytes(20)], [bytes(19), bytes(21), "a" * 20, None]),
        (Data("d", 0, 2), [b"", b"ab"], [b"abc"]),
        (SHORT, ["", "abcd", "\u00e9\u00e9"], ["abcde", "\u00e9\u00e9\u00e9", "a\n", "e\u0301", b"a"]),
        (BOOL, [True, False], [0, 1, None]),
        (Maybe(U8), [None, 3], [256, b""]),
        (Many(U8, 2, 1), [(1,), (1, 2)], [(), (1, 2, 3), (256,), [1], 1]),
        (PAIR, [(1, bytes(20))], [(1,), (1, bytes(20), 1), (256, bytes(20)), (1, b""), None]),
        (Anything("any", 9), [None, 1, (1, (2,))], []),
    ],
)
def test_holds(kind: Kind, inside: list[Value], outside: list[Value]) -> None:
    assert all(kind.holds(value) for value in inside)
    assert not any(kind.holds(value) for value in outside)


@pytest.mark.parametrize(
    "wide, narrow",
    [
        (U16, U8),
        (U63, U32),
        (AMOUNT, POSITIVE),
        (Maybe(U16), U8),
        (Maybe(U16), Maybe(U8)),
        (Data("d", 0, 40), HASH),
        (Text("t", 5), SHORT),
        (Many(U16, 3), Many(U8, 2, 1)),
        (Fields((Field("x", U16), Field("y", ADDRESS))), PAIR),
    ],
)
def test_accepts_one_way(wide: Kind, narrow: Kind) -> None:
    assert wide.accepts(wide) and narrow.accepts(narrow) and wide.accepts(narrow)
    assert not narrow.accepts(wide)
    assert not BOOL.accepts(narrow) and BOOL.accepts(BOOL)


def test_a_maybe_is_not_a_value() -> None:
    assert not U8.accepts(Maybe(U8))
    assert Anything("policy", 1).accepts(Anything("policy", 9))
    assert not Anything("policy", 1).accepts(Anything("other", 1))
    assert not PAIR.accepts(Fields((Field("a", U8),))) and not PAIR.accepts(U8)


@pytest.mark.parametrize(
    "kind, largest",
    [
        (U63, (1 << 63) - 1),
        (Integer("small", 0, 127), 127),
        (HASH, bytes(32)),
        (Data("d", 0, 300), bytes(300)),
        (SHORT, "\u00e9\u00e9"),
        (Many(HASH, 30), (bytes(32),) * 30),
        (PAIR, (255, bytes(20))),
        (Maybe(HASH), bytes(32)),
    ],
)
def test_size_is_never_below_the_largest_value(kind: Kind, largest: Value) -> None:
    assert len(encode(largest)) <= kind.size_bytes_max


def test_names() -> None:
    assert Maybe(U8).name == "u8?"
    assert Many(U8, 3).name == "[u8 x 0..3]"
    assert PAIR.name == "[a u8, b address]"
