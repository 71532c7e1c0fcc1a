"""A member's own view of the epochs: it follows, remembers, and refuses forks, old states and steps back."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from node.cli.member.epoch_chain import (
    EPOCHS_MAX,
    HEADERS_KEPT_MAX,
    EpochChain,
    Fork,
    Proof,
    Seal,
    Seen,
    read_proof,
)
from node.cli.member.member_home import Connection, MemberHome
from node.cli.member.receipts import Bundle, make_bundle, verify_bundle
from node.cli.terminal import Failure
from protocol import codec
from protocol.chain.validators import EngineKind
from protocol.errors import Rejected
from protocol.merkle.proof import prove_item
from protocol.types import Height, TimeMs
from tests.node.small_chain import SmallChain


@pytest.fixture
def chain(tmp_path: Path) -> SmallChain:
    return SmallChain(tmp_path / "store", int(time.time() * 1_000) - 60_000, spare=1)


def hex_of(data: bytes | None) -> str:
    assert data is not None
    return "0x" + data.hex()


def seals(chain: SmallChain) -> list[Seal]:
    found = []
    for number in range(1, chain.executor.record.number + 1):
        record = chain.store.epoch(number)
        assert record is not None
        height = record.first_height - 1
        found.append(
            Seal(
                hex_of(chain.store.header_bytes(height)),
                hex_of(chain.store.certificate_bytes(height)),
                hex_of(codec.encode(record.to_value())),
            )
        )
    return found


def newest(chain: SmallChain) -> tuple[str, str]:
    height = chain.executor.head.height
    return hex_of(chain.store.header_bytes(height)), hex_of(chain.store.certificate_bytes(height))


def receipt(chain: SmallChain) -> Bundle:
    signed = chain.pay("ada", "bo", 1)
    block = chain.commit(signed)
    receipts = chain.store.receipts(block.height)
    answer = {
        "genesisHash": hex_of(chain.genesis_hash),
        "receipt": {"raw": hex_of(receipts[0])},
        "header": hex_of(block.header.encode()),
        "certificate": hex_of(chain.store.certificate_bytes(block.height)),
        "proof": [hex_of(step) for step in prove_item(receipts, 0).path],
        "seals": [
            {"header": seal.header, "certificate": seal.certificate, "record": seal.record}
            for seal in seals(chain)
        ],
    }
    return make_bundle(answer, hex_of(signed.raw))


def test_receipts_of_all_epochs_hold_offline(chain: SmallChain) -> None:
    before = receipt(chain)
    chain.cross(EngineKind.BFT, 0, 1, 2, 3)
    after = receipt(chain)
    epochs = EpochChain(chain.genesis)
    assert verify_bundle(before, epochs).record.engine is EngineKind.RAFT and len(epochs.records) == 1
    proven = verify_bundle(after, epochs)
    assert proven.record.engine is EngineKind.BFT and len(proven.signers) == 3 and len(epochs.records) == 2
    assert verify_bundle(before, epochs).receipt.is_ok
    assert verify_bundle(after, EpochChain.restore(chain.genesis, epochs.remember())).receipt.is_ok


def test_a_proof_of_an_epoch_that_is_missing_or_forged_is_refused(chain: SmallChain) -> None:
    chain.cross(EngineKind.BFT, 0, 1, 2, 3)
    chain.commit()
    [seal] = seals(chain)
    epochs = EpochChain(chain.genesis)
    with pytest.raises(Rejected):
        epochs.see_newest(*newest(chain))
    with pytest.raises(Rejected):
        epochs.follow([seal], 2)
    with pytest.raises(Rejected):
        epochs.follow([Seal(*newest(chain), seal.record)])
    epochs.follow([seal])
    epochs.follow([seal])
    assert epochs.see_newest(*newest(chain)).header.height == chain.executor.head.height
    with pytest.raises(Rejected):
        epochs.follow([Seal(*newest(chain), seal.record)])
    with pytest.raises(Rejected):
        EpochChain.restore(chain.genesis, Seen([Seal(seal.header, newest(chain)[1], seal.record)]))


def test_the_old_quorum_certifies_nothing_after_its_seal(chain: SmallChain) -> None:
    """M4: operators who left could go on signing their own chain; who has seen the seal is not deceived."""
    chain.cross(EngineKind.BFT, 0, 1, 2, 3)
    seal_height = chain.executor.head.height
    old = chain.store.epoch(0)
    assert old is not None
    seal_header = chain.store.header(seal_height)
    assert seal_header is not None
    beyond = replace(seal_header, height=Height(seal_height + 1), next_epoch_hash=seal_header.epoch_hash)
    twin = replace(seal_header, time_ms=TimeMs(seal_header.time_ms + 1))
    record, chain.executor.record = chain.executor.record, old
    forged = [
        Proof(header, chain.certify_by(header.height, header.compute_id(), (0, 1)))
        for header in (beyond, twin)
    ]
    chain.executor.record = record
    fresh = EpochChain(chain.genesis)
    assert fresh.check(forged[0]).record == old  # who has not seen the seal cannot know
    epochs = EpochChain(chain.genesis)
    epochs.follow(seals(chain))
    for proof in forged:
        with pytest.raises(Failure) as refused:
            epochs.check(proof)
        assert refused.value.label == "member.fork"
        both = sorted(old.validators[index].operator for index in (0, 1))
        assert refused.value.why.endswith(f"both are signed by: {', '.join(both)}.")


def test_an_epoch_that_ends_twice_is_evidence_too(chain: SmallChain) -> None:
    chain.cross(EngineKind.BFT, 0, 1, 2, 3)
    [seal] = seals(chain)
    epochs = EpochChain(chain.genesis)
    epochs.follow([seal])
    header, old = chain.store.header(chain.executor.head.height), chain.store.epoch(0)
    assert header is not None and old is not None
    twin = replace(header, time_ms=TimeMs(header.time_ms + 1))
    record, chain.executor.record = chain.executor.record, old
    certificate = chain.certify_by(twin.height, twin.compute_id(), (0, 1))
    chain.executor.record = record
    with pytest.raises(Failure) as refused:
        epochs.follow([Seal(hex_of(twin.encode()), hex_of(certificate.encode()), seal.record)])
    assert refused.value.label == "member.fork" and "its seal" in refused.value.why


def test_two_final_headers_of_one_height_are_evidence_and_an_old_state_is_refused(chain: SmallChain) -> None:
    chain.commit()
    old = newest(chain)
    chain.commit()
    epochs = EpochChain(chain.genesis)
    seen = epochs.see_newest(*newest(chain))
    with pytest.raises(Failure) as refused:
        epochs.see_newest(*old)
    assert refused.value.label == "member.stale"
    twin = replace(seen.header, time_ms=TimeMs(seen.header.time_ms + 1))
    certificate = chain.certify_by(twin.height, twin.compute_id(), (1, 2))
    with pytest.raises(Fork) as forked:
        epochs.see_newest(hex_of(twin.encode()), hex_of(certificate.encode()))
    both = chain.executor.record.validators[1]
    fork = forked.value
    assert fork.label == "member.fork" and fork.why.endswith(f"both are signed by: {both.operator}.")
    [evidence] = fork.evidence
    assert evidence.accused == both.consensus_key
    chain.executor.check_accusation(evidence)
    assert chain.commit(evidence=(evidence,)).evidence == fork.evidence, "the chain takes it"


def twin_of(chain: SmallChain, proof: Proof) -> tuple[str, str]:
    """Certify another header at the height of one, by two of three."""
    twin = replace(proof.header, time_ms=TimeMs(proof.header.time_ms + 1))
    certificate = chain.certify_by(twin.height, twin.compute_id(), (1, 2))
    return hex_of(twin.encode()), hex_of(certificate.encode())


@pytest.mark.parametrize("between", [HEADERS_KEPT_MAX - 1, HEADERS_KEPT_MAX])
def test_a_header_below_the_newest_is_remembered(chain: SmallChain, between: int) -> None:
    chain.commit()
    epochs = EpochChain(chain.genesis)
    paid = epochs.see_newest(*newest(chain))
    for _ in range(between):
        chain.commit()
        epochs.see_newest(*newest(chain))
    epochs = EpochChain.restore(chain.genesis, epochs.remember())
    shown = read_proof(*twin_of(chain, paid))
    if between == HEADERS_KEPT_MAX:
        assert epochs.check(shown), "it was proved too long ago"
        return
    epochs.check(paid)
    with pytest.raises(Fork) as forked:
        epochs.check(shown)
    [evidence] = forked.value.evidence
    assert evidence.accused == chain.executor.record.validators[1].consensus_key
    assert evidence.height == paid.header.height < chain.executor.head.height
    chain.executor.check_accusation(evidence)


def test_evidence_of_a_fork_is_kept_once(chain: SmallChain, tmp_path: Path) -> None:
    home = MemberHome(tmp_path / "member")
    home.path.mkdir()
    one, other = chain.double_vote(1), chain.double_vote(2)
    assert home.evidence() == []
    home.save_evidence((one,))
    home.save_evidence((one, other))
    assert home.evidence() == [hex_of(one.encode()), hex_of(other.encode())]


def test_a_step_back_to_raft_needs_its_owner(chain: SmallChain) -> None:
    chain.cross(EngineKind.BFT, 0, 1, 2, 3)
    under_bft = receipt(chain)
    chain.cross(EngineKind.RAFT, 1, 2, 3)
    under_raft = receipt(chain)
    chain.cross(EngineKind.BFT, 0, 1, 2, 3)
    again_bft = receipt(chain)
    epochs = EpochChain(chain.genesis)
    for bundle in (under_raft, again_bft):
        with pytest.raises(Failure) as refused:
            verify_bundle(bundle, epochs)
        assert refused.value.label == "member.fell_back" and "--accept-raft" in refused.value.do
    assert verify_bundle(under_bft, epochs).receipt.is_ok
    epochs.accept_raft()
    assert verify_bundle(under_raft, epochs).receipt.is_ok and verify_bundle(again_bft, epochs).receipt.is_ok
    chain.cross(EngineKind.RAFT, 1, 2, 3)
    with pytest.raises(Failure):
        verify_bundle(receipt(chain), epochs)  # the next step back is another one


def test_a_folder_remembers_what_was_proved(chain: SmallChain, tmp_path: Path) -> None:
    home = MemberHome(tmp_path / "member")
    home.pin(Connection("http://127.0.0.1:1"), chain.genesis)
    chain.cross(EngineKind.BFT, 0, 1, 2, 3)
    epochs = home.epochs()
    epochs.follow(seals(chain))
    epochs.accept_raft()
    chain.commit()
    epochs.see_newest(*newest(chain))
    home.save_epochs(epochs)
    again = home.epochs()
    assert again.remember() == epochs.remember() and len(again.records) == 2
    (home.path / "epochs.json").write_text("{}")
    with pytest.raises(Failure) as refused:
        home.epochs()
    assert refused.value.label == "member.epochs_damaged"
    other = SmallChain(tmp_path / "other", chain.genesis.time_ms)
    home.pin(Connection("http://127.0.0.1:1"), other.genesis, replace=True)
    assert len(home.epochs().records) == 1


def test_so_many_epochs_are_followed_and_one_more_is_not(
    chain: SmallChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    follower = EpochChain(chain.genesis)
    forged = [Seal("0x", "0x", "0x")] * EPOCHS_MAX
    with pytest.raises(Rejected, match=f"{EPOCHS_MAX + 1} epochs, limit {EPOCHS_MAX}"):
        follower.follow(forged)
    with pytest.raises(Rejected) as looked_at:
        follower.follow(forged[1:])
    assert "limit" not in str(looked_at.value)
