"""Recovery phrases: a key as words that a person can write down, in English or simplified Chinese.

Words, checksum and stretching are the `mnemonic` package's. This file finds the language, says which word is
wrong without repeating any, and keeps the words out of texts and logs. What becomes of the seed is told in
`derivation.py`.

Source: BIP-39.
"""

import secrets
import unicodedata
from enum import Enum
from functools import cache
from typing import TYPE_CHECKING, Final, NoReturn

from node.errors import OperationError

if TYPE_CHECKING:
    from mnemonic import Mnemonic

WORD_COUNTS: Final = (12, 15, 18, 21, 24)
NEW_PHRASE_WORDS: Final = 12
"""128 bits of chance: as strong as the curve itself, and half as much to write down as 24 words."""


class Language(Enum):
    """Name a word list; the value is the name that `mnemonic` gives it."""

    ENGLISH = "english"
    CHINESE = "chinese_simplified"


class Phrase:
    """Hold a checked phrase that shows itself only when asked. Made by `new_phrase` and `read_phrase`."""

    __slots__ = ("_words", "language")

    def __init__(self, words: str, language: Language) -> None:
        self._words = words
        self.language = language

    def reveal(self) -> str:
        """Return the words, separated by single spaces, for the one screen that shows them."""
        return self._words

    def seed(self, passphrase: str = "") -> bytes:
        """Stretch to the 64-byte seed. The passphrase of BIP-39, another one than that of a key file."""
        return _book(self.language).to_seed(self._words, passphrase)

    def __repr__(self) -> str:
        return f"Phrase({len(self._words.split())} words, {self.language.value})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a phrase is neither copied nor pickled")


def new_phrase(language: Language = Language.ENGLISH, word_count: int = NEW_PHRASE_WORDS) -> Phrase:
    """Draw a new phrase from the chance of the operating system."""
    assert word_count in WORD_COUNTS
    return phrase_of(secrets.token_bytes(word_count * 4 // 3), language)


def phrase_of(entropy: bytes, language: Language = Language.ENGLISH) -> Phrase:
    """Write 16, 20, 24, 28 or 32 bytes as a phrase."""
    return Phrase(_book(language).to_mnemonic(entropy), language)


def read_phrase(text: str) -> Phrase:
    """Read what a person typed: any spacing, any case; Chinese words also without spaces.

    Raises:
        OperationError: phrase.word_count, phrase.word or phrase.checksum; positions are named, words never.
    """
    text = unicodedata.normalize("NFKD", text).lower()
    words = text.split()
    language = Language.ENGLISH if text.isascii() else Language.CHINESE
    if language is Language.CHINESE:
        words = list("".join(words))  # every word of the list is one character
    if len(words) not in WORD_COUNTS:
        raise _refused("word_count", f"it has {len(words)} words.", "type all 12, 15, 18, 21 or 24 words")
    book = _book(language)
    known = frozenset(book.wordlist)
    wrong = [str(position) for position, word in enumerate(words, 1) if word not in known]
    if wrong:
        why = f"not in the {language.value} word list: word {', '.join(wrong)}."
        raise _refused("word", why, "compare these words with what you wrote down")
    joined = " ".join(words)
    if not book.check(joined):
        raise _refused("checksum", "all words are known, but they do not fit together.", "check their order")
    return Phrase(joined, language)


def _refused(kind: str, why: str, do: str) -> OperationError:
    return OperationError(f"phrase.{kind}", "The recovery phrase was not accepted.", why, do)


@cache
def _book(language: Language) -> "Mnemonic":
    # Imported when first needed: most commands never touch a phrase, and all of them should start fast.
    from mnemonic import Mnemonic

    return Mnemonic(language.value)
