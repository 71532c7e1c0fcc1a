"""The signer: one content a place, over restarts, torn writes and other processes."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.errors import OperationError
from node.signer import SLOT_BYTES, Place, Signer, SignKind, place_of
from protocol import crypto
from protocol.chain.certificate import Vote, VoteKind
from protocol.chain.claim import Claim
from protocol.consensus.messages import Beat, Grant, VoteRequest
from protocol.crypto import SecretKey
from protocol.types import BlockId, EpochNumber, Hash32, Height, View

SECRET = SecretKey(crypto.sha256(b"a validator"))
PUBLIC = crypto.public_key_of(SECRET)
ONE, TWO = crypto.sha256(b"one"), crypto.sha256(b"two")


def place(height: int, view: int = 1, epoch: int = 0, kind: SignKind = SignKind.ACK) -> Place:
    return Place(kind, EpochNumber(epoch), Height(height), View(view))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    Signer.create(tmp_path / "sign_state", PUBLIC)
    return tmp_path / "sign_state"


@pytest.fixture
def signer(path: Path) -> Iterator[Signer]:
    opened = Signer.open(path, SECRET)
    yield opened
    opened.close()


def refused(signer: Signer, where: Place, digest: Hash32, slug: str = "sign_state.double_sign") -> None:
    with pytest.raises(OperationError) as caught:
        signer.sign_at(where, digest)
    assert caught.value.slug == slug


def test_the_signature_is_of_the_key(signer: Signer) -> None:
    assert crypto.verify(signer.public_key, ONE, signer.sign_at(place(1), ONE))


def test_the_same_again_gives_the_same_bytes(signer: Signer) -> None:
    assert signer.sign_at(place(1), ONE) == signer.sign_at(place(1), ONE)


def test_something_else_or_something_before_is_refused(signer: Signer) -> None:
    signer.sign_at(place(5, 3, 1), ONE)
    refused(signer, place(5, 3, 1), TWO)
    refused(signer, place(5, 2, 1), TWO)
    refused(signer, place(5, 2, 1), ONE)
    refused(signer, place(4, 9, 1), TWO)
    refused(signer, place(9, 9, 0), TWO)
    signer.sign_at(place(5, 4, 1), TWO)
    signer.sign_at(place(6, 0, 1), ONE)
    signer.sign_at(place(7, 0, 2), TWO)


def test_kinds_are_apart(signer: Signer) -> None:
    for kind in SignKind:
        signer.sign_at(place(5, kind=kind), crypto.sha256(kind.name.encode()))


@pytest.mark.parametrize("kind", [SignKind.GRANT, SignKind.VOTE_REQUEST])
def test_a_term_has_one_grant_and_one_claim_at_whatever_height(signer: Signer, kind: SignKind) -> None:
    signer.sign_at(place(5, 2, kind=kind), ONE)
    refused(signer, place(6, 2, kind=kind), TWO)
    refused(signer, place(7, 1, kind=kind), TWO)
    signer.sign_at(place(4, 3, kind=kind), TWO)


def test_it_remembers_over_a_restart(path: Path) -> None:
    first = Signer.open(path, SECRET)
    signature = first.sign_at(place(1), ONE)
    first.sign_at(place(8, kind=SignKind.PROPOSAL), TWO)
    first.close()
    second = Signer.open(path, SECRET)
    refused(second, place(1), TWO)
    refused(second, place(8, kind=SignKind.PROPOSAL), ONE)
    assert second.sign_at(place(1), ONE) == signature
    second.close()


def test_a_torn_write_leaves_what_was_given_out(path: Path) -> None:
    signer = Signer.open(path, SECRET)
    signer.sign_at(place(1), ONE)
    before = path.read_bytes()
    signer.sign_at(place(2), ONE)
    signer.close()
    after = path.read_bytes()
    (at,) = [n for n in (0, SLOT_BYTES) if before[n : n + SLOT_BYTES] != after[n : n + SLOT_BYTES]]
    for torn in range(0, 360, 8):  # as far as a power cut let the write come
        path.write_bytes(before[:at] + after[at : at + torn] + before[at + torn :])
        again = Signer.open(path, SECRET)
        refused(again, place(1), TWO)
        again.sign_at(place(2), TWO)
        again.close()


def test_a_file_of_another_version_is_not_called_damaged(path: Path) -> None:
    data = path.read_bytes()
    for both, slug in ((True, "sign_state.other_version"), (False, None)):
        newer = data.replace(b"sign-state-1", b"sign-state-2", 2 if both else 1)
        path.write_bytes(newer)
        if slug is None:
            Signer.open(path, SECRET).close()
        else:
            with pytest.raises(OperationError) as caught:
                Signer.open(path, SECRET)
            assert caught.value.slug == slug


def test_a_damaged_file_is_refused(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[40] ^= 1
    data[SLOT_BYTES + 40] ^= 1
    path.write_bytes(data)
    for content in (bytes(data), b"", bytes(2 * SLOT_BYTES)):
        path.write_bytes(content)
        with pytest.raises(OperationError) as caught:
            Signer.open(path, SECRET)
        assert caught.value.slug == "sign_state.damaged"


def test_a_missing_record_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OperationError) as caught:
        Signer.open(tmp_path / "sign_state", SECRET)
    assert caught.value.slug == "sign_state.missing"


def test_a_record_is_never_begun_twice(path: Path) -> None:
    with pytest.raises(OperationError) as caught:
        Signer.create(path, PUBLIC)
    assert caught.value.slug == "sign_state.exists"
    assert {p.name for p in path.parent.iterdir()} == {"sign_state", "sign_state.lease"}


def test_another_key_is_refused(path: Path) -> None:
    with pytest.raises(OperationError) as caught:
        Signer.open(path, SecretKey(crypto.sha256(b"another")))
    assert caught.value.slug == "sign_state.other_key"
    Signer.open(path, SECRET).close()


def test_two_signers_are_refused(signer: Signer, path: Path) -> None:
    with pytest.raises(OperationError) as caught:
        Signer.open(path, SECRET)
    assert caught.value.slug == "sign_state.locked"


def test_an_adopted_key_signs_above_its_height_only(tmp_path: Path) -> None:
    Signer.create(tmp_path / "sign_state", PUBLIC, after_height=100)
    signer = Signer.open(tmp_path / "sign_state", SECRET)
    for kind in SignKind:
        refused(signer, place(100, kind=kind), ONE)
        signer.sign_at(place(101, kind=kind), ONE)
    signer.close()


def test_a_failed_write_ends_signing(signer: Signer, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(file: int) -> None:
        raise OSError("no space")

    signer.sign_at(place(1), ONE)
    with monkeypatch.context() as patch:
        patch.setattr("os.fdatasync", fail)
        refused(signer, place(2), ONE, "sign_state.unwritable")
    refused(signer, place(2), ONE, "sign_state.unwritable")


def test_nothing_is_signed_before_it_is_synced(signer: Signer, monkeypatch: pytest.MonkeyPatch) -> None:
    order = []
    real_sync, real_sign = __import__("os").fdatasync, crypto.sign
    monkeypatch.setattr("os.fdatasync", lambda file: (order.append("sync"), real_sync(file)))
    monkeypatch.setattr(crypto, "sign", lambda *a: (order.append("sign"), real_sign(*a))[1])
    signer.sign_at(place(1), ONE)
    signer.sign_at(place(1), ONE)
    assert order == ["sync", "sign", "sign"]


async def test_messages_are_signed_at_their_place(signer: Signer) -> None:
    vote = Vote(EpochNumber(0), VoteKind.ACK, Height(3), View(2), BlockId(ONE), None, 0)
    assert await signer.sign(vote, ONE) == signer.sign_at(place(3, 2), ONE)
    claim = Claim(EpochNumber(0), Height(3), View(2), 0, View(0), None, False)
    pre = Claim(EpochNumber(0), Height(3), View(9), 0, View(0), None, True)
    assert place_of(Grant(claim, 1)) == place(3, 2, kind=SignKind.GRANT)
    assert place_of(VoteRequest(claim)) == place(3, 2, kind=SignKind.VOTE_REQUEST)
    # A question promises nothing: it is signed as often as it is asked, and moves nothing.
    assert place_of(VoteRequest(pre)) is place_of(Grant(pre, 1)) is None
    assert await signer.sign(Grant(pre, 1), ONE) != await signer.sign(Grant(pre, 1), TWO)
    assert place_of(Beat(EpochNumber(0), Height(3), View(2), 1, False)) is None
    with pytest.raises(OperationError):
        await signer.sign(vote, TWO)


def test_an_early_proposal_does_not_silence_the_height_below(tmp_path: Path) -> None:
    Signer.create(tmp_path / "sign_state", PUBLIC)
    signer = Signer.open(tmp_path / "sign_state", SECRET)
    signer.sign_at(place(8, kind=SignKind.PROPOSAL), ONE)
    signer.sign_at(place(7, 1, kind=SignKind.PROPOSAL), ONE)
    signer.close()
    again = Signer.open(tmp_path / "sign_state", SECRET)
    refused(again, place(8, kind=SignKind.PROPOSAL), TWO)
    refused(again, place(7, 1, kind=SignKind.PROPOSAL), TWO)
    refused(again, place(6, kind=SignKind.PROPOSAL), ONE)
    again.close()


@given(
    st.lists(
        st.tuples(
            st.sampled_from(SignKind),
            st.integers(0, 1),
            st.integers(1, 3),
            st.integers(0, 2),
            st.booleans(),
            st.booleans(),
        ),
        max_size=40,
    )
)
def test_no_place_ever_has_two_contents(
    tmp_path_factory: pytest.TempPathFactory, asks: list[tuple[SignKind, int, int, int, bool, bool]]
) -> None:
    path = tmp_path_factory.mktemp("signer") / "sign_state"
    Signer.create(path, PUBLIC)
    signer = Signer.open(path, SECRET)
    given_out: dict[tuple[int, ...], Hash32] = {}
    for kind, epoch, height, view, content, is_restart in asks:
        if is_restart:
            signer.close()
            signer = Signer.open(path, SECRET)
        where, digest = place(height, view, epoch, kind), ONE if content else TWO
        try:
            signer.sign_at(where, digest)
        except OperationError:
            continue
        key = (where.slot, *where.order())
        assert given_out.setdefault(key, digest) == digest
        assert all(other <= key for other in given_out if other[0] == where.slot)
    signer.close()


WRITER = """
import sys
from pathlib import Path
from node.signer import Place, Signer, SignKind
from protocol import crypto
from protocol.crypto import SecretKey
signer = Signer.open(Path(sys.argv[1]), SecretKey(crypto.sha256(b"a validator")))
for height in range(int(sys.argv[2]), 100_000):
    signer.sign_at(Place(SignKind.ACK, 0, height, 1), crypto.sha256(b"one"))
    print(height, flush=True)
"""


def test_kill_9_forgets_no_signature(path: Path) -> None:
    height = 1
    for round_ in range(4):
        command = [sys.executable, "-c", WRITER, str(path), str(height)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            for _ in range(1 + round_):
                height = int(writer.stdout.readline())
            writer.kill()
            height = max([height, *(int(line) for line in writer.stdout if line.endswith("\n"))])
        signer = Signer.open(path, SECRET)
        refused(signer, place(height), TWO)
        signer.close()
        height += 2
