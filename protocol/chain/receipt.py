"""The receipt: what became of a transaction, the same bytes on every node, under the receipts root.

It does not know how the result came about (`vm/execute.py`). Results and events are canonical values whose
meaning is in the schema of the contract that made them.
"""

from dataclasses import dataclass
from typing import TypeAlias

from protocol import codec
from protocol.codec import Reader, Value
from protocol.errors import Code, Reason
from protocol.params import INT64_MAX, TX_GAS_MAX
from protocol.types import ContractId, Gas, Height, TxId

RECEIPT_BYTES_MAX = 1024 * 1024
EVENTS_MAX = 4_096


@dataclass(slots=True, unsafe_hash=True)
class Event:
    """One typed event: fields are those of the schema of (contract, event). Never changed.

    Events and receipts are not frozen only because a frozen dataclass takes four times as long to make, and
    each program makes both.
    """

    contract: ContractId
    event: int
    fields: tuple[Value, ...]


Results: TypeAlias = tuple[Value, ...]


@dataclass(slots=True, unsafe_hash=True)
class Receipt:
    """Tell what became of a transaction. Never changed.

    Args:
        index: position in its block.
        code: 0, or why the program failed.
        gas: gas used.
        results: one value an instruction; empty when failed.
        failed_instruction: index of the instruction that failed; None when none did.
        reason: rule, limit and actual value of a failure; None when none failed.
    """

    tx_id: TxId
    height: Height
    index: int
    code: int
    gas: Gas
    results: Results
    events: tuple[Event, ...]
    failed_instruction: int | None = None
    reason: Reason | None = None

    @property
    def is_ok(self) -> bool:
        """Tell whether the program ran to its end."""
        return self.code == Code.OK

    def encode(self) -> bytes:
        """Encode as it stands under the receipts root."""
        reason = self.reason
        return codec.encode(
            (
                self.tx_id,
                self.height,
                self.index,
                self.code,
                self.gas,
                self.results,
                tuple([(e.contract, e.event, e.fields) for e in self.events]),
                self.failed_instruction,
                None if reason is None else (reason.rule, reason.limit, reason.actual),
            )
        )


def decode_receipt(data: bytes) -> Receipt:
    """Decode a receipt.

    Raises:
        Rejected: `TOO_LARGE`, `MALFORMED`, `NOT_CANONICAL`.
    """
    fields = Reader(codec.decode(data, RECEIPT_BYTES_MAX), "receipt", 9)
    return Receipt(
        TxId(fields.data(32)),
        Height(fields.integer(0, INT64_MAX)),
        fields.uint(32),
        fields.uint(32),
        Gas(fields.integer(0, TX_GAS_MAX)),
        fields.items(EVENTS_MAX),
        fields.records(EVENTS_MAX, _read_event),
        _read_failed(fields.any()),
        _read_reason(fields.any()),
    )


def _read_event(value: Value) -> Event:
    fields = Reader(value, "event", 3)
    return Event(ContractId(fields.uint(16)), fields.uint(16), fields.items(EVENTS_MAX))


def _read_failed(value: Value) -> int | None:
    return None if value is None else Reader((value,), "failed instruction", 1).uint(16)


def _read_reason(value: Value) -> Reason | None:
    if value is None:
        return None
    fields = Reader(value, "reason", 3)
    return Reason(fields.text(128), _read_scalar(fields.any()), _read_scalar(fields.any()))


def _read_scalar(value: Value) -> int | str | bytes | None:
    if value is None or type(value) in (int, str, bytes):
        return value  # type: ignore[return-value]
    return Reader((value,), "reason", 1).integer(0, 0)
