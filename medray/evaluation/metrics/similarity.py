"""Semantic similarity of an answer to its reference, by sentence embeddings, in what the question does not say.

Any text on the topic of a question is near any other. So the directions of the question's own sentences are taken out
of all vectors first; what is left of the reference is what there is to be said. Sentences are then matched greedily
both ways and the two means make an F1, each sentence counting by the length of what is left of it. The question
repeated scores 0, the reference 1.
"""

import re
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Final

import numpy as np

from medray.inference.response_cache.embedders import Embedder, Vectors

_SENTENCE: Final = re.compile(r"(?<=[.!?])\s+|\n+")
_MAX_PIECES: Final = 24
_LEAST_LEFT: Final = 0.1
"""Mean length that must be left of a reference's unit vectors: below it the question holds all it says."""
_LEAST_LENGTH: Final = 1e-3  # float32 noise of a vector that is all question


def pieces(text: str) -> list[str]:
    """Return the sentences of a text, neighbours joined so that there are at most 24."""
    sentences = [piece.strip() for piece in _SENTENCE.split(text) if any(letter.isalnum() for letter in piece)]
    size = max(1, -(-len(sentences) // _MAX_PIECES))
    return [" ".join(sentences[at : at + size]) for at in range(0, len(sentences), size)]


def without(rows: Vectors, taken: Vectors) -> Vectors:
    """Return the rows less their parts in the space that `taken` spans; rows of float noise become zero."""
    if not len(taken) or not len(rows):
        return rows
    _, sizes, directions = np.linalg.svd(taken, full_matrices=False)
    basis = directions[sizes > _LEAST_LENGTH]
    left: Vectors = rows - (rows @ basis.T) @ basis
    left[np.linalg.norm(left, axis=1) < _LEAST_LENGTH] = 0.0
    return left


def matched(answer: Vectors, reference: Vectors) -> float | None:
    """Return the F1 of greedy matching, in [0, 1]. None where nothing is left of the reference.

    Recall: the share of each reference row that the answer's best row reaches in its direction. Precision: the cosine
    of each answer row with its best reference row. Both are weighted by the rows' lengths.
    """
    wanted = np.linalg.norm(reference, axis=1)
    if not len(reference) or wanted.mean() < _LEAST_LEFT:
        return None
    given = np.linalg.norm(answer, axis=1)
    if not given.sum():
        return 0.0
    products = answer @ reference.T
    reached = np.clip(products / np.maximum(wanted**2, _LEAST_LENGTH**2), 0.0, 1.0)
    cosines = np.clip(products / np.maximum(np.outer(given, wanted), _LEAST_LENGTH**2), 0.0, 1.0)
    recall = float((wanted * reached.max(axis=0)).sum() / wanted.sum())
    precision = float((given * cosines.max(axis=1)).sum() / given.sum())
    return min(1.0, 2 * precision * recall / (precision + recall)) if precision + recall else 0.0


def similarity(answer: str, reference: str, question: str, embedder: Embedder) -> float | None:
    """Return the similarity of an answer to its reference beyond the question. None where there is nothing beyond."""
    texts = [pieces(text) for text in (answer, reference, question)]
    own, wanted, asked = _split(embedder.embed([piece for part in texts for piece in part]), [len(t) for t in texts])
    return matched(without(own, asked), without(wanted, asked))


def _split(rows: Vectors, sizes: Sequence[int]) -> list[Vectors]:
    ends = accumulate(sizes, initial=0)
    return [rows[start:end] for start, end in pairwise(ends)]
