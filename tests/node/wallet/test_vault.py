"""A registrar's vault: who has the key reads, what is erased is gone, and one number makes one tag."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from node.errors import OperationError
from node.wallet import vault as v
from protocol import crypto
from protocol.crypto import SecretKey

REN, OTHER = (SecretKey(crypto.sha256(name)) for name in (b"ren", b"other"))
PAPERS = v.Papers(51, "nia.pdf", bytes(range(32)), b"born, lives, looks")


@pytest.fixture
def vault(tmp_path: Path) -> v.Vault:
    return v.Vault(tmp_path / "papers", REN)


def slug(call: object, *arguments: object) -> str:
    with pytest.raises(OperationError) as refused:
        call(*arguments)  # type: ignore[operator]
    return refused.value.slug


def test_what_was_kept_is_read_by_its_registrar_alone(vault: v.Vault, tmp_path: Path) -> None:
    commitment = vault.keep(PAPERS)
    assert commitment == crypto.sha256(PAPERS.salt + PAPERS.content)
    assert vault.open(commitment) == PAPERS and vault.has(commitment)
    assert vault.commitments() == (commitment,)
    assert v.Vault(tmp_path / "papers", REN).open(commitment) == PAPERS
    assert slug(v.Vault(tmp_path / "papers", OTHER).open, commitment) == "papers.damaged"
    on_disk = b"".join(path.read_bytes() for path in (tmp_path / "papers").iterdir())
    assert PAPERS.content not in on_disk and PAPERS.salt not in on_disk and b"nia.pdf" not in on_disk
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "papers").iterdir())


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.integers(0, 2**32 - 1), st.text("abc .", max_size=40), st.binary(max_size=32), st.binary(max_size=99)
)
def test_any_papers_come_back(vault: v.Vault, member: int, name: str, salt: bytes, content: bytes) -> None:
    papers = v.Papers(member, name, salt, content)
    assert vault.open(vault.keep(papers)) == papers


def test_what_is_erased_opens_no_more_from_a_copy_of_its_box(vault: v.Vault, tmp_path: Path) -> None:
    commitment = vault.keep(PAPERS)
    other = vault.keep(v.Papers(52, "otto.pdf", bytes(32), b"other"))
    box = tmp_path / "papers" / f"{commitment.hex()}.box"
    copy = box.read_bytes()
    vault.erase(commitment)
    assert not vault.has(commitment) and not box.exists() and vault.commitments() == (other,)
    assert slug(vault.open, commitment) == "papers.missing"
    box.write_bytes(copy)
    assert slug(vault.open, commitment) == "papers.missing"
    vault.erase(commitment)  # what is left of a record whose key is gone
    vault.erase(commitment)  # and again: it says nothing
    assert not box.exists() and vault.open(other).name == "otto.pdf"


def test_a_changed_byte_is_never_read(vault: v.Vault, tmp_path: Path) -> None:
    commitment = vault.keep(PAPERS)
    for path in sorted((tmp_path / "papers").iterdir()):
        data = path.read_bytes()
        for at in range(len(data)):
            path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
            assert slug(vault.open, commitment) == "papers.damaged"
        path.write_bytes(data[:5])
        assert slug(vault.open, commitment) == "papers.damaged"
        path.write_bytes(data)
    assert vault.open(commitment) == PAPERS


def test_records_that_change_places_are_not_read(vault: v.Vault, tmp_path: Path) -> None:
    first, second = vault.keep(PAPERS), vault.keep(v.Papers(52, "otto.pdf", bytes(32), b"other"))
    for suffix in ("key", "box"):
        one, two = (tmp_path / "papers" / f"{name.hex()}.{suffix}" for name in (first, second))
        one.write_bytes(two.read_bytes())
    assert slug(vault.open, first) == "papers.damaged"


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("x" * v.NAME_BYTES_MAX, "x" * v.NAME_BYTES_MAX),
        ("x" * (v.NAME_BYTES_MAX + 1), "x" * v.NAME_BYTES_MAX),
        ("x" * (v.NAME_BYTES_MAX - 1) + "\u00e9", "x" * (v.NAME_BYTES_MAX - 1)),
        ("passe\u0301.pdf", "pass\u00e9.pdf"),
        ("e\n\u0301\udc80\u200d", "\u00e9"),
    ],
)
def test_papers_of_any_name_can_be_opened_again(vault: v.Vault, name: str, kept: str) -> None:
    papers = v.Papers(1, v.shape_name(name), b"", b"born")
    assert vault.open(vault.keep(papers)).name == kept


def test_a_name_longer_than_a_record_holds_is_damage(vault: v.Vault) -> None:
    longer = vault.keep(v.Papers(1, "x" * (v.NAME_BYTES_MAX + 1), b"", b"born"))
    assert slug(vault.open, longer) == "papers.damaged"


def test_size_at_the_limit_and_one_above(vault: v.Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(v, "PAPERS_BYTES_MAX", 100)
    assert vault.open(vault.keep(v.Papers(1, "a", b"", bytes(100)))).content == bytes(100)
    assert slug(vault.keep, v.Papers(1, "a", b"", bytes(101))) == "papers.too_large"


def test_one_number_makes_one_tag_however_it_is_typed(vault: v.Vault, tmp_path: Path) -> None:
    tag = vault.compute_tag("370282-1990x")
    for same in (
        "3702821990X",
        " 3702 8219 90x ",
        "\uff13\uff17\uff10\uff12\uff18\uff12\uff11\uff19\uff19\uff10X",
    ):
        assert vault.compute_tag(same) == tag
    assert vault.compute_tag("370282-1991x") != tag
    assert v.Vault(tmp_path / "papers", REN).compute_tag("370282-1990x") == tag
    assert slug(vault.compute_tag, " - ") == "papers.number"


def test_registrars_with_one_pepper_make_one_tag(vault: v.Vault, tmp_path: Path) -> None:
    mate, stranger = v.Vault(tmp_path / "mate", OTHER), v.Vault(tmp_path / "stranger", OTHER)
    mate.set_pepper(vault.pepper())
    assert mate.compute_tag("7") == vault.compute_tag("7") != stranger.compute_tag("7")
    mate.set_pepper(vault.pepper())  # the same again
    assert slug(mate.set_pepper, stranger.pepper()) == "papers.pepper"
    for size in (v.PEPPER_BYTES - 1, v.PEPPER_BYTES + 1):
        assert slug(v.Vault(tmp_path / "new", REN).set_pepper, bytes(size)) == "papers.pepper"


def test_a_disk_that_says_no_is_said_in_words(tmp_path: Path) -> None:
    (tmp_path / "papers").write_bytes(b"a file where the folder should be")
    assert slug(v.Vault(tmp_path / "papers", REN).keep, PAPERS) == "papers.disk"


def test_a_file_at_the_limit_is_read_and_a_longer_one_is_damaged(
    vault: v.Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commitment = vault.keep(PAPERS)
    size = max(path.stat().st_size for path in (tmp_path / "papers").iterdir())
    monkeypatch.setattr(v, "_FILE_BYTES_MAX", size)
    assert vault.open(commitment) == PAPERS
    monkeypatch.setattr(v, "_FILE_BYTES_MAX", size - 1)
    assert slug(vault.open, commitment) == "papers.damaged"
