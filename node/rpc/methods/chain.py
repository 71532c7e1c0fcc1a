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
from node.store.sound import SoundReader
from protocol.chain.block import Header
from protocol.chain.receipt import decode_receipt
from protocol.chain.transaction import decode_signed
from protocol.params import STATE_KEY_BYTES_MAX

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
    with call.sound() as chain:
        header = _find_header(call, chain, params.block)
        if chain.block(header) is None:
            check_kept(call, header.height)
        runs = [decode_receipt(raw) for raw in chain.runs(header)]
        transactions: list[Any]
        if params.full:
            signed = [decode_signed(raw, call.facts.genesis_hash) for raw in chain.transactions(header)]
            transactions = [transaction_form(one, call.facts) for one in signed]
            jobs: list[Any] = [run_form(run, call.facts) for run in runs]
        else:
            transactions = [to_hex(tx_id) for tx_id in chain.tx_ids(header)]
            jobs = [to_hex(run.tx_id) for run in runs]
        certificate = certificate_form(*chain.certificate(header))
    return BlockForm(header_form(header), transactions, jobs, certificate)


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
    with call.sound() as chain:
        return certificate_form(*chain.certificate(_find_header(call, chain, params.height)))


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
    with call.sound() as chain:
        header = chain.header(proved.height)
        certificate = None if header is None else certificate_form(*chain.certificate(header))
    return ProofForm(
        proved.height,
        to_hex(key),
        None if proved.value is None else to_hex(proved.value),
        to_hex(proved.proof.page),
        [to_hex(level) for level in proved.proof.siblings],
        None if header is None else header_form(header),
        certificate,
    )


def find_header(call: Call, block: int | str | None) -> Header:
    """Return the header that a parameter means: a height, an id, or `latest`.

    Raises:
        RpcFailure: chain.height_unavailable, chain.pruned, chain.damaged.
    """
    with call.sound() as chain:
        return _find_header(call, chain, block)


def _find_header(call: Call, chain: SoundReader, block: int | str | None) -> Header:
    if isinstance(block, str) and block.startswith("0x"):
        header = chain.header_of(from_hex(block, "block id"))
        if header is None or header.height > call.height:
            raise RpcFailure("chain.height_unavailable", asked=block[:66], height=call.height)
        return header
    height = call.height_of(block)
    header = chain.header(height)
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


_NO_HEIGHT = ("chain.height_unavailable", "chain.pruned", "chain.damaged")
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
