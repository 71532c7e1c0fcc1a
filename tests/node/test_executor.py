"""The executor refuses every header field that is not what its execution gives, and keeps nothing stale."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from node import executor as executor_module
from node.errors import OperationError
from node.executor import CACHED_PROPOSALS_MAX, Executor
from protocol import crypto
from protocol.chain.block import Block, Header, assemble_block, compute_certificate_hash
from protocol.chain.validators import EngineKind
from protocol.errors import Code, Rejected
from protocol.types import BlockId, EpochNumber, Hash32, Height, PublicKey, TimeMs, View
from tests.node.small_chain import SmallChain

OTHER = Hash32(crypto.sha256(b"other"))


@pytest.fixture
def chain(tmp_path: Path) -> SmallChain:
    chain = SmallChain(tmp_path / "store", int(time.time() * 1_000) - 60_000)
    chain.commit(chain.pay("ada", "bo", 5))
    return chain


def proposal(chain: SmallChain) -> Block:
    """Build a right block that the executor does not know yet."""
    block = chain.build(chain.pay("bo", "ada", 2))
    chain.executor.forget_proposals()
    return block


def refuse(chain: SmallChain, block: Block) -> int:
    with pytest.raises(Rejected) as caught:
        chain.executor.check(block)
    assert chain.executor.prepared(block.id) is None
    return caught.value.code


def test_a_right_block_is_prepared_and_gives_what_its_builder_got(chain: SmallChain) -> None:
    block = chain.build(chain.pay("bo", "ada", 2))
    built = chain.executor.prepared(block.id)
    chain.executor.forget_proposals()
    chain.executor.check(block)
    checked = chain.executor.prepared(block.id)
    assert built is not None and checked is not None
    assert (checked.block, checked.execution) == (built.block, built.execution)
    assert checked.delta.root == built.delta.root == block.header.state_root


WRONG: dict[str, tuple[Code, Callable[[Header], Header]]] = {
    "height": (Code.INVALID_BLOCK, lambda h: replace(h, height=Height(h.height + 1))),
    "parent": (Code.INVALID_BLOCK, lambda h: replace(h, parent_id=BlockId(OTHER))),
    "time": (Code.INVALID_BLOCK, lambda h: replace(h, time_ms=TimeMs(h.time_ms - 1_000))),
    "chain": (Code.WRONG_CHAIN, lambda h: replace(h, genesis_hash=OTHER)),
    "epoch": (Code.INVALID_BLOCK, lambda h: replace(h, epoch=EpochNumber(1))),
    "epoch hash": (Code.INVALID_BLOCK, lambda h: replace(h, epoch_hash=OTHER)),
    "next epoch": (Code.INVALID_BLOCK, lambda h: replace(h, next_epoch_hash=OTHER)),
    "proposer": (Code.INVALID_BLOCK, lambda h: replace(h, proposer=PublicKey(b"\2" + OTHER))),
    "state root": (Code.INVALID_BLOCK, lambda h: replace(h, state_root=OTHER)),
    "receipts root": (Code.INVALID_BLOCK, lambda h: replace(h, receipts_root=OTHER)),
}


@pytest.mark.parametrize("field", WRONG)
def test_a_wrong_header_is_refused(chain: SmallChain, field: str) -> None:
    block = proposal(chain)
    code, spoil = WRONG[field]
    wrong = assemble_block(spoil(block.header), block.transactions, block.evidence, block.last_certificate)
    assert refuse(chain, wrong) == code


def with_certificate(block: Block, certificate) -> Block:  # type: ignore[no-untyped-def]
    header = replace(
        block.header,
        last_certificate_height=Height(0) if certificate is None else certificate.height,
        last_certificate_hash=compute_certificate_hash(certificate),
    )
    return assemble_block(header, block.transactions, (), certificate)


def test_a_block_without_the_certificate_of_its_parent_is_refused(chain: SmallChain) -> None:
    block = proposal(chain)
    right = block.last_certificate
    assert right is not None
    assert refuse(chain, with_certificate(block, None)) == Code.INVALID_BLOCK
    assert (
        refuse(chain, with_certificate(block, replace(right, block_id=BlockId(OTHER)))) == Code.INVALID_BLOCK
    )
    assert refuse(chain, with_certificate(block, replace(right, height=Height(2)))) == Code.INVALID_BLOCK
    forged = replace(right, signatures=(right.signatures[1], right.signatures[0]))
    assert refuse(chain, with_certificate(block, forged)) == Code.BAD_PROOF


def test_another_quorum_of_the_same_parent_is_as_good(chain: SmallChain) -> None:
    """Every node puts its own certificate together, so a leader may hold another one than we do."""
    block = proposal(chain)
    other = chain.certify_by(chain.executor.head.height, chain.executor.head.block_id, (0, 2))
    assert other != chain.store.certificate(1)
    chain.executor.check(with_certificate(block, other))


def test_the_first_block_carries_no_certificate(tmp_path: Path, chain: SmallChain) -> None:
    young = SmallChain(tmp_path / "young", int(time.time() * 1_000) - 60_000)
    block = young.build()
    young.executor.forget_proposals()
    certificate = chain.store.certificate(1)
    assert refuse(young, with_certificate(block, certificate)) == Code.INVALID_BLOCK
    young.executor.check(block)


def test_an_inadmissible_transaction_makes_the_block_invalid_with_its_code(chain: SmallChain) -> None:
    paid = chain.pay("ada", "bo", 1)
    chain.commit(paid)
    block = proposal(chain)
    again = assemble_block(block.header, (paid,), (), block.last_certificate)
    assert refuse(chain, again) == Code.EXISTS


def test_proposals_that_wait_are_limited(chain: SmallChain) -> None:
    blocks = [chain.build(time_ms=chain.executor.head.time_ms + 1 + n) for n in range(CACHED_PROPOSALS_MAX)]
    assert all(chain.executor.prepared(block.id) for block in blocks)
    newest = chain.build(time_ms=chain.executor.head.time_ms + 100)
    known = [chain.executor.prepared(block.id) is not None for block in (*blocks, newest)]
    assert known == [False] + [True] * CACHED_PROPOSALS_MAX


def test_a_commit_forgets_what_was_executed_on_the_head_before(chain: SmallChain) -> None:
    stale, chosen = chain.build(), chain.build(chain.pay("ada", "bo", 1))
    prepared = chain.executor.prepared(chosen.id)
    assert prepared is not None
    chain.executor.write([(prepared, chain.certify(chosen))])
    assert chain.executor.head.height == 1
    chain.executor.advance(prepared)
    assert chain.executor.head.height == 2 and chain.executor.head.block_id == chosen.id
    assert chain.executor.prepared(stale.id) is None
    assert refuse(chain, stale) == Code.INVALID_BLOCK


def test_a_restart_finds_head_record_and_tree_again(chain: SmallChain) -> None:
    again = Executor(chain.store)
    assert (again.head, again.record, again.tree.root) == (
        chain.executor.head,
        chain.executor.record,
        chain.executor.tree.root,
    )


def test_a_state_that_is_not_the_heads_stops_the_start(
    chain: SmallChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = chain.store.head()
    monkeypatch.setattr("node.store.store.Store.head", lambda _: replace(head, state_root=OTHER))
    with pytest.raises(OperationError, match="root is not that of the block"):
        Executor(chain.store)


def test_a_node_stops_before_a_block_whose_version_it_lacks(
    chain: SmallChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    block, executor = proposal(chain), chain.executor
    monkeypatch.setattr(executor_module, "list_missing_versions", lambda _: ((17, 2),))
    acts: tuple[Callable[[], object], ...] = (
        lambda: chain.build(),
        lambda: executor.check(block),
        lambda: Executor(chain.store),
    )
    for act in acts:
        with pytest.raises(OperationError) as stopped:
            act()
        assert stopped.value.slug == "upgrade.missing" and "17 in version 2" in stopped.value.why
    assert executor.prepared(block.id) is None
    monkeypatch.undo()
    executor.check(block)


# --- blocks that are built before their parent is decided


@pytest.fixture
def bft(tmp_path: Path) -> SmallChain:
    chain = SmallChain(tmp_path / "bft", int(time.time() * 1_000) - 60_000, 4)
    chain.cross(EngineKind.BFT, 0, 1, 2, 3)
    chain.commit(chain.pay("ada", "bo", 5))
    return chain


def build_early(chain: SmallChain, parent: Block) -> Block:
    """Build a block with a payment on a proposal that is not decided."""
    prepared = chain.executor.prepared(parent.id)
    certificate = chain.store.certificate(chain.executor.head.height)
    block, dropped = chain.executor.build(
        View(0),
        chain.executor.record.validators[1].consensus_key,
        TimeMs(parent.header.time_ms + 1),
        certificate,
        [chain.pay("bo", "ada", 1)],
        (),
        5_000,
        prepared,
    )
    assert not dropped
    return block


def finalize(chain: SmallChain, block: Block) -> None:
    prepared = chain.executor.prepared(block.id)
    assert prepared is not None
    chain.executor.write([(prepared, chain.certify(block))])
    chain.executor.advance(prepared)


@pytest.mark.parametrize("is_known", [True, False])
def test_an_early_block_is_final_after_its_parent(bft: SmallChain, is_known: bool) -> None:
    parent = bft.build(bft.pay("ada", "bo", 3))
    early = build_early(bft, parent)
    assert early.header.parent_id == parent.id
    assert early.header.last_certificate_height == parent.height - 1
    finalize(bft, parent)
    assert bft.executor.prepared(early.id) is not None, "it was executed once"
    if not is_known:
        bft.executor.forget_proposals()
        bft.executor.check(early)
    finalize(bft, early)
    assert bft.executor.tree.root == early.header.state_root
    again = Executor(bft.store)
    assert again.tree.root == early.header.state_root


def test_an_early_block_is_forgotten_with_its_parent(bft: SmallChain) -> None:
    parent = bft.build(bft.pay("ada", "bo", 3))
    early = build_early(bft, parent)
    bft.commit(bft.pay("ada", "bo", 4))
    assert bft.executor.prepared(early.id) is None
    assert refuse(bft, early) == Code.INVALID_BLOCK


def test_only_bft_knows_early_blocks(chain: SmallChain) -> None:
    parent = chain.build(chain.pay("ada", "bo", 3))
    early = build_early(chain, parent)
    finalize(chain, parent)
    chain.executor.forget_proposals()
    assert refuse(chain, early) == Code.INVALID_BLOCK


def test_the_first_block_of_an_epoch_needs_the_certificate_of_the_seal(tmp_path: Path) -> None:
    chain = SmallChain(tmp_path / "young", int(time.time() * 1_000) - 60_000, 4)
    chain.cross(EngineKind.BFT, 0, 1, 2, 3)
    block = proposal(chain)
    below = chain.store.certificate(chain.executor.head.height - 1)
    assert refuse(chain, with_certificate(block, below)) == Code.INVALID_BLOCK


def test_a_forged_certificate_of_the_grandparent_is_refused(bft: SmallChain) -> None:
    parent = bft.build(bft.pay("ada", "bo", 3))
    early = build_early(bft, parent)
    finalize(bft, parent)
    bft.executor.forget_proposals()
    right = early.last_certificate
    assert right is not None
    forged = replace(right, signatures=(right.signatures[1], *right.signatures[1:]))
    assert refuse(bft, with_certificate(early, forged)) == Code.BAD_PROOF
    elsewhere = replace(right, block_id=BlockId(OTHER))
    assert refuse(bft, with_certificate(early, elsewhere)) == Code.INVALID_BLOCK
