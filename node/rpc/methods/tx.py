"""Transactions: submit, wait, look up, prove, list, simulate.

Sending the same transaction again is always safe: its id does not depend on when it is sent, and the second
time it gets the first result.
"""

from typing import Annotated, Any

import msgspec

from node.job_proof import HISTORY_KEY, decode_job_proof
from node.rpc.dispatch import Method, Scope
from node.rpc.events import read_cursor
from node.rpc.failure import RpcFailure, failure_of_rejection
from node.rpc.forms import Form, ReceiptForm, SealForm, TxForm, find_job, receipt_form, transaction_form
from node.rpc.methods.epochs import seal_form
from node.rpc.methods.params import AddressParam, At, CursorParam, Hex, Limit, Params, TxIdParam
from node.rpc.service import Call
from node.rpc.values import from_hex, read_address, to_hex
from node.store.sound import Found, SoundReader
from protocol import codec
from protocol.addresses import format_tx_id, parse_tx_id
from protocol.chain.receipt import decode_receipt
from protocol.chain.transaction import (
    SignedTransaction,
    compute_tx_id,
    decode_signed,
    decode_transaction,
    peek_id,
)
from protocol.errors import Code, Rejected
from protocol.merkle.proof import prove_item
from protocol.params import JOB_INDEX_FIRST, TX_SIGNED_BYTES_MAX
from protocol.transition import BlockContext, rules_of, simulate
from protocol.types import BlockId, Height, TimeMs, TxId

WAIT_MS_MAX = 30_000
_ERRORS = ("tx.not_canonical", "tx.bad_signature", "tx.expired", "tx.mempool_full", "node.not_ready")
_UNKNOWN = ("tx.unknown", "chain.damaged")


class TxParams(Params):
    """A signed transaction."""

    tx: Hex


class TrialParams(Params):
    """A transaction, and after which height to try it."""

    tx: Hex
    at: At = None


class WaitParams(Params):
    """A signed transaction, and how long to wait."""

    tx: Hex
    timeout_ms: Annotated[int, msgspec.Meta(ge=0, le=WAIT_MS_MAX)] = 10_000


class IdParams(Params):
    """A transaction id, and how long to wait for its commit."""

    id: TxIdParam
    wait_ms: Annotated[int, msgspec.Meta(ge=0, le=WAIT_MS_MAX)] = 0


class ReceiptParams(Params):
    """A transaction id, and whether to prove the receipt."""

    id: TxIdParam
    prove: bool = False


class ListParams(Params):
    """Whose transactions, from where."""

    address: AddressParam
    limit: Limit = 30
    cursor: CursorParam = None


class BodyParams(Params):
    """The canonical bytes of an unsigned transaction."""

    tx: Hex


class Submitted(Form):
    """The node took it; `pending` until a block holds it."""

    id: str
    received_height: int
    status: str


class TxState(Form):
    """Where a transaction stands, or the run of a job: that has no transaction, but the number of its job."""

    id: str
    status: str
    height: int | None
    index: int | None
    transaction: TxForm | None
    receipt: ReceiptForm | None
    job: int | None = None


class RunProofForm(Form):
    """What the state says of the jobs of a block: the value of `sched.history` with its way to the root.

    `runs` is the number of jobs that ran in the block.
    """

    runs: int
    key: str
    value: str
    page: str
    siblings: list[str]


class ReceiptBundle(Form):
    """A receipt with everything that proves it to one who knows the genesis hash.

    `proof` is the way from the receipt to the receipts root in the header, leaf first; for the run of a job,
    to the root that `job` proves. `seals` lead from the validators of genesis to those who certified the
    header.
    """

    genesis_hash: str
    receipt: ReceiptForm
    header: str | None = None
    certificate: str | None = None
    proof: list[str] | None = None
    seals: list[SealForm] | None = None
    job: RunProofForm | None = None


class TxPage(Form):
    """Transactions, newest first; `cursor` leads to older ones."""

    items: list[TxState]
    cursor: str | None


class SignBytes(Form):
    """What a key signs."""

    id: str
    digest: str
    body: str


async def submit(call: Call, params: TxParams) -> Submitted:
    """Take a transaction; repeats return the same id."""
    raw = from_hex(params.tx, "tx")
    tx_id = peek_id(raw, call.facts.genesis_hash)
    verdict = await call.service.submit(raw)
    if verdict.code not in (Code.OK, Code.EXISTS):
        raise failure_of_rejection(verdict.code, verdict.detail, id=to_hex(tx_id))
    call.service.remember(tx_id, raw)
    return Submitted(to_hex(tx_id), call.height, "pending")


async def submit_and_wait(call: Call, params: WaitParams) -> ReceiptForm:
    """Take a transaction and wait until it is committed."""
    raw = from_hex(params.tx, "tx")
    tx_id = peek_id(raw, call.facts.genesis_hash)
    await submit(call, TxParams(params.tx))
    receipt = await call.service.wait_receipt(tx_id, params.timeout_ms / 1_000)
    if receipt is None:
        raise RpcFailure("node.timeout", waited=params.timeout_ms, id=format_tx_id(tx_id))
    return receipt_form(receipt, call.facts)


async def get(call: Call, params: IdParams) -> TxState:
    """Say where a transaction stands."""
    tx_id = read_id(params.id)
    if params.wait_ms:
        await call.service.wait_receipt(tx_id, params.wait_ms / 1_000)
    state = find_committed(call, tx_id) if params.wait_ms == 0 else _find_any(call, tx_id)
    if state is not None:
        return state
    raw = call.service.recall(tx_id)
    if raw is None:
        raise RpcFailure("tx.unknown", id=format_tx_id(tx_id))
    signed = decode_signed(raw, call.facts.genesis_hash)
    head = call.store.head()
    status = "pending" if signed.tx.valid_until * 1_000 >= head.time_ms else "expired"
    return TxState(to_hex(tx_id), status, None, None, transaction_form(signed, call.facts), None)


async def get_receipt(call: Call, params: ReceiptParams) -> ReceiptBundle:
    """Return a receipt; with `prove` also everything that proves it."""
    tx_id = read_id(params.id)
    with call.sound() as chain:
        found = find_done(call, chain, tx_id)
        form = receipt_form(decode_receipt(found.receipt), call.facts)
        genesis_hash = to_hex(call.facts.genesis_hash)
        if not params.prove:
            return ReceiptBundle(genesis_hash, form)
        header, at = found.header, found.index
        raws = chain.runs(header) if found.is_job else chain.receipts(header)
        return ReceiptBundle(
            genesis_hash,
            form,
            to_hex(header.encode()),
            to_hex(chain.certificate(header)[0].encode()),
            [to_hex(step) for step in prove_item(raws, at - JOB_INDEX_FIRST if found.is_job else at).path],
            [seal_form(chain.seal(number)) for number in range(1, header.epoch + 1)],
            _run_proof(chain.run_proof(header), len(raws)) if found.is_job else None,
        )


def _run_proof(data: bytes, runs: int) -> RunProofForm:
    proven = decode_job_proof(data)
    page, siblings = to_hex(proven.proof.page), [to_hex(level) for level in proven.proof.siblings]
    return RunProofForm(runs, to_hex(HISTORY_KEY), to_hex(proven.value), page, siblings)


async def list_for(call: Call, params: ListParams) -> TxPage:
    """List the transactions and runs of jobs that touched an account, newest first."""
    address = read_address(params.address, call.facts.hrp)
    before = (call.height + 1, 0)
    if params.cursor is not None:
        cursor_before = read_cursor(params.cursor)
        before = min(before, (cursor_before.height, cursor_before.index))
    places = call.store.account_transactions(address, before, params.limit)
    items = [state for place in places if (state := find_committed(call, place.tx_id)) is not None]
    cursor = f"{places[-1].height}.{places[-1].index}" if len(places) == params.limit else None
    return TxPage(items, cursor)


async def simulate_tx(call: Call, params: TrialParams) -> ReceiptForm:
    """Return the receipt that a transaction would have after a height; it may lack its signatures."""
    signed = _decode_any(from_hex(params.tx, "tx"), call)
    rules = rules_of(call.facts.genesis)
    height = call.state_height_of(params.at)
    record, header = call.store.epoch_at(height + 1), call.store.header(height)
    context = BlockContext(
        Height(height + 1),
        TimeMs(call.time_ms_of(height) + 1_000),
        BlockId(call.facts.genesis_hash) if header is None else header.compute_id(),
        record,
        record.validators[0].consensus_key,
    )
    with call.state(height) as state:
        receipt = simulate(state, rules, context, signed)
    return receipt_form(receipt, call.facts)


async def get_sign_bytes(call: Call, params: BodyParams) -> SignBytes:
    """Return the digest that keys sign, for the canonical bytes of a transaction."""
    body = from_hex(params.tx, "tx")
    decode_transaction(body)
    tx_id = compute_tx_id(body, call.facts.genesis_hash)
    return SignBytes(format_tx_id(tx_id), to_hex(tx_id), to_hex(body))


def find_done(call: Call, chain: SoundReader, tx_id: TxId) -> Found:
    """Return a transaction or the run of a job that stands in a block at or below the height of the call.

    Raises:
        RpcFailure: tx.unknown.
    """
    found = chain.find(tx_id)
    if found is None or found.header.height > call.height:
        raise RpcFailure("tx.unknown", id=format_tx_id(tx_id))
    return found


def read_id(text: str) -> TxId:
    """Read a transaction id in either form.

    Raises:
        Rejected: BAD_ADDRESS.
        RpcFailure: rpc.bad_params.
    """
    if text.startswith("tx1"):
        return parse_tx_id(text)
    if len(text) != 66 or not text.lower().startswith("0x"):
        raise RpcFailure("rpc.bad_params", detail="an id is tx1... or 0x and 64 digits - at `$.id`")
    try:
        return TxId(from_hex(text, "id"))
    except Rejected:
        raise RpcFailure("rpc.bad_params", detail="an id is hexadecimal after 0x - at `$.id`") from None


def find_committed(call: Call, tx_id: TxId) -> TxState | None:
    """Return a committed transaction at or below the height of the call."""
    state = _find_any(call, tx_id)
    return state if state is not None and (state.height or 0) <= call.height else None


def _find_any(call: Call, tx_id: TxId) -> TxState | None:
    with call.sound() as chain:
        found = chain.find(tx_id)
        if found is None:
            return None
        raw = None if found.is_job else chain.transactions(found.header)[found.index]
    receipt = decode_receipt(found.receipt)
    return TxState(
        to_hex(tx_id),
        "committed" if receipt.is_ok else "failed",
        found.header.height,
        found.index,
        None if raw is None else transaction_form(decode_signed(raw, call.facts.genesis_hash), call.facts),
        receipt_form(receipt, call.facts),
        find_job(receipt)[0] if found.is_job else None,
    )


def _decode_any(raw: bytes, call: Call) -> SignedTransaction:
    """Decode a signed transaction, or the bare body of one."""
    value = codec.decode(raw, TX_SIGNED_BYTES_MAX)
    if isinstance(value, tuple) and len(value) == 3:
        return decode_signed(raw, call.facts.genesis_hash)
    tx = decode_transaction(raw)
    return SignedTransaction(compute_tx_id(raw, call.facts.genesis_hash), tx, (), (), raw)


METHODS: tuple[Method[Any], ...] = (
    Method("tx_submit", TxParams, Submitted, "Take a transaction.", submit, _ERRORS, Scope.SUBMIT),
    Method(
        "tx_submitAndWait",
        WaitParams,
        ReceiptForm,
        "Take a transaction and wait for its commit.",
        submit_and_wait,
        (*_ERRORS, "node.timeout"),
        Scope.SUBMIT,
    ),
    Method("tx_get", IdParams, TxState, "Where a transaction stands.", get, _UNKNOWN),
    Method("tx_getReceipt", ReceiptParams, ReceiptBundle, "A receipt, with proof.", get_receipt, _UNKNOWN),
    Method("tx_list", ListParams, TxPage, "Transactions and jobs of an account, newest first.", list_for),
    Method("tx_simulate", TrialParams, ReceiptForm, "The receipt a transaction would have.", simulate_tx),
    Method("tx_getSignBytes", BodyParams, SignBytes, "What keys sign.", get_sign_bytes),
)
