"""Semantic similarity of an answer to its reference, by sentence embeddings, above what the question alone reaches.

Greedy matching both ways: each sentence of one text takes its nearest in the other, and the two means make an F1. An
answer on the right topic is near any reference, so the question's own similarity is the zero: repeating the question
scores 0, the reference 1.
"""

import re
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Final

import numpy as np

from medray.inference.response_cache.embedders import Embedder, Vectors

_SENTENCE: Final = re.compile(r"(?<=[.!?])\s+|\n+")
_MAX_PIECES: Final = 24
_LEAST_ROOM: Final = 0.05
"""Where the question is as near to the reference as this to 1, nothing is left to measure."""


def pieces(text: str) -> list[str]:
    """Return the sentences of a text, neighbours joined so that there are at most 24."""
    sentences = [piece.strip() for piece in _SENTENCE.split(text) if any(letter.isalnum() for letter in piece)]
    size = max(1, -(-len(sentences) // _MAX_PIECES))
    return [" ".join(sentences[at : at + size]) for at in range(0, len(sentences), size)]


def matched(one: Vectors, other: Vectors) -> float:
    """Return the F1 of greedy matching between unit rows, in [0, 1]; 0 where one is empty."""
    if not len(one) or not len(other):
        return 0.0
    cosines = np.clip(one @ other.T, 0.0, 1.0)
    precision, recall = float(cosines.max(axis=1).mean()), float(cosines.max(axis=0).mean())
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def above(value: float, floor: float) -> float | None:
    """Return where `value` lies between `floor` and 1, at least 0; None where the floor leaves no room."""
    return None if floor > 1 - _LEAST_ROOM else min(1.0, max(0.0, (value - floor) / (1 - floor)))


def similarity(answer: str, reference: str, question: str, embedder: Embedder) -> float | None:
    """Return the similarity of an answer to its reference above the question's."""
    texts = [pieces(text) for text in (answer, reference, question)]
    own, wanted, asked = _split(embedder.embed([piece for part in texts for piece in part]), [len(t) for t in texts])
    return above(matched(own, wanted), matched(asked, wanted))


def _split(rows: Vectors, sizes: Sequence[int]) -> list[Vectors]:
    ends = accumulate(sizes, initial=0)
    return [rows[start:end] for start, end in pairwise(ends)]
