"""The language between gateway and daemon: requests, answers and one notice, as canonical bytes.

Both ends are of one version and one user, still nothing is believed that does not decode. What the daemon
does with a request is `daemon.py`; what a member sees of it is `rpc/`.

An envelope is `(request id, kind, fields)`. Id 0 is a notice, which nobody answers. An answer carries the id
of its request; answers may come in any order.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias, cast

from node.ipc.frames import FRAME_BYTES_MAX, frame
from protocol import codec
from protocol.chain.evidence import EVIDENCE_BYTES_MAX
from protocol.codec import Reader, Value
from protocol.errors import Code, Rejected
from protocol.merkle.proof import StateProof
from protocol.params import INT64_MAX, STATE_KEY_BYTES_MAX, TX_SIGNED_BYTES_MAX
from protocol.types import Height, TimeMs

SUBMIT_TXS_MAX: Final = 2_000
PEERS_LISTED_MAX: Final = 1_024
WARNINGS_MAX: Final = 64
SAMPLES_MAX: Final = 4_096
DETAIL_BYTES_MAX: Final = 4_096
NOTICE_ID: Final = 0
MICRO: Final = 1_000_000
"""Samples travel as whole millionths, because canonical bytes know no fractions."""


# --- requests


@dataclass(frozen=True, slots=True)
class Submit:
    """Ask to take signed transactions into the mempool, in this order."""

    transactions: tuple[bytes, ...]

    def to_value(self) -> Value:
        """Return the fields."""
        return (self.transactions,)


@dataclass(frozen=True, slots=True)
class AskStatus:
    """Ask how the node is."""

    def to_value(self) -> Value:
        """Return the fields."""
        return ()


@dataclass(frozen=True, slots=True)
class AskPeers:
    """Ask who is connected."""

    def to_value(self) -> Value:
        """Return the fields."""
        return ()


@dataclass(frozen=True, slots=True)
class Prove:
    """Ask for the value and the proof of a state key at the height of the head."""

    key: bytes

    def to_value(self) -> Value:
        """Return the fields."""
        return (self.key,)


@dataclass(frozen=True, slots=True)
class Accuse:
    """Ask to take evidence against a validator, as canonical bytes; answered by `Done` or `Refused`."""

    evidence: bytes

    def to_value(self) -> Value:
        """Return the fields."""
        return (self.evidence,)


@dataclass(frozen=True, slots=True)
class Admin:
    """Ask for an act of the operator.

    Args:
        command: `handover` (lay down the lead), `shutdown`, `log` (argument: level), `check` (argument: the
            height of a block of which the gateway has met a damaged row); on chains of development
            `cut` (arguments: the node keys in hex whose frames are dropped in both directions; none heals)
            and `clock` (argument: by how many milliseconds the clock shall be ahead; never less than before).
    """

    command: str
    arguments: tuple[str, ...] = ()

    def to_value(self) -> Value:
        """Return the fields."""
        return (self.command, self.arguments)


# --- answers


@dataclass(frozen=True, slots=True)
class Verdict:
    """Say what became of one submitted transaction: code 0 or `EXISTS` when it is in, else why not."""

    code: int
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Submitted:
    """Give one verdict a transaction, in the order of the request."""

    verdicts: tuple[Verdict, ...]

    def to_value(self) -> Value:
        """Return the fields."""
        return (tuple((v.code, v.detail) for v in self.verdicts),)


@dataclass(frozen=True, slots=True)
class Sample:
    """One measured number for /metrics.

    Args:
        name: without the prefix `coopd_`, with its unit, such as `commit_seconds_sum`.
        labels: pairs of name and value.
        micro: value in millionths.
    """

    name: str
    micro: int
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Status:
    """Tell how the node is.

    Args:
        height: last committed block.
        time_ms: its block time; 0 before the first.
        target_height: highest height seen anywhere; above `height` while the node catches up.
        role: leader, follower or candidate (Raft); proposer or validator (BFT); observer.
        leader: operator who leads or proposes, empty when unknown.
        view: Raft term or BFT round.
        peers: connected now.
        peers_known: of the roster, without this node.
        mempool_txs: waiting transactions.
        mempool_oldest_ms: age of the oldest one.
        last_commit_ms: from proposal to commit of the last block.
        ready: whether the node follows the chain and sees a quorum.
        warnings: one sentence each.
        epoch: that certifies the next block.
        protocol: its engine, raft or bft.
    """

    operator: str
    version: str
    height: Height
    time_ms: TimeMs
    target_height: Height
    role: str
    leader: str
    view: int
    peers: int
    peers_known: int
    mempool_txs: int
    mempool_bytes: int
    mempool_oldest_ms: int
    last_commit_ms: int
    ready: bool
    warnings: tuple[str, ...] = ()
    samples: tuple[Sample, ...] = ()
    epoch: int = 0
    protocol: str = ""

    def to_value(self) -> Value:
        """Return the fields."""
        return (
            self.operator,
            self.version,
            self.height,
            self.time_ms,
            self.target_height,
            self.role,
            self.leader,
            self.view,
            self.peers,
            self.peers_known,
            self.mempool_txs,
            self.mempool_bytes,
            self.mempool_oldest_ms,
            self.last_commit_ms,
            self.ready,
            self.warnings,
            tuple((s.name, s.micro, s.labels) for s in self.samples),
            self.epoch,
            self.protocol,
        )


@dataclass(frozen=True, slots=True)
class PeerState:
    """Tell of one node of the roster.

    Args:
        rtt_us: round trip in microseconds; 0 when unknown.
    """

    operator: str
    node_key: bytes
    address: str
    connected: bool
    inbound: bool = False
    rtt_us: int = 0
    bytes_in: int = 0
    bytes_out: int = 0

    def to_value(self) -> Value:
        """Return the fields."""
        return (
            self.operator,
            self.node_key,
            self.address,
            self.connected,
            self.inbound,
            self.rtt_us,
            self.bytes_in,
            self.bytes_out,
        )


@dataclass(frozen=True, slots=True)
class Peers:
    """List the nodes of the roster."""

    peers: tuple[PeerState, ...]

    def to_value(self) -> Value:
        """Return the fields."""
        return (tuple(p.to_value() for p in self.peers),)


@dataclass(frozen=True, slots=True)
class Proved:
    """Give what a state key holds at a height, with its proof; None is absence."""

    height: Height
    value: bytes | None
    proof: StateProof

    def to_value(self) -> Value:
        """Return the fields."""
        return (self.height, self.value, self.proof.to_value())


@dataclass(frozen=True, slots=True)
class Done:
    """Say that the act is done."""

    def to_value(self) -> Value:
        """Return the fields."""
        return ()


@dataclass(frozen=True, slots=True)
class Refused:
    """Say that the request cannot be carried out: a kernel code and a sentence."""

    code: int
    detail: str

    def to_value(self) -> Value:
        """Return the fields."""
        return (self.code, self.detail)


# --- notice


@dataclass(frozen=True, slots=True)
class Committed:
    """Tell that everything up to this height can be read from disk; notices in between may be left out."""

    height: Height

    def to_value(self) -> Value:
        """Return the fields."""
        return (self.height,)


Request: TypeAlias = Submit | AskStatus | AskPeers | Prove | Accuse | Admin
Answer: TypeAlias = Submitted | Status | Peers | Proved | Done | Refused
Message: TypeAlias = Request | Answer | Committed


def encode_message(request_id: int, message: Message) -> bytes:
    """Encode a message with the frame around it."""
    return frame(codec.encode((request_id, _KINDS[type(message)], message.to_value())))


def decode_message(data: bytes) -> tuple[int, Message]:
    """Decode one frame into the request id and the message.

    Raises:
        Rejected: `MALFORMED`, `NOT_CANONICAL`, `TOO_LARGE`.
    """
    fields = Reader(codec.decode(data, FRAME_BYTES_MAX), "message", 3)
    request_id = fields.uint(32)
    kind = fields.integer(0, len(_READERS) - 1)
    return request_id, _READERS[kind][1](fields.any())


def decode_request(data: bytes) -> tuple[int, Request]:
    """Decode a frame that must be a request.

    Raises:
        Rejected: as `decode_message`, and `MALFORMED` for another kind.
    """
    request_id, message = decode_message(data)
    if not isinstance(message, Request):
        raise Rejected(Code.MALFORMED, f"{type(message).__name__} is no request")
    return request_id, message


def _read_submit(value: Value) -> Submit:
    fields = Reader(value, "submit", 1)
    return Submit(fields.records(SUBMIT_TXS_MAX, _read_raw))


def _read_raw(value: Value) -> bytes:
    # Anything a member sent may stand here: only the size is bounded, the mempool says what is wrong with it.
    return Reader((value,), "transaction", 1).data_up_to(2 * TX_SIGNED_BYTES_MAX)


def _read_nothing(value: Value) -> None:
    Reader(value, "empty message", 0)


def _read_ask_status(value: Value) -> AskStatus:
    _read_nothing(value)
    return AskStatus()


def _read_ask_peers(value: Value) -> AskPeers:
    _read_nothing(value)
    return AskPeers()


def _read_prove(value: Value) -> Prove:
    return Prove(Reader(value, "prove", 1).data_up_to(STATE_KEY_BYTES_MAX))


def _read_accuse(value: Value) -> Accuse:
    return Accuse(Reader(value, "accuse", 1).data_up_to(EVIDENCE_BYTES_MAX))


def _read_admin(value: Value) -> Admin:
    fields = Reader(value, "admin", 2)
    return Admin(fields.text(32), fields.records(PEERS_LISTED_MAX, _read_argument))


def _read_argument(value: Value) -> str:
    return Reader((value,), "argument", 1).text(128)


def _read_submitted(value: Value) -> Submitted:
    return Submitted(Reader(value, "submitted", 1).records(SUBMIT_TXS_MAX, _read_verdict))


def _read_verdict(value: Value) -> Verdict:
    fields = Reader(value, "verdict", 2)
    return Verdict(fields.uint(32), fields.text(DETAIL_BYTES_MAX))


def _read_status(value: Value) -> Status:
    fields = Reader(value, "status", 19)
    return Status(
        fields.text(64),
        fields.text(64),
        Height(fields.integer(0, INT64_MAX)),
        TimeMs(fields.integer(0, INT64_MAX)),
        Height(fields.integer(0, INT64_MAX)),
        fields.text(32),
        fields.text(64),
        fields.integer(0, INT64_MAX),
        fields.uint(32),
        fields.uint(32),
        fields.uint(32),
        fields.integer(0, INT64_MAX),
        fields.integer(0, INT64_MAX),
        fields.integer(0, INT64_MAX),
        fields.flag(),
        fields.records(WARNINGS_MAX, lambda v: Reader((v,), "warning", 1).text(DETAIL_BYTES_MAX)),
        fields.records(SAMPLES_MAX, _read_sample),
        fields.uint(32),
        fields.text(32),
    )


def _read_sample(value: Value) -> Sample:
    fields = Reader(value, "sample", 3)
    return Sample(
        fields.text(128), fields.integer(codec.INT_MIN, codec.INT_MAX), fields.records(16, _read_label)
    )


def _read_label(value: Value) -> tuple[str, str]:
    fields = Reader(value, "label", 2)
    return fields.text(64), fields.text(128)


def _read_peers(value: Value) -> Peers:
    return Peers(Reader(value, "peers", 1).records(PEERS_LISTED_MAX, _read_peer))


def _read_peer(value: Value) -> PeerState:
    fields = Reader(value, "peer", 8)
    return PeerState(
        fields.text(64),
        fields.data(33),
        fields.text(256),
        fields.flag(),
        fields.flag(),
        fields.integer(0, INT64_MAX),
        fields.integer(0, INT64_MAX),
        fields.integer(0, INT64_MAX),
    )


def _read_proved(value: Value) -> Proved:
    fields = Reader(value, "proved", 3)
    height = Height(fields.integer(0, INT64_MAX))
    held = fields.any()
    if held is not None and type(held) is not bytes:
        raise Rejected(Code.MALFORMED, "proved: neither nil nor bytes")
    return Proved(height, held, StateProof.from_value(fields.any()))


def _read_done(value: Value) -> Done:
    _read_nothing(value)
    return Done()


def _read_refused(value: Value) -> Refused:
    fields = Reader(value, "refused", 2)
    return Refused(fields.uint(32), fields.text(DETAIL_BYTES_MAX))


def _read_committed(value: Value) -> Committed:
    return Committed(Height(Reader(value, "committed", 1).integer(0, INT64_MAX)))


_READERS: Final = cast(
    "tuple[tuple[type[Message], Callable[[Value], Message]], ...]",
    (
        (Submit, _read_submit),
        (AskStatus, _read_ask_status),
        (AskPeers, _read_ask_peers),
        (Prove, _read_prove),
        (Accuse, _read_accuse),
        (Admin, _read_admin),
        (Submitted, _read_submitted),
        (Status, _read_status),
        (Peers, _read_peers),
        (Proved, _read_proved),
        (Done, _read_done),
        (Refused, _read_refused),
        (Committed, _read_committed),
    ),
)
_KINDS: Final[dict[type[Message], int]] = {kind: number for number, (kind, _) in enumerate(_READERS)}
