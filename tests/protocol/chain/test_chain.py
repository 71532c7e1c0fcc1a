"""Records of the chain: what is written is read, every bound holds, and every changed byte is noticed."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import codec, crypto
from protocol.chain.block import (
    Block,
    Header,
    assemble_block,
    check_link,
    compute_certificate_hash,
    compute_evidence_root,
    compute_tx_root,
    decode_block,
    decode_header,
)
from protocol.chain.certificate import (
    Certificate,
    Vote,
    VoteKind,
    certify,
    check_certificate,
    decode_certificate,
    read_vote,
)
from protocol.chain.genesis import Genesis, decode_genesis
from protocol.chain.receipt import Event, Receipt, decode_receipt
from protocol.chain.transaction import (
    SCHEME_ECDSA,
    UNORDERED,
    SignedTransaction,
    Transaction,
    TxSignature,
    assemble,
    decode_signed,
)
from protocol.chain.validators import (
    NO_HASH,
    EngineKind,
    EpochRecord,
    Validator,
    order_validators,
    read_epoch,
)
from protocol.crypto import SecretKey
from protocol.errors import CallFailed, Code, Reason, Rejected
from protocol.params import ACTORS_MAX, INT64_MAX, MEMO_BYTES_MAX, SIGNATURES_MAX, TX_GAS_MAX, UINT32_MAX
from protocol.types import (
    Address,
    BlockId,
    ContractId,
    EpochNumber,
    Gas,
    Hash32,
    Height,
    PublicKey,
    Seconds,
    Signature,
    TimeMs,
    TxId,
    View,
)

GENESIS_HASH = Hash32(b"g" * 32)
KEYS = [SecretKey(bytes([i + 1]) * 32) for i in range(4)]


def _validators() -> tuple[Validator, ...]:
    public = [crypto.public_key_of(key) for key in KEYS]
    return order_validators(tuple(Validator(f"n{i}", key, key) for i, key in enumerate(public)))


def _record(engine: EngineKind = EngineKind.RAFT) -> EpochRecord:
    return EpochRecord(EpochNumber(0), engine, Height(1), _validators())


def _transaction(**changes: object) -> Transaction:
    tx = Transaction(
        "test-1",
        (Address(b"a" * 20), Address(b"b" * 20)),
        0,
        UNORDERED,
        77,
        Seconds(1_000),
        Gas(50_000),
        0,
        ((), ((16, 3, 0, (5,)),)),
        b"memo",
    )
    return replace(tx, **changes)  # type: ignore[arg-type]


def _sign(tx: Transaction, actors: tuple[int, ...] = (0,)) -> SignedTransaction:
    blank = assemble(tx, GENESIS_HASH, ())
    signatures = tuple(
        TxSignature(
            actor, crypto.public_key_of(KEYS[actor]), SCHEME_ECDSA, crypto.sign(KEYS[actor], blank.id)
        )
        for actor in actors
    )
    return assemble(tx, GENESIS_HASH, signatures)


def _block(transactions: tuple[SignedTransaction, ...], certificate: Certificate | None = None) -> Block:
    header = Header(
        GENESIS_HASH,
        Height(7),
        TimeMs(5_000),
        EpochNumber(0),
        View(2),
        crypto.public_key_of(KEYS[0]),
        BlockId(b"p" * 32),
        Height(0) if certificate is None else certificate.height,
        compute_certificate_hash(certificate),
        compute_tx_root(transactions),
        len(transactions),
        compute_evidence_root(()),
        Hash32(b"s" * 32),
        Hash32(b"r" * 32),
        _record().compute_hash(),
        _record().compute_hash(),
    )
    return assemble_block(header, transactions, (), certificate)


def _votes(block_id: bytes, voters: int, record: EpochRecord) -> tuple[Vote, ...]:
    by_key = {crypto.public_key_of(key): key for key in KEYS}
    votes = []
    for index in range(voters):
        vote = Vote(record.number, VoteKind.ACK, Height(7), View(2), BlockId(block_id), None, index)
        key = by_key[record.validators[index].consensus_key]
        votes.append(replace(vote, signature=crypto.sign(key, vote.compute_digest(GENESIS_HASH))))
    return tuple(votes)


def _code(call) -> Code:  # type: ignore[no-untyped-def]
    with pytest.raises(Rejected) as refused:
        call()
    return Code(refused.value.code)


def test_transaction_round_trip() -> None:
    signed = _sign(_transaction(), (0, 1))
    assert decode_signed(signed.raw, GENESIS_HASH) == signed
    assert all(crypto.verify_many(signed.signature_checks()))


def test_id_does_not_depend_on_signatures_but_on_the_chain() -> None:
    one, two = _sign(_transaction(), (0,)), _sign(_transaction(), (0, 1))
    assert one.id == two.id and one.raw != two.raw
    assert decode_signed(one.raw, Hash32(b"x" * 32)).id != one.id


@pytest.mark.parametrize(
    "changes",
    [
        {"actors": ()},
        {"actors": (Address(b"b" * 20), Address(b"a" * 20))},
        {"actors": (Address(b"a" * 20), Address(b"a" * 20))},
        {"actors": (Address(b"a" * 19),)},
        {"actors": tuple(Address(bytes([i]) * 20) for i in range(ACTORS_MAX + 1))},
        {"payer": 2},
        {"payer": -1},
        {"payer": Address(b"a")},
        {"lane": 16},
        {"lane": UNORDERED - 1},
        {"sequence": 1 << 48},
        {"valid_until": -1},
        {"gas_limit": TX_GAS_MAX + 1},
        {"gas_price": UINT32_MAX + 1},
        {"memo": b"m" * (MEMO_BYTES_MAX + 1)},
        {"chain_name": "x" * 33},
        {"chain_name": "a\nb"},
    ],
)
def test_transaction_bounds(changes: dict[str, object]) -> None:
    raw = codec.encode((_transaction(**changes).encode(), ((0, bytes(33), SCHEME_ECDSA, bytes(64)),), ()))
    assert _code(lambda: decode_signed(raw, GENESIS_HASH)) is Code.MALFORMED


def test_transaction_at_its_bounds() -> None:
    tx = _transaction(
        actors=tuple(Address(bytes([i]) * 20) for i in range(ACTORS_MAX)),
        memo=b"m" * MEMO_BYTES_MAX,
        gas_limit=Gas(TX_GAS_MAX),
        gas_price=UINT32_MAX,
        sequence=(1 << 48) - 1,
        payer=Address(b"s" * 20),
        lane=15,
    )
    assert decode_signed(_sign(tx).raw, GENESIS_HASH).tx == tx


def test_signatures_must_be_there_ordered_and_few() -> None:
    body = _transaction().encode()

    def raw(*signatures: tuple[int, bytes]) -> bytes:
        return codec.encode((body, tuple((a, key, 0, bytes(64)) for a, key in signatures), ()))

    def keys(count: int) -> list[tuple[int, bytes]]:
        return [(0, bytes([2]) + i.to_bytes(32, "big")) for i in range(count)]

    assert _code(lambda: decode_signed(raw(), GENESIS_HASH)) is Code.BAD_SIG
    assert decode_signed(raw(*keys(SIGNATURES_MAX)), GENESIS_HASH)
    assert _code(lambda: decode_signed(raw(*keys(SIGNATURES_MAX + 1)), GENESIS_HASH)) is Code.MALFORMED
    assert _code(lambda: decode_signed(raw(*reversed(keys(2))), GENESIS_HASH)) is Code.MALFORMED
    assert _code(lambda: decode_signed(raw((2, bytes(33))), GENESIS_HASH)) is Code.MALFORMED


def test_receipt_round_trip() -> None:
    receipt = Receipt(
        TxId(b"t" * 32),
        Height(9),
        3,
        Code.FUNDS,
        Gas(1_234),
        (1, b"x", ("a", None)),
        (Event(ContractId(16), 2, (1, b"y")),),
        1,
        Reason("ledger.nonneg_credit", 5, 6),
    )
    assert decode_receipt(receipt.encode()) == receipt and not receipt.is_ok
    plain = replace(receipt, code=0, failed_instruction=None, reason=None)
    assert decode_receipt(plain.encode()) == plain and plain.is_ok


@pytest.mark.parametrize(("number", "carried"), [(INT64_MAX, True), (INT64_MAX + 1, False), (1 << 64, False)])
def test_a_reason_whose_number_no_receipt_carries_goes_without_it(number: int, carried: bool) -> None:
    """A sum may pass every amount; that the program failed must be written all the same."""
    for value in (number, -number):
        reason = CallFailed(Code.OVERFLOW, Reason("ledger.overflow", value, value)).reason
        told = value if carried else None
        assert reason == Reason("ledger.overflow", told, told)
        receipt = Receipt(TxId(b"t" * 32), Height(9), 3, Code.OVERFLOW, Gas(9), (), (), 0, reason)
        assert decode_receipt(receipt.encode()) == receipt


def test_block_round_trip_and_binding() -> None:
    record = _record()
    certificate = certify(_votes(b"p" * 32, 2, record))
    transactions = (_sign(_transaction()), _sign(_transaction(sequence=78)))
    block = _block(transactions, certificate)

    def decode(data: bytes) -> Block:
        return decode_block(data, lambda raw: decode_signed(raw, GENESIS_HASH))

    assert decode(block.encode()) == block
    assert decode_header(block.header.encode()) == block.header
    assert block.id == block.header.compute_id()
    for other in (
        replace(block, transactions=transactions[:1]),
        replace(block, transactions=transactions[::-1]),
        replace(block, last_certificate=None),
        replace(block, last_certificate=replace(certificate, view=View(3))),
    ):
        assert _code(lambda other=other: decode(other.encode())) is Code.INVALID_BLOCK  # type: ignore[misc]


def test_link_to_the_parent() -> None:
    header = _block(()).header
    check_link(header, BlockId(b"p" * 32), Height(6), TimeMs(4_999))
    for parent, height, time_ms in ((b"q" * 32, 6, 0), (b"p" * 32, 5, 0), (b"p" * 32, 6, 5_000)):
        assert (
            _code(lambda p=parent, h=height, t=time_ms: check_link(header, p, h, t))  # type: ignore[misc]
            is Code.INVALID_BLOCK
        )


@pytest.mark.parametrize(("count", "raft", "bft"), [(1, 1, 1), (3, 2, 3), (4, 3, 3), (5, 3, 4), (7, 4, 5)])
def test_quorums(count: int, raft: int, bft: int) -> None:
    validators = tuple(
        Validator(str(i), PublicKey(bytes([i]) * 33), PublicKey(bytes(33))) for i in range(count)
    )
    for engine, quorum in ((EngineKind.RAFT, raft), (EngineKind.BFT, bft)):
        assert EpochRecord(EpochNumber(0), engine, Height(1), validators).quorum == quorum


def test_epoch_record() -> None:
    record = _record()
    assert read_epoch(record.to_value()) == record
    assert record.index_of(record.validators[2].consensus_key) == 2
    assert record.index_of(bytes(33)) is None
    for bad in (
        replace(record, validators=record.validators[::-1]),
        replace(record, validators=()),
        replace(record, engine=EngineKind.BFT, validators=record.validators[:3]),
    ):
        assert _code(lambda bad=bad: read_epoch(bad.to_value())) is Code.MALFORMED  # type: ignore[misc]
    assert read_epoch(replace(record, engine=EngineKind.BFT).to_value()).engine is EngineKind.BFT


def test_certificate_holds_with_a_quorum_only() -> None:
    record = _record()  # four validators under Raft: three make a quorum
    block_id = b"b" * 32
    good = certify(_votes(block_id, 3, record))
    assert decode_certificate(good.encode()) == good
    check_certificate(good, record, GENESIS_HASH)
    below = certify(_votes(block_id, 2, record))
    swapped = replace(good, signatures=(good.signatures[1], good.signatures[0], good.signatures[2]))
    for bad in (
        below,
        swapped,
        replace(good, view=View(3)),
        replace(good, height=Height(8)),
        replace(good, epoch=EpochNumber(1)),
        replace(good, kind=VoteKind.PRECOMMIT),
        replace(good, block_id=BlockId(b"c" * 32)),
        replace(good, signers=good.signers << 4),
        replace(good, signers=0, signatures=()),
    ):
        assert (
            _code(lambda bad=bad: check_certificate(bad, record, GENESIS_HASH))  # type: ignore[misc]
            is Code.BAD_PROOF
        )
    assert _code(lambda: check_certificate(good, record, Hash32(bytes(32)))) is Code.BAD_PROOF
    later = replace(record, first_height=Height(8))
    assert _code(lambda: check_certificate(good, later, GENESIS_HASH)) is Code.BAD_PROOF


def test_vote_round_trip() -> None:
    vote = _votes(b"b" * 32, 1, _record())[0]
    assert read_vote(vote.to_value()) == vote
    nil = replace(vote, kind=VoteKind.PREVOTE, block_id=None, valid_view=View(1))
    assert read_vote(nil.to_value()) == nil
    assert nil.compute_digest(GENESIS_HASH) != vote.compute_digest(GENESIS_HASH)


def test_bitmap_has_one_spelling() -> None:
    certificate = certify(_votes(b"b" * 32, 2, _record()))
    value = list(certificate.to_value())  # type: ignore[arg-type]
    value[5] = bytes(value[5]) + b"\0"  # type: ignore[arg-type]
    assert _code(lambda: decode_certificate(codec.encode(tuple(value)))) is Code.NOT_CANONICAL


def test_genesis_round_trip() -> None:
    genesis = Genesis("test-1", TimeMs(1), _record(), 12, 3_600, True, (((), ((16, 1, 255, ()),)),))
    assert decode_genesis(genesis.encode()) == genesis
    assert replace(genesis, name="test-2").compute_hash() != genesis.compute_hash()
    assert genesis.epoch.previous_hash == NO_HASH


@given(st.data())
def test_no_bytes_raise_anything_but_rejected(data: st.DataObject) -> None:
    """Cut, change and extend real records; every decoder answers with a record or with Rejected."""
    signed = _sign(_transaction())
    samples = [
        (signed.raw, lambda raw: decode_signed(raw, GENESIS_HASH)),
        (_block((signed,)).encode(), lambda raw: decode_block(raw, lambda t: decode_signed(t, GENESIS_HASH))),
        (certify(_votes(b"b" * 32, 2, _record())).encode(), decode_certificate),
        (Genesis("t", TimeMs(1), _record(), 12, 0, True, ()).encode(), decode_genesis),
    ]
    raw, decode = data.draw(st.sampled_from(samples))
    changed = bytearray(raw)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(changed) - 1))
        changed[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(changed)))
    for mutated in (bytes(changed), bytes(changed[:cut]), bytes(changed) + b"\0"):
        try:
            decode(mutated)
        except Rejected:
            continue


def test_signature_type_is_plain_bytes() -> None:
    assert Signature(bytes(64)) == bytes(64)
