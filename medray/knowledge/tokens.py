"""Normalised tokens of a question, and a phrase matcher over them.

Text goes in, `Token`s come out: Unicode NFKC, case folded, plurals folded, each with the sentence and clause it stands
in. `PhraseMatcher` finds the longest known phrases in one pass. Nothing here knows what a phrase means.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")

_TOKEN = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*|\d+(?:[.,]\d+)*|[.!?;\n]+|[,:()]")
_APOSTROPHES = str.maketrans({"\u2019": "'", "\u2018": "'", "\u02bc": "'", "\u00b4": "'", "`": "'"})
_CONTRACTED_IS = frozenset({"what", "who", "he", "she", "it", "that", "where", "how", "there", "here", "let"})
_SILENT_E = ("che", "she", "sse", "xe")
_NOT_PLURAL = ("ss", "us", "is")


class Token(NamedTuple):
    """One normalised word or number (or break mark), its place, and the sentence and clause it belongs to."""

    text: str
    position: int
    sentence: int
    clause: int


def fold_word(word: str) -> str:
    """Fold a case-folded word to the form that its plural shares: tablets -> tablet, allergies -> allergy."""
    if "'" in word:
        stem, _, ending = word.rpartition("'")
        # Contractions stay apart from their first word: "what's" must not match every "what".
        if ending != "s" or stem in _CONTRACTED_IS:
            return word.replace("'", "")
        word = stem.replace("'", "")
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 3 and word.endswith("s") and not word.endswith(_NOT_PLURAL):
        word = word[:-1]
    # "rashes" loses only its s above; "rash" and "ache" must meet it, so the e goes on both sides.
    return word[:-1] if word.endswith(_SILENT_E) else word


def tokenize(text: str) -> list[Token]:
    """Split text into folded tokens; commas end a clause, full stops end a sentence as well. Linear in the text."""
    normal = unicodedata.normalize("NFKC", text).translate(_APOSTROPHES).casefold()
    tokens: list[Token] = []
    sentence = clause = 0
    for found in _TOKEN.findall(normal):
        mark = found[0]
        if mark in ".!?;\n":
            tokens.append(Token(".", len(tokens), sentence, clause))
            sentence, clause = sentence + 1, clause + 1
        elif mark in ",:()":
            tokens.append(Token(",", len(tokens), sentence, clause))
            clause += 1
        else:
            tokens.append(Token(fold_word(found), len(tokens), sentence, clause))
    return tokens


def fold_phrase(phrase: str, ignored: frozenset[str] = frozenset()) -> tuple[str, ...]:
    """Fold a phrase as `tokenize` folds a question, without the ignored words."""
    return tuple(token.text for token in tokenize(phrase) if token.text not in ignored)


class Match(NamedTuple, Generic[T]):
    """A phrase found at token indices [start, end) of the sequence searched, and what the phrase carries."""

    start: int
    end: int
    value: T


class PhraseMatcher(Generic[T]):
    """Finds known token n-grams: one dictionary look-up per length that some phrase with this first word has."""

    def __init__(self, phrases: Mapping[tuple[str, ...], T]) -> None:
        self._values = dict(phrases)
        lengths: dict[str, set[int]] = {}
        for phrase in self._values:
            lengths.setdefault(phrase[0], set()).add(len(phrase))
        self._lengths = {word: tuple(sorted(found, reverse=True)) for word, found in lengths.items()}

    def find(self, words: Sequence[str]) -> Iterator[Match[T]]:
        """Yield matches from left to right; one that lies inside a longer one is left out."""
        covered = 0
        for start, word in enumerate(words):
            for length in self._lengths.get(word, ()):
                key = (word,) if length == 1 else tuple(words[start : start + length])
                value = self._values.get(key)
                if value is None:
                    continue
                if start + length > covered:
                    covered = start + length
                    yield Match(start, covered, value)
                break
