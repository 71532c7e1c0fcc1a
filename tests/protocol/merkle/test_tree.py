"""The state tree against a reference that knows nothing but the hash rule: a dict, sorted and hashed anew."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.crypto import Domain
from protocol.merkle.proof import (
    ENTRY_BYTES,
    PAGE_BYTES_MAX,
    PAGE_ENTRIES_MAX,
    STATE_LEVELS_MAX,
    StateProof,
    hash_page,
    verify_state,
)
from protocol.merkle.tree import BITS_MAX, StateTree

keys = st.binary(max_size=2)
values = st.binary(max_size=3)
changes = st.dictionaries(keys, st.none() | values, max_size=40)
states = st.dictionaries(keys, values, max_size=60)
tree_bits = st.sampled_from([4, 8])

DIGITS = "0123456789abcdef"


def digest(domain: Domain, data: bytes) -> bytes:
    text = domain.value.encode()
    return hashlib.sha256(bytes([len(text)]) + text + data).digest()


def reference_root(bits: int, state: dict[bytes, bytes], page_entries_max: int = 256) -> bytes:
    """Compute the root from the words of the module docstring, in hexadecimal and without any shortcut."""
    entries = {
        digest(Domain.STATE_KEY, key).hex(): digest(Domain.STATE_VALUE, value) for key, value in state.items()
    }

    def below(path: str) -> bytes:
        mine = sorted(key for key in entries if key.startswith(path))
        if len(path) * 4 >= bits and len(mine) <= page_entries_max:
            return digest(Domain.STATE_PAGE, b"".join(bytes.fromhex(key) + entries[key] for key in mine))
        return digest(Domain.STATE_NODE, b"".join(below(path + digit) for digit in DIGITS))

    return below("")


def apply(state: dict[bytes, bytes], batch: dict[bytes, bytes | None]) -> None:
    for key, value in batch.items():
        if value is None:
            state.pop(key, None)
        else:
            state[key] = value


def update(tree: StateTree, batch: dict[bytes, bytes | None]) -> None:
    tree.commit(tree.preview(batch))


def keys_below(path: str, count: int) -> list[bytes]:
    """Find keys whose hashes start with the same nibbles, as somebody would who wants to fill one bucket."""
    found: list[bytes] = []
    number = 0
    while len(found) < count:
        key = b"%d" % number
        if digest(Domain.STATE_KEY, key).hex().startswith(path):
            found.append(key)
        number += 1
    return found


PROBES = tuple([keys_below(f"{path:02x}", 1)[0] for path in range(256)])
"""A key for each path of two nibbles, so for each bucket of a tree of 4 or 8 bits."""


def contents(tree: StateTree) -> tuple[object, ...]:
    """All that a caller can see of a tree."""
    return tree.root, tree.size, [tree.prove(key) for key in PROBES]


# --- one root for one set


@given(tree_bits, st.lists(changes, max_size=5))
@settings(deadline=None)
def test_any_batches_give_the_root_of_the_final_set(
    bits: int, batches: list[dict[bytes, bytes | None]]
) -> None:
    tree = StateTree(bits)
    state: dict[bytes, bytes] = {}
    for batch in batches:
        update(tree, batch)
        apply(state, batch)
        assert tree.root == reference_root(bits, state)
        assert tree.size == len(state)
    assert contents(tree) == contents(StateTree.build(bits, state.items()))


@given(states, st.randoms(use_true_random=False))
@settings(deadline=None)
def test_order_and_batching_do_not_matter(state: dict[bytes, bytes], random: object) -> None:
    items = list(state.items())
    random.shuffle(items)  # type: ignore[attr-defined]
    one_by_one = StateTree(4)
    for key, value in items:
        update(one_by_one, {key: value})
    assert one_by_one.root == StateTree.build(4, state.items()).root == StateTree.build(4, items).root


@given(states)
@settings(deadline=None)
def test_deleting_everything_gives_the_empty_root(state: dict[bytes, bytes]) -> None:
    tree = StateTree.build(8, state.items())
    update(tree, dict.fromkeys(state))
    assert tree.size == 0
    assert contents(tree) == contents(StateTree(8))


def test_deleting_an_absent_key_changes_nothing() -> None:
    tree = StateTree.build(8, [(b"a", b"1")])
    assert tree.preview({b"b": None}).root == tree.root
    assert tree.preview({}).root == tree.root


def test_root_depends_on_the_number_of_buckets() -> None:
    assert StateTree(4).root != StateTree(8).root


def test_root_is_frozen() -> None:
    """Bytes that all nodes agree on: they change only on purpose, with a new version of the domains."""
    items = [(b"key %d" % n, b"value %d" % n) for n in range(1_000)]
    assert StateTree(12).root.hex() == "7258847001410c2477bc5d868e0c71a7bb23a973524272fc2d8af4949e3806df"
    full8, full12 = StateTree.build(8, items).root, StateTree.build(12, items).root
    assert full8.hex() == "6608e094962857b7e2af2c0eb74ab6128cb3e8ac8f20b55a695882efb732b2a4"
    assert full12.hex() == "01ae13ffa99febdadc648a0744b2af6db9f6986dfa1a8dcf7a1b0781c6bebe3e"


@pytest.mark.parametrize("bits", [-4, 0, 3, 6, BITS_MAX + 4])
def test_bits_outside_the_rule_are_our_bug(bits: int) -> None:
    with pytest.raises(AssertionError):
        StateTree(bits)


def test_a_key_twice_in_a_build_is_our_bug() -> None:
    with pytest.raises(AssertionError):
        StateTree.build(4, [(b"a", b"1"), (b"a", b"2")])


# --- preview and commit


@given(states, changes)
@settings(deadline=None)
def test_preview_changes_nothing(state: dict[bytes, bytes], batch: dict[bytes, bytes | None]) -> None:
    tree = StateTree.build(4, state.items())
    before = contents(tree)
    delta = tree.preview(batch)
    assert contents(tree) == before
    after = dict(state)
    apply(after, batch)
    assert delta.root == reference_root(4, after)
    tree.commit(delta)
    assert tree.root == delta.root


@given(states, changes, changes)
@settings(deadline=None)
def test_a_dropped_preview_leaves_no_trace(
    state: dict[bytes, bytes], dropped: dict[bytes, bytes | None], batch: dict[bytes, bytes | None]
) -> None:
    tree = StateTree.build(4, state.items())
    tree.preview(dropped)
    update(tree, batch)
    apply(state, batch)
    assert contents(tree) == contents(StateTree.build(4, state.items()))


def test_a_delta_of_another_root_is_our_bug() -> None:
    tree = StateTree(4)
    stale = tree.preview({b"a": b"1"})
    update(tree, {b"b": b"2"})
    with pytest.raises(AssertionError):
        tree.commit(stale)


# --- proofs


@given(states, keys, values, tree_bits)
@settings(deadline=None)
def test_proofs_show_exactly_what_is_there(
    state: dict[bytes, bytes], key: bytes, value: bytes, bits: int
) -> None:
    tree = StateTree.build(bits, state.items())
    for asked in [key, *state]:
        proof = tree.prove(asked)
        held = state.get(asked)
        assert verify_state(tree.root, asked, held, proof)
        assert verify_state(tree.root, asked, value, proof) == (held == value)
        assert verify_state(tree.root, asked, None, proof) == (held is None)
        assert StateProof.from_value(proof.to_value()) == proof


@given(st.dictionaries(keys, values, min_size=1, max_size=60), st.data())
@settings(deadline=None)
def test_any_flipped_bit_breaks_a_proof(state: dict[bytes, bytes], data: st.DataObject) -> None:
    tree = StateTree.build(8, state.items())
    key = data.draw(st.sampled_from(sorted(state)))
    proof = tree.prove(key)
    parts = [proof.page, *proof.siblings, tree.root]
    part = data.draw(st.integers(0, len(parts) - 1))
    bit = data.draw(st.integers(0, len(parts[part]) * 8 - 1))
    flipped = bytearray(parts[part])
    flipped[bit // 8] ^= 1 << bit % 8
    parts[part] = bytes(flipped)
    assert not verify_state(parts[-1], key, state[key], StateProof(parts[0], tuple(parts[1:-1])))


def test_a_proof_speaks_only_for_its_own_path() -> None:
    """The page of another bucket does not hold the key: that must never pass for its absence."""
    tree = StateTree.build(8, [(b"%d" % n, b"v") for n in range(100)])
    key = b"7"
    passed = [other for other in range(100) if verify_state(tree.root, key, None, tree.prove(b"%d" % other))]
    assert passed == []
    shorter = tree.prove(key)
    assert not verify_state(tree.root, b"absent", None, StateProof(shorter.page, shorter.siblings[1:]))
    assert not verify_state(tree.root, b"absent", None, StateProof(b"", ()))


def test_a_proof_fails_under_another_root() -> None:
    tree = StateTree.build(8, [(b"a", b"1")])
    proof = tree.prove(b"a")
    update(tree, {b"b": b"2"})
    assert not verify_state(tree.root, b"a", b"1", proof)


def test_a_key_stored_as_a_value_is_not_found() -> None:
    tree = StateTree.build(4, [(b"%d" % n, b"absent") for n in range(50)])
    assert verify_state(tree.root, b"absent", None, tree.prove(b"absent"))


# --- a bucket that somebody fills on purpose


@pytest.fixture(scope="module")
def crowd() -> list[bytes]:
    return keys_below("7", PAGE_ENTRIES_MAX + 40)


@pytest.mark.parametrize("extra", [-1, 0, 1, 40])
def test_a_page_at_the_limit_is_hashed_whole_and_above_it_in_parts(crowd: list[bytes], extra: int) -> None:
    state = dict.fromkeys(crowd[: PAGE_ENTRIES_MAX + extra], b"v")
    tree = StateTree.build(4, state.items())
    grown = StateTree.build(4, list(state.items())[:-2])
    update(grown, dict(list(state.items())[-2:]))
    assert tree.root == grown.root == reference_root(4, state)
    for key in [crowd[0], crowd[100], b"absent"]:
        proof = tree.prove(key)
        assert len(proof.page) <= PAGE_BYTES_MAX
        assert verify_state(tree.root, key, state.get(key), proof)
        assert StateProof.from_value(proof.to_value()) == proof
    assert len(tree.prove(crowd[0]).siblings) == (1 if extra <= 0 else 2)
    update(tree, {crowd[0]: b"changed", crowd[1]: None, crowd[2]: None, crowd[-1]: b"new"})
    apply(state, {crowd[0]: b"changed", crowd[1]: None, crowd[2]: None, crowd[-1]: b"new"})
    assert tree.root == reference_root(4, state)


def test_proofs_beside_and_inside_a_part_that_is_cut_again() -> None:
    crowd = keys_below("7a", PAGE_ENTRIES_MAX + 10)
    others = keys_below("7", 40)
    state = dict.fromkeys(crowd + others, b"v")
    tree = StateTree.build(4, state.items())
    assert tree.root == reference_root(4, state)
    assert len(tree.prove(crowd[0]).siblings) == 3
    for key in [*crowd[:5], *others]:
        assert verify_state(tree.root, key, b"v", tree.prove(key))


def test_parts_are_cut_as_deep_as_needed() -> None:
    """Entries made by hand: honest hashes that share 60 bits cannot be found."""

    def entry(number: int) -> bytes:
        return bytes(7) + (number << 4).to_bytes(25, "little") + bytes(32)

    page = b"".join(sorted(entry(number) for number in range(PAGE_ENTRIES_MAX + 1)))

    def below(entries: bytes, depth: int) -> bytes:
        if len(entries) <= PAGE_BYTES_MAX:
            return digest(Domain.STATE_PAGE, entries)
        parts = [b""] * 16
        for at in range(0, len(entries), ENTRY_BYTES):
            one = entries[at : at + ENTRY_BYTES]
            parts[int(one.hex()[depth], 16)] += one
        return digest(Domain.STATE_NODE, b"".join(below(part, depth + 1) for part in parts))

    assert hash_page(page, 1) == below(page, 1)
    assert hash_page(page, 4) == below(page, 4)
    assert STATE_LEVELS_MAX * 4 == 64


def test_previews_above_each_other_are_one_change() -> None:
    """Several blocks are computed before the first is in place; the tree then goes to the last at once."""
    state = {b"%d" % n: b"first" for n in range(60)}
    tree = StateTree.build(4, list(state.items()))
    before, delta = tree.root, None
    for step in range(5):
        changes = {b"%d" % (7 * n + step): None if n % 3 == step % 3 else b"%d" % step for n in range(12)}
        delta = tree.preview(changes, delta)
        state = {key: value for key, value in {**state, **changes}.items() if value is not None}
        assert delta.root == StateTree.build(4, list(state.items())).root and delta.size == len(state)
        assert tree.root == before
    assert delta is not None
    tree.commit(delta)
    assert tree.prove(b"1") == StateTree.build(4, list(state.items())).prove(b"1")
