"""Valid examples of everything that comes in from outside, as bytes; the fuzzer starts from them."""

from dataclasses import dataclass, replace

from node import wire
from node.ipc.messages import AskStatus, Prove, Submit, encode_message
from node.net.frames import LENGTH
from protocol import codec, crypto
from protocol.chain.block import Block, Header, assemble_block, compute_tx_root
from protocol.chain.certificate import Certificate, Vote, VoteKind, certify
from protocol.chain.claim import Claim
from protocol.chain.genesis import Genesis
from protocol.chain.receipt import Event, Receipt
from protocol.chain.transaction import UNORDERED, SignedTransaction, Transaction, TxSignature, assemble
from protocol.chain.validators import NO_HASH, EngineKind, EpochRecord, Validator
from protocol.consensus import messages
from protocol.consensus.election import Election
from protocol.consensus.polka import Polka
from protocol.consensus.safety import BftSafety, RaftSafety, SafetyRecord, Said
from protocol.crypto import SecretKey
from protocol.errors import Reason
from protocol.merkle.proof import hash_leaf
from protocol.sync.messages import Blocks, ChainStatus, GetBlocks, SyncMessage, encode_sync
from protocol.sync.snapshot_messages import GetChunk, encode_snapshot_message
from protocol.types import (
    Address,
    BlockId,
    ContractId,
    EpochNumber,
    Gas,
    Hash32,
    Height,
    Seconds,
    Signature,
    TimeMs,
    TxId,
    View,
)

GENESIS_HASH = Hash32(b"g" * 32)
KEY = SecretKey(b"\1" * 32)
SIGNATURE = Signature(bytes(64))


@dataclass(frozen=True, slots=True)
class Corpus:
    """Examples by kind of input."""

    transactions: tuple[bytes, ...]
    blocks: tuple[bytes, ...]
    certificates: tuple[bytes, ...]
    receipts: tuple[bytes, ...]
    genesis: tuple[bytes, ...]
    consensus: tuple[bytes, ...]
    safety: tuple[bytes, ...]
    frames: tuple[bytes, ...]
    lanes: tuple[bytes, ...]
    ipc: tuple[bytes, ...]
    rpc: tuple[bytes, ...]
    mux: tuple[bytes, ...]


def build() -> Corpus:
    """Build the examples."""
    signed = [_signed(program) for program in _PROGRAMS]
    block, certificate = _block(tuple(signed)), _certificate()
    proposal, *_ = _messages(block, certificate)
    assert isinstance(proposal, messages.Proposal)
    frames = (
        wire.encode_batch(s.raw for s in signed),
        wire.frame(wire.FrameKind.CONSENSUS, b"\x90"),
        wire.encode_outline(proposal, [hash_leaf(s.raw) for s in signed]),
        wire.encode_get_txs(wire.GetTxs(block.id, 5)),
        wire.encode_txs(wire.Txs(block.id, tuple(s.raw for s in signed))),
        wire.encode_starve(wire.Starve(EpochNumber(0), Height(2), (TxId(b"t" * 32),), SIGNATURE)),
        *(wire.frame(wire.FrameKind.SYNC, encode_sync(message)) for message in _syncs(block, certificate)),
        wire.frame(wire.FrameKind.SNAPSHOT, encode_snapshot_message(GetChunk(Height(9), Hash32(b"c" * 32)))),
    )
    return Corpus(
        transactions=tuple(s.raw for s in signed),
        blocks=(block.encode(), _block(()).encode()),
        certificates=(certificate.encode(),),
        receipts=(_receipt().encode(),),
        genesis=(_genesis().encode(),),
        consensus=tuple(messages.encode_message(m) for m in _messages(block, certificate)),
        safety=(_safety(block).encode(), _safety(None).encode(), _bft_safety(block, certificate).encode()),
        frames=frames,
        lanes=(b"".join(LENGTH.pack(len(frame)) + frame for frame in frames),),
        ipc=tuple(
            encode_message(7, message)
            for message in (Submit(tuple(s.raw for s in signed)), AskStatus(), Prove(b"key"))
        ),
        rpc=_RPC,
        mux=_MUX,
    )


_PROGRAMS = (
    ((), ((16, 7, 0, (b"a" * 20, b"b" * 20, 1, 5, None)),)),
    ((), ((16, 8, 0, (b"a" * 20, 1, (0, (0, b"b" * 20, 3)))), (0, 0, 5, (1, 0), 3, 7))),
    (((16, 1),), ((2, 3, 0, (b"a" * 20, crypto.public_key_of(KEY))), (16, 7, 255, ((3, "time"), (2, 1))))),
)

_RPC = (
    b'{"jsonrpc":"2.0","method":"node_getInfo","id":1}',
    b'[{"jsonrpc":"2.0","method":"tx_submit","params":{"tx":"0x93"},"id":"a"},{"jsonrpc":"2.0","method":"x"}]',
    b'{"jsonrpc":"2.0","method":"chain_getBlock","params":[1,true],"id":null}',
    b'{"jsonrpc":"2.0","method":"assets_balance","params":{"address":"coop1qqqq","asset":1,"at":"latest"},"id":2}',
)

_MUX = (
    bytes.fromhex("000000010000000100000003") + b"abc",
    bytes.fromhex("000100010000000100040000") + bytes.fromhex("000200010000000000000001"),
    bytes.fromhex("000300000000000000000000") + bytes.fromhex("000000040000000100000000"),
)


def _signed(program: codec.Value) -> SignedTransaction:
    address = Address(b"a" * 20)
    tx = Transaction("fuzz-1", (address,), 0, UNORDERED, 5, Seconds(1_000), Gas(50_000), 0, program, b"m")
    blank = assemble(tx, GENESIS_HASH, ())
    signature = TxSignature(0, crypto.public_key_of(KEY), 0, crypto.sign(KEY, blank.id))
    return assemble(tx, GENESIS_HASH, (signature,), ((0, (1, ((0, crypto.public_key_of(KEY), 1),))),))


def _block(transactions: tuple[SignedTransaction, ...]) -> Block:
    header = Header(
        GENESIS_HASH,
        Height(1),
        TimeMs(5_000),
        EpochNumber(0),
        View(1),
        crypto.public_key_of(KEY),
        BlockId(b"p" * 32),
        Height(0),
        NO_HASH,
        compute_tx_root(transactions),
        len(transactions),
        compute_tx_root(()),
        NO_HASH,
        NO_HASH,
        NO_HASH,
        NO_HASH,
    )
    return assemble_block(header, transactions)


def _vote(index: int) -> Vote:
    return Vote(EpochNumber(0), VoteKind.ACK, Height(1), View(1), BlockId(b"b" * 32), None, index, SIGNATURE)


def _certificate() -> Certificate:
    return certify((_vote(0), _vote(2)))


def _receipt() -> Receipt:
    event = Event(ContractId(16), 2, (1, b"y", "z"))
    reason = Reason("ledger.nonneg_credit", 5, 6)
    return Receipt(TxId(b"t" * 32), Height(9), 3, 51, Gas(1_234), (1, (2, b"x")), (event,), 0, reason)


def _genesis() -> Genesis:
    public = crypto.public_key_of(KEY)
    record = EpochRecord(EpochNumber(0), EngineKind.RAFT, Height(1), (Validator("n0", public, public),))
    return Genesis("fuzz-1", TimeMs(1), record, 8, 0, True, (((), ((2, 1, 255, (b"a" * 20,)),)),))


def _messages(block: Block, certificate: Certificate) -> tuple[messages.Message, ...]:
    place = (EpochNumber(0), Height(1), View(2))
    claim = Claim(*place, 1, View(1), BlockId(b"b" * 32), False)
    election = Election(claim, 3, (SIGNATURE, SIGNATURE))
    return (
        messages.Proposal(*place, 1, None, block, election, SIGNATURE),
        _vote(1),
        messages.VoteRequest(claim, SIGNATURE),
        messages.Grant(claim, 2, SIGNATURE),
        messages.Beat(*place, 5, True),
        messages.Status(*place, 5, messages.Step.ACCEPTED),
        messages.Decided(block, certificate),
        messages.HandOver(*place),
        *_bft_messages(block, replace(certificate, kind=VoteKind.PREVOTE)),
    )


def _bft_messages(block: Block, prevotes: Certificate) -> tuple[messages.Message, ...]:
    place = (EpochNumber(0), Height(1), View(2))
    polka = Polka(prevotes, View(0))
    proposal = messages.Proposal(*place, 1, View(1), block, None, SIGNATURE, polka)
    return (
        messages.PolkaShown(polka, block),
        messages.BftStatus(*place, messages.Phase.PREVOTE, 3, 1, True, View(1), 2),
        messages.VoteBundle(*place[:2], (), proposal),
    )


def _syncs(block: Block, certificate: Certificate) -> tuple[SyncMessage, ...]:
    return (
        ChainStatus(Height(9), block.id, Height(4)),
        GetBlocks(Height(4), 6),
        Blocks(((block.encode(), certificate.encode()),)),
    )


def _safety(block: Block | None) -> SafetyRecord:
    return RaftSafety(EpochNumber(0), Height(1), View(3), 1, View(0 if block is None else 2), block)


def _bft_safety(block: Block, certificate: Certificate) -> SafetyRecord:
    polka = Polka(replace(certificate, kind=VoteKind.PREVOTE, block_id=block.id), None)
    vote = Said(View(4), block.id, polka.view)
    return BftSafety(
        EpochNumber(0), Height(1), View(3), vote, Said(View(3), None), View(0), block.id, polka, block
    )
