"""Proofs from outside: sizes at and above each limit, garbage, and the published vectors for lists."""

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.errors import Code, Rejected
from protocol.merkle.proof import (
    ENTRY_BYTES,
    LIST_LEVELS_MAX,
    PAGE_ENTRIES_MAX,
    SIBLINGS_BYTES,
    STATE_LEVELS_MAX,
    ListProof,
    StateProof,
    list_root,
    prove_item,
    verify_item,
    verify_leaf_hash,
    verify_state,
)

VECTORS = Path(__file__).parents[2] / "vectors" / "merkle" / "rfc6962_inclusion.json"
CASES: list[dict[str, Any]] = json.loads(VECTORS.read_text())["cases"]

# The eight leaves of the reference tree of Certificate Transparency, to which the published proofs belong.
LEAVES_HEX = ". 00 10 2021 3031 40414243 5051525354555657 606162636465666768696a6b6c6d6e6f"
LEAVES = [bytes.fromhex(leaf.strip(".")) for leaf in LEAVES_HEX.split()]

garbage = st.recursive(
    st.none() | st.booleans() | st.integers() | st.binary(max_size=600) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4).map(tuple),
)
siblings_or_nearly = st.binary(min_size=480, max_size=480) | st.binary(max_size=481)
sibling_lists = st.lists(siblings_or_nearly, max_size=20).map(tuple)

FULL_PAGE = bytes(PAGE_ENTRIES_MAX * ENTRY_BYTES)
FULL_PATH = (bytes(SIBLINGS_BYTES),) * STATE_LEVELS_MAX


def from_base64(text: str) -> bytes:
    return base64.b64decode(text)


# --- state proofs from outside


@given(garbage)
def test_garbage_is_rejected_or_a_proof(value: object) -> None:
    for kind in (StateProof, ListProof):
        try:
            proof = kind.from_value(value)
        except Rejected as rejected:
            assert rejected.code == Code.MALFORMED
        else:
            assert proof.to_value() == value


@pytest.mark.parametrize(
    "value",
    [
        (FULL_PAGE + bytes(ENTRY_BYTES), ()),
        (FULL_PAGE[1:], ()),
        (b"", (*FULL_PATH, bytes(SIBLINGS_BYTES))),
        (b"", (bytes(SIBLINGS_BYTES + 1),)),
        (b"", (bytes(SIBLINGS_BYTES - 1),)),
        (b"", ("x" * SIBLINGS_BYTES,)),
        (b"", [bytes(SIBLINGS_BYTES)]),
        (bytearray(), ()),
        (b"", (), ()),
        [b"", ()],
        b"",
        None,
    ],
)
def test_a_state_proof_beyond_a_limit_is_rejected(value: object) -> None:
    with pytest.raises(Rejected) as caught:
        StateProof.from_value(value)
    assert caught.value.code == Code.MALFORMED


def test_a_state_proof_at_each_limit_is_taken() -> None:
    assert StateProof.from_value((FULL_PAGE, FULL_PATH)) == StateProof(FULL_PAGE, FULL_PATH)


def test_a_list_proof_at_and_above_its_limit() -> None:
    path = (bytes(32),) * LIST_LEVELS_MAX
    assert ListProof.from_value(path) == ListProof(path)
    for value in [(*path, bytes(32)), (bytes(31),), (bytes(33),), list(path), b""]:
        with pytest.raises(Rejected):
            ListProof.from_value(value)


@given(st.binary(max_size=33), st.binary(), st.none() | st.binary(), st.binary(max_size=200), sibling_lists)
def test_verifying_never_raises(
    root: bytes, key: bytes, value: bytes | None, page: bytes, siblings: tuple[bytes, ...]
) -> None:
    assert not verify_state(root, key, value, StateProof(page, siblings))


# --- lists


def reference_list_root(leaves: list[bytes]) -> bytes:
    """Compute MTH as RFC 6962, 2.1 writes it."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    cut = 1
    while cut * 2 < len(leaves):
        cut *= 2
    halves = reference_list_root(leaves[:cut]) + reference_list_root(leaves[cut:])
    return hashlib.sha256(b"\x01" + halves).digest()


def reference_path(index: int, leaves: list[bytes]) -> list[bytes]:
    """Compute PATH as RFC 6962, 2.1.1 writes it."""
    if len(leaves) == 1:
        return []
    cut = 1
    while cut * 2 < len(leaves):
        cut *= 2
    if index < cut:
        return [*reference_path(index, leaves[:cut]), reference_list_root(leaves[cut:])]
    return [*reference_path(index - cut, leaves[cut:]), reference_list_root(leaves[:cut])]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["file"])
def test_published_inclusion_proof(case: dict[str, Any]) -> None:
    proof = ListProof(tuple(from_base64(step) for step in case["proof"] or ()))
    root, leaf_hash = from_base64(case["root"]), from_base64(case["leafHash"])
    accepted = verify_leaf_hash(root, case["treeSize"], case["leafIdx"], leaf_hash, proof)
    assert accepted is not case["wantErr"]


def test_published_proofs_are_the_ones_we_make() -> None:
    happy = [case for case in CASES if case["desc"] == "happy path"]
    assert len(happy) == 5
    for case in happy:
        leaves, index = LEAVES[: case["treeSize"]], case["leafIdx"]
        assert list_root(leaves) == from_base64(case["root"])
        assert prove_item(leaves, index).path == tuple(from_base64(step) for step in case["proof"] or ())


def test_every_item_of_every_small_list() -> None:
    for size in range(1, 34):
        leaves = [b"%d" % n for n in range(size)]
        root = list_root(leaves)
        assert root == reference_list_root(leaves)
        for index in range(size):
            proof = prove_item(leaves, index)
            assert list(proof.path) == reference_path(index, leaves)
            # Only the true place and the true item pass.
            places = [
                (other_size, other)
                for other_size in (size - 1, size, size + 1)
                for other in range(-1, size + 2)
                if verify_item(root, other_size, other, leaves[index], proof)
            ]
            assert (size, index) in places
            assert {place for claimed_size, place in places if claimed_size == size} == {index}
            assert not verify_item(root, size, index, b"other", proof)


def test_empty_list() -> None:
    assert list_root([]) == hashlib.sha256(b"").digest()
    assert not verify_item(list_root([]), 0, 0, b"", ListProof(()))
    with pytest.raises(AssertionError):
        prove_item([], 0)


@given(st.lists(st.binary(max_size=4), min_size=1, max_size=40), st.data())
@settings(deadline=None)
def test_any_flipped_bit_breaks_a_list_proof(leaves: list[bytes], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(leaves) - 1))
    parts = [*prove_item(leaves, index).path, list_root(leaves)]
    part = data.draw(st.integers(0, len(parts) - 1))
    bit = data.draw(st.integers(0, 255))
    flipped = bytearray(parts[part])
    flipped[bit // 8] ^= 1 << bit % 8
    parts[part] = bytes(flipped)
    assert not verify_item(parts[-1], len(leaves), index, leaves[index], ListProof(tuple(parts[:-1])))


@given(st.binary(max_size=33), st.integers(), st.integers(), st.lists(st.binary(max_size=33), max_size=70))
def test_verifying_an_item_never_raises(root: bytes, size: int, index: int, path: list[bytes]) -> None:
    assert not verify_item(root, size, index, b"leaf", ListProof(tuple(path)))


def test_a_size_beyond_the_limit_ends() -> None:
    """A list of 2^64 items would need more levels than a proof may have."""
    path = ListProof((bytes(32),) * LIST_LEVELS_MAX)
    assert not verify_item(bytes(32), 1 << 64, 0, b"leaf", path)
    assert not verify_item(bytes(32), 1 << 10_000, (1 << 10_000) - 1, b"leaf", path)
