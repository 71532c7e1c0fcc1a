"""Messages: each kind survives its bytes; other bytes are Rejected and nothing else."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.ipc.frames import FrameReader
from node.ipc.messages import (
    DETAIL_BYTES_MAX,
    PEERS_LISTED_MAX,
    SAMPLES_MAX,
    SUBMIT_TXS_MAX,
    WARNINGS_MAX,
    Accuse,
    Admin,
    AskPeers,
    AskStatus,
    Committed,
    Done,
    Message,
    Peers,
    PeerState,
    Prove,
    Proved,
    Refused,
    Sample,
    Status,
    Submit,
    Submitted,
    Verdict,
    decode_message,
    decode_request,
    encode_message,
)
from protocol import codec
from protocol.errors import Code, Rejected
from protocol.merkle.proof import StateProof
from protocol.types import Height, TimeMs

STATUS = Status(
    "n1",
    "0.1.0",
    Height(7),
    TimeMs(1),
    Height(9),
    "leader",
    "n1",
    3,
    2,
    2,
    5,
    1_000,
    10,
    40,
    True,
    ("one warning",),
    (Sample("commit_seconds_sum", 1_500_000, (("phase", "sync"),)),),
)
EVERY: list[Message] = [
    Submit((b"", b"abc")),
    AskStatus(),
    AskPeers(),
    Prove(b"\x00\x01"),
    Accuse(b"evidence"),
    Admin("cut", ("02ab", "03cd")),
    Submitted((Verdict(0), Verdict(30, "signature 0 does not hold"))),
    STATUS,
    Peers((PeerState("n2", bytes(33), "127.0.0.1:9400", True, False, 80, 1, 2),)),
    Proved(Height(3), None, StateProof(b"", ())),
    Proved(Height(3), b"value", StateProof(bytes(64), (bytes(480),))),
    Done(),
    Refused(int(Code.FULL), "the mempool is full"),
    Committed(Height(12)),
]


def unframed(data: bytes) -> bytes:
    return FrameReader().feed(data)[0]


PEER = PeerState("n2", bytes(33), "127.0.0.1:9400", True, False, 80, 1, 2)


@pytest.mark.parametrize(
    ("limit", "make"),
    [
        (DETAIL_BYTES_MAX, lambda n: Refused(int(Code.FULL), "x" * n)),
        (DETAIL_BYTES_MAX, lambda n: Submitted((Verdict(30, "x" * n),))),
        (DETAIL_BYTES_MAX, lambda n: replace(STATUS, warnings=("x" * n,))),
        (WARNINGS_MAX, lambda n: replace(STATUS, warnings=("x",) * n)),
        (SAMPLES_MAX, lambda n: replace(STATUS, samples=STATUS.samples * n)),
        (PEERS_LISTED_MAX, lambda n: Peers((PEER,) * n)),
        (PEERS_LISTED_MAX, lambda n: Admin("cut", ("02ab",) * n)),
    ],
)
def test_what_a_message_lists_at_the_limit_and_one_above(limit: int, make: Callable[[int], Message]) -> None:
    assert decode_message(unframed(encode_message(1, make(limit)))) == (1, make(limit))
    with pytest.raises(Rejected):
        decode_message(unframed(encode_message(1, make(limit + 1))))


@pytest.mark.parametrize("message", EVERY, ids=lambda m: type(m).__name__)
def test_a_message_survives_its_bytes(message: Message) -> None:
    assert decode_message(unframed(encode_message(77, message))) == (77, message)


def test_every_kind_is_tried_here() -> None:
    from node.ipc.messages import _KINDS

    assert {type(message) for message in EVERY} == set(_KINDS)


@pytest.mark.parametrize("message", EVERY, ids=lambda m: type(m).__name__)
def test_only_requests_are_taken_as_requests(message: Message) -> None:
    data = unframed(encode_message(1, message))
    if isinstance(message, Submit | AskStatus | AskPeers | Prove | Accuse | Admin):
        assert decode_request(data) == (1, message)
    else:
        with pytest.raises(Rejected):
            decode_request(data)


def test_a_submission_holds_so_many_transactions_and_no_more() -> None:
    full = Submit((b"",) * SUBMIT_TXS_MAX)
    assert decode_message(unframed(encode_message(1, full)))[1] == full
    with pytest.raises(Rejected):
        decode_message(unframed(encode_message(1, Submit((b"",) * (SUBMIT_TXS_MAX + 1)))))


@given(st.binary(max_size=200))
def test_other_bytes_are_rejected_and_nothing_else(data: bytes) -> None:
    try:
        decode_message(data)
    except Rejected:
        pass


_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 300) | st.binary(max_size=40) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=8).map(tuple),
    max_leaves=20,
)


@given(st.integers(0, 20), _values)
def test_any_fields_of_any_kind_are_a_message_or_rejected(kind: int, fields: codec.Value) -> None:
    try:
        decode_message(codec.encode((1, kind, fields)))
    except Rejected:
        pass
