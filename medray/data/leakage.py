"""Leakage: training rows that hold a test question, in whole or in large part.

A test question is the set of its word n-grams. A row leaks when the row's text (question, options and answer) holds at
least the share `overlap` of the n-grams of some one test question, or when the two questions are equal. A question
shorter than n words has no n-gram, so it is compared whole. An n-gram that many test questions share is a template
("which of the following is the most likely ...") and gives nothing away, so it does not count. Pure; the index is
small and read-only.
"""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from medray.data.config import LeakageConfig
from medray.data.example import Example
from medray.data.ngrams import ngram_hashes
from medray.data.text import hash64, words

# An n-gram in more test questions than the larger of these is a template; a vignette with a few questions is not.
_TEMPLATE_QUESTIONS = 5
_TEMPLATE_SHARE = 0.01


@dataclass(frozen=True)
class LeakIndex:
    """The index of all test questions: whole-question hashes, n-gram -> questions, and n-grams needed per question."""

    ngram_words: int
    whole: frozenset[int]
    grams: npt.NDArray[np.uint64]  # sorted
    holders: dict[int, tuple[int, ...]]
    needed: tuple[int, ...]


def index_questions(questions: Iterable[str], config: LeakageConfig) -> LeakIndex:
    """Build the index of the test questions."""
    distinct = {hash64(found): found for question in questions if (found := words(question))}
    grams_of = [np.unique(ngram_hashes(found, config.ngram_words)).tolist() for found in distinct.values()]
    times = Counter(gram for grams in grams_of for gram in grams)
    most = max(_TEMPLATE_QUESTIONS, math.floor(_TEMPLATE_SHARE * len(distinct)))
    holders: dict[int, list[int]] = {}
    needed: list[int] = []
    for grams in grams_of:
        telling = [gram for gram in grams if times[gram] <= most]
        for gram in telling:
            holders.setdefault(gram, []).append(len(needed))
        needed.append(math.ceil(config.overlap * len(telling)))
    return LeakIndex(
        ngram_words=config.ngram_words,
        whole=frozenset(distinct),
        grams=np.array(sorted(holders), dtype=np.uint64),
        holders={gram: tuple(tests) for gram, tests in holders.items()},
        needed=tuple(needed),
    )


def leaks(example: Example, tests: LeakIndex) -> bool:
    """Tell whether a training row gives a test question away."""
    if not tests.whole:
        return False
    question = words(example.question)
    if hash64(question) in tests.whole:
        return True
    text = [*question, *words("\n".join([*example.options, example.answer]))]
    grams = np.unique(ngram_hashes(text, tests.ngram_words))
    held = Counter(test for gram in _known(grams, tests.grams) for test in tests.holders[gram])
    return any(count >= tests.needed[test] for test, count in held.items())


def _known(grams: npt.NDArray[np.uint64], known: npt.NDArray[np.uint64]) -> list[int]:
    """Return the n-grams that the sorted array `known` holds."""
    if not known.size:
        return []
    at = np.minimum(np.searchsorted(known, grams), known.size - 1)
    return [int(gram) for gram in grams[known[at] == grams]]
