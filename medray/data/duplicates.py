"""Exact and near duplicates, as pure functions over rows and small tables of keys.

A row becomes three keys: `exact` (its texts), a guard (everything that makes a similar text another lesson) and the
MinHash bands of its word shingles, each hashed with the guard. Only rows of one band key are ever compared, and they
are duplicates when the Jaccard index of their shingles reaches the threshold. The guard holds, in order, the numbers
with the word after them, number and frequency words, negations and comparisons, the drug-like words of the whole row,
and the content words of the question: a dose, a unit, a "not" or a drug that differs is a different lesson.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from medray.config import Config, parse_yaml, validate
from medray.data.example import Example
from medray.data.ngrams import mix, ngram_hashes
from medray.data.text import hash64, words

Keys: TypeAlias = npt.NDArray[np.uint64]

PERMUTATIONS = 128
_SHINGLE_WORDS = 3
_MISS_AT_THRESHOLD = 0.01
_FACTOR = np.uint64(0x9E3779B97F4A7C15)


class GuardWords(Config):
    """The word lists of guard_words.yaml, each one line of words."""

    counts: str
    polarity: str
    function_words: str
    drug_endings: str
    drug_names: str


@dataclass(frozen=True, slots=True)
class RowKeys:
    """What one row is compared by: 64 bits each."""

    exact: int
    bands: list[int]


def row_keys(example: Example, threshold: float | None) -> RowKeys:
    """Return the keys of a row; without a threshold there are no bands."""
    exact = exact_key(example)
    return RowKeys(exact, [] if threshold is None else band_keys(example, threshold))


def exact_key(example: Example) -> int:
    """Return 64 bits that are equal for rows with equal question, options and answer."""
    return hash64([example.kind, example.question, *example.options, str(example.answer_index), example.answer])


def guard_key(example: Example) -> int:
    """Return 64 bits that differ when a number, unit, negation, drug-like word or content word differs."""
    return _guard(example, _row_words(example))


def shingles(example: Example) -> npt.NDArray[np.uint32]:
    """Return the sorted 32-bit hashes of the row's word 3-grams."""
    return _shingles(_row_words(example))


def band_keys(example: Example, threshold: float) -> list[int]:
    """Return one 64-bit key per LSH band; rows that share one, and so the guard, are compared."""
    row = _row_words(example)
    signature = _empty_minhash().copy()
    signature.update_batch(_shingles(row).tolist())
    values = np.asarray(signature.hashvalues, dtype=np.uint64)
    size = rows_per_band(threshold)
    bands = values[: PERMUTATIONS // size * size].reshape(-1, size)
    keys = mix(np.arange(len(bands), dtype=np.uint64) + np.uint64(_guard(example, row)))
    for column in bands.T:
        keys = mix(keys * _FACTOR + column)
    return [int(key) for key in keys]


@lru_cache(maxsize=8)
def rows_per_band(threshold: float) -> int:
    """Return the most MinHash values per band at which a pair at the threshold is missed in under 1 % of cases."""
    for rows in range(PERMUTATIONS, 1, -1):
        if (1 - threshold**rows) ** (PERMUTATIONS // rows) <= _MISS_AT_THRESHOLD:
            return rows
    return 1


def repeated(exact: Keys) -> npt.NDArray[np.bool_]:
    """Mark every key that occurred before, in order."""
    marks = np.ones(exact.size, dtype=np.bool_)
    marks[np.unique(exact, return_index=True)[1]] = False
    return marks


def components(bands: Keys) -> npt.NDArray[np.int64]:
    """Return for each row (of bands[row, band]) its component over shared band keys: the index of its first row."""
    parent = np.arange(bands.shape[0], dtype=np.int64)
    for column in bands.T:
        order = np.argsort(column, kind="stable")
        ordered = column[order]
        for at in np.flatnonzero(ordered[1:] == ordered[:-1]):
            _unite(parent, int(order[at]), int(order[at + 1]))
    return np.array([_root(parent, row) for row in range(parent.size)], dtype=np.int64)


def near_repeats(found: Sequence[npt.NDArray[np.uint32]], threshold: float) -> list[int]:
    """Return the indices of rows, in order, whose Jaccard index with an earlier kept row reaches the threshold."""
    kept: list[npt.NDArray[np.uint32]] = []
    dropped: list[int] = []
    for index, current in enumerate(found):
        if any(jaccard(current, earlier) >= threshold for earlier in kept):
            dropped.append(index)
        else:
            kept.append(current)
    return dropped


def jaccard(left: npt.NDArray[np.uint32], right: npt.NDArray[np.uint32]) -> float:
    """Return |A and B| / |A or B| of two sorted arrays without repeats."""
    shared = np.intersect1d(left, right, assume_unique=True).size
    return float(shared / (left.size + right.size - shared))


def _row_words(example: Example) -> list[str]:
    return words("\n".join([example.question, *example.options, example.answer]))


def _guard(example: Example, row: Sequence[str]) -> int:
    lists = _lists()
    content = [_singular(word) for word in words(example.question) if word not in lists.function]
    drugs = sorted(word for word in set(row) if _is_drug_like(word))
    return hash64([example.kind, *content, "|", *_critical(row), "|", *drugs])


def _shingles(row: Sequence[str]) -> npt.NDArray[np.uint32]:
    padded = [*row, *[""] * (_SHINGLE_WORDS - len(row))]
    return np.unique((ngram_hashes(padded, _SHINGLE_WORDS) >> np.uint64(32)).astype(np.uint32))


def _critical(row: Sequence[str]) -> Iterable[str]:
    """Yield numbers with the word after them, counts, negations and comparisons, in order."""
    for at, word in enumerate(row):
        if _is_critical(word):
            number = word[0].isdigit() and at + 1 < len(row)
            yield f"{word} {_singular(row[at + 1])}" if number else word


@lru_cache(maxsize=1 << 17)
def _is_critical(word: str) -> bool:
    return word[0].isdigit() or word in _lists().critical or word.endswith("n't")


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")) else word


class _Lists(NamedTuple):
    critical: frozenset[str]
    function: frozenset[str]
    drug_like: re.Pattern[str]


@lru_cache(maxsize=1 << 17)
def _is_drug_like(word: str) -> bool:
    return _lists().drug_like.fullmatch(word) is not None


@cache
def _lists() -> _Lists:
    text = files("medray.data").joinpath("guard_words.yaml").read_text(encoding="utf-8")
    words_of = validate(GuardWords, parse_yaml(text), source="guard_words")
    endings, names = words_of.drug_endings.split(), words_of.drug_names.split()
    return _Lists(
        critical=frozenset([*words_of.counts.split(), *words_of.polarity.split()]),
        function=frozenset(words_of.function_words.split()),
        drug_like=re.compile(rf"[^\W\d_]{{2,}}(?:{'|'.join(endings)})|{'|'.join(names)}"),
    )


@cache
def _empty_minhash() -> Any:
    from datasketch import MinHash

    return MinHash(num_perm=PERMUTATIONS, seed=1, hashfunc=int)


def _root(parent: npt.NDArray[np.int64], row: int) -> int:
    while parent[row] != row:
        parent[row] = parent[parent[row]]
        row = int(parent[row])
    return row


def _unite(parent: npt.NDArray[np.int64], left: int, right: int) -> None:
    first, second = sorted((_root(parent, left), _root(parent, right)))
    parent[second] = first
