"""The chain itself: blocks, headers, certificates, validators, genesis, and proofs of single state keys."""

from typing import Any

from node.ipc.messages import Prove, Proved
from node.rpc.dispatch import Method, NoParams
from node.rpc.failure import RpcFailure
from node.rpc.forms import (
    BlockForm,
    CertificateForm,
    EpochForm,
    Form,
    HeaderForm,
    certificate_form,
    epoch_form,
    header_form,
    run_form,
    transaction_form,
)
from node.rpc.methods.params import At, BlockRef, HeightParam, Hex, Params
from node.rpc.service import Call
from node.rpc.values import from_hex, to_hex
from protocol.chain.block import Header, decode_block
from protocol.chain.receipt import decode_receipt
from protocol.chain.transaction import SignedTransaction, decode_signed
from protocol.params import STATE_KEY_BYTES_MAX
from protocol.types import Height

HEADERS_MAX = 200


class BlockParams(Params):
    """Which block: its height, its id, or `latest`."""

    block: BlockRef = "latest"
    full: bool = False


class HeaderParams(Params):
    """Which header: its height, its id, or `latest`."""

    block: BlockRef = "latest"


class RangeParams(Params):
    """A range of heights, both ends included."""

    first: HeightParam
    last: HeightParam


class HeightOnly(Params):
    """A height, or `latest`."""

    height: At = None


class AtParams(Params):
    """When: a height, `latest` or `earliest`."""

    at: At = None


class ProofParams(Params):
    """A state key."""

    key: Hex


class ProofForm(Form):
    """What a key holds under the state root of a height, with the way to the root."""

    height: int
    key: str
    value: str | None
    page: str
    siblings: list[str]
    header: HeaderForm | None
    certificate: CertificateForm | None


class GenesisForm(Form):
    """The founding document; its hash is the identity of the chain."""

    hash: str
    raw: str


async def get_block(call: Call, params: BlockParams) -> BlockForm:
    """Return a block with the certificate that committed it."""
    header = find_header(call, params.block)
    check_kept(call, header.height)
    transactions: list[Any]
    if params.full:
        data = call.store.block_bytes(header.height)
        assert data is not None, "a header without its block"
        block = decode_block(data, lambda raw: _decode_tx(call, raw))
        transactions = [transaction_form(signed, call.facts) for signed in block.transactions]
        raws = call.store.run_receipts(header.height)
        jobs: list[Any] = [run_form(decode_receipt(raw), call.facts) for raw in raws]
    else:
        transactions = [to_hex(tx_id) for tx_id in call.store.tx_ids(header.height)]
        jobs = [to_hex(run_id) for run_id in call.store.run_ids(header.height)]
    return BlockForm(header_form(header), transactions, jobs, find_certificate(call, header.height))


async def get_header(call: Call, params: HeaderParams) -> HeaderForm:
    """Return a header."""
    return header_form(find_header(call, params.block))


async def get_blocks(call: Call, params: RangeParams) -> list[HeaderForm]:
    """Return headers, ascending."""
    if params.last < params.first or params.last - params.first >= HEADERS_MAX:
        raise RpcFailure("rpc.bad_params", detail=f"1 to {HEADERS_MAX} heights, ascending - at `$.last`")
    return [header_form(find_header(call, height)) for height in range(params.first, params.last + 1)]


async def get_certificate(call: Call, params: HeightOnly) -> CertificateForm:
    """Return the certificate of a height."""
    height = call.height_of(params.height)
    found = find_certificate(call, height)
    if found is None:
        check_kept(call, height)
        raise RpcFailure("chain.height_unavailable", asked=params.height, height=call.height)
    return found


async def get_validators(call: Call, params: AtParams) -> EpochForm:
    """Return who certifies a height, and by which rule."""
    return epoch_form(call.store.epoch_at(max(1, call.height_of(params.at))))


async def get_genesis(call: Call, params: NoParams) -> GenesisForm:
    """Return the founding document."""
    return GenesisForm(to_hex(call.facts.genesis_hash), to_hex(call.facts.genesis.encode()))


async def get_proof(call: Call, params: ProofParams) -> ProofForm:
    """Prove what a state key holds at the head, or that it holds nothing."""
    key = from_hex(params.key, "key")
    if len(key) > STATE_KEY_BYTES_MAX:
        raise RpcFailure("rpc.bad_params", detail=f"at most {STATE_KEY_BYTES_MAX} bytes - at `$.key`")
    proved = await call.service.ask(Prove(key))
    assert isinstance(proved, Proved)
    header = call.store.header(proved.height)
    return ProofForm(
        proved.height,
        to_hex(key),
        None if proved.value is None else to_hex(proved.value),
        to_hex(proved.proof.page),
        [to_hex(level) for level in proved.proof.siblings],
        None if header is None else header_form(header),
        find_certificate(call, proved.height),
    )


def find_header(call: Call, block: int | str | None) -> Header:
    """Return the header that a parameter means: a height, an id, or `latest`.

    Raises:
        RpcFailure: chain.height_unavailable, chain.pruned.
    """
    if isinstance(block, str) and block.startswith("0x"):
        height = call.store.block_height_of(from_hex(block, "block id"))
        if height is None or height > call.height:
            raise RpcFailure("chain.height_unavailable", asked=block[:66], height=call.height)
    else:
        height = call.height_of(block)
    header = call.store.header(height)
    if header is None:
        check_kept(call, height)
        raise RpcFailure("chain.height_unavailable", asked=height, height=call.height)
    return header


def check_kept(call: Call, height: int) -> None:
    """Refuse a height at or below the snapshot that this node began with.

    Raises:
        RpcFailure: chain.pruned.
    """
    base = call.store.base()
    if 0 < height <= base:
        raise RpcFailure("chain.pruned", asked=height, oldest=base + 1)


def find_certificate(call: Call, height: Height | int) -> CertificateForm | None:
    """Return the certificate of a height, with its signers' names."""
    certificate = call.store.certificate(height)
    if certificate is None:
        return None
    return certificate_form(certificate, call.store.epoch(certificate.epoch))


def _decode_tx(call: Call, raw: bytes) -> SignedTransaction:
    return decode_signed(raw, call.facts.genesis_hash)


_NO_HEIGHT = ("chain.height_unavailable", "chain.pruned")
METHODS: tuple[Method[Any], ...] = (
    Method("chain_getBlock", BlockParams, BlockForm, "A block and its certificate.", get_block, _NO_HEIGHT),
    Method("chain_getHeader", HeaderParams, HeaderForm, "A header.", get_header, _NO_HEIGHT),
    Method("chain_getBlocks", RangeParams, list[HeaderForm], "Headers of a range.", get_blocks, _NO_HEIGHT),
    Method(
        "chain_getCertificate",
        HeightOnly,
        CertificateForm,
        "Who signed a height.",
        get_certificate,
        _NO_HEIGHT,
    ),
    Method(
        "chain_getValidators",
        AtParams,
        EpochForm,
        "Who certifies, by which rule.",
        get_validators,
        _NO_HEIGHT,
    ),
    Method("chain_getGenesis", NoParams, GenesisForm, "The founding document.", get_genesis),
    Method(
        "proof_get", ProofParams, ProofForm, "What a state key holds, with its proof.", get_proof, _NO_HEIGHT
    ),
)
