"""Phrases against the vectors of BIP-39, and what a person who mistypes is told."""

import copy
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.errors import OperationError
from node.wallet.phrase import WORD_COUNTS, Language, Phrase, new_phrase, phrase_of, read_phrase

VECTORS = Path(__file__).resolve().parents[2] / "vectors"
ENGLISH = "legal winner thank year wave sausage worth useful legal winner thank yellow"


def refuse(text: str) -> OperationError:
    with pytest.raises(OperationError) as refused:
        read_phrase(text)
    return refused.value


def test_bip39_english() -> None:
    cases = json.loads((VECTORS / "bip" / "bip39_trezor.json").read_bytes())["english"]
    for entropy, words, seed, _ in cases:
        assert phrase_of(bytes.fromhex(entropy)).reveal() == words
        assert read_phrase(words).seed("TREZOR").hex() == seed
    assert len(cases) == 24


def test_chinese_with_and_without_spaces() -> None:
    words = phrase_of(bytes(16), Language.CHINESE).reveal()
    assert words == "的 的 的 的 的 的 的 的 的 的 的 在"
    for typed in (words, words.replace(" ", ""), words.replace(" ", "\u3000"), f" {words}\n"):
        phrase = read_phrase(typed)
        assert (phrase.reveal(), phrase.language) == (words, Language.CHINESE)
        assert phrase.seed() == phrase_of(bytes(16), Language.CHINESE).seed()


def test_spacing_and_case_do_not_matter() -> None:
    assert read_phrase(f"  {ENGLISH.upper()} \n".replace(" ", "\t  ")).seed() == read_phrase(ENGLISH).seed()


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("word_count", WORD_COUNTS)
def test_a_new_phrase_can_be_typed_in_again(language: Language, word_count: int) -> None:
    phrase = new_phrase(language, word_count)
    assert len(phrase.reveal().split()) == word_count
    assert read_phrase(phrase.reveal()).seed() == phrase.seed()
    assert new_phrase(language, word_count).reveal() != phrase.reveal()


def test_what_is_wrong_is_named_by_position_only() -> None:
    words = ENGLISH.split()
    assert refuse(" ".join(words[:11])).slug == "phrase.word_count"
    assert refuse(" ".join([*words, "yellow"])).slug == "phrase.word_count"
    assert refuse("").slug == "phrase.word_count"

    words[2], words[7] = "thanx", "usefull"
    wrong = refuse(" ".join(words))
    assert wrong.slug == "phrase.word" and "word 3, 8." in wrong.why
    assert not any(word in str(wrong) for word in ("thanx", "usefull", "legal", "winner"))

    swapped = ENGLISH.replace("thank year", "year thank")
    assert refuse(swapped).slug == "phrase.checksum"


@given(st.text(max_size=200))
def test_no_text_raises_anything_but_its_error(text: str) -> None:
    try:
        assert isinstance(read_phrase(text), Phrase)
    except OperationError as refused:
        assert refused.slug.startswith("phrase.")


def test_a_phrase_shows_itself_only_when_asked() -> None:
    phrase = read_phrase(ENGLISH)
    for text in (repr(phrase), str(phrase), f"{phrase}", repr([phrase])):
        assert "legal" not in text
    with pytest.raises(TypeError):
        copy.copy(phrase)
