"""Similarity of two questions (PAPER M2, Eq. 8): `Sim = a * Jaccard + (1 - a) * cosine`.

Sets of terms and unit vectors in, a number up to 1 out. It says how much two questions look alike, which is not
whether one's answer fits the other.
"""

import re
from collections.abc import Set as AbstractSet
from typing import Final

import numpy as np
import numpy.typing as npt

_TOKEN: Final = re.compile(r"[^\W_]+(?:[.,'-][^\W_]+)*|[%<>=+]")


def words(text: str) -> frozenset[str]:
    """Return the set of folded words, the plain reading of Eq. 8's Jaccard term."""
    return frozenset(_TOKEN.findall(text.casefold()))


def jaccard(a: AbstractSet[str], b: AbstractSet[str]) -> float:
    """Return the share of common terms; 0 when both sets are empty."""
    union = len(a | b)
    return len(a & b) / union if union else 0.0


def cosine(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> float:
    """Return the cosine of two unit vectors."""
    return float(np.dot(a, b))


def similarity(jaccard_weight: float, jaccard_value: float, cosine_value: float) -> float:
    """Return Eq. 8; `jaccard_weight` is its a."""
    return jaccard_weight * jaccard_value + (1.0 - jaccard_weight) * cosine_value
