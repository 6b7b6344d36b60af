"""A fast embedder without a model: hashed word and character n-grams under a sparse random projection.

Each feature (a word, or 3 to 5 letters of it) adds +1 or -1 at eight places chosen by its hash, so that cosines of the
sums approximate those of the feature counts. It knows spelling, not meaning: synonyms must be resolved before. The same
text gives the same vector on every machine.
"""

import hashlib
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

_DIMENSIONS: Final = 256
_PLACES: Final = 8  # per feature; 2 bytes of hash each
_WORD_WEIGHT: Final = 3.0  # a whole word against one of its n-grams
_TOKEN: Final = re.compile(r"[^\W_]+(?:[.,'-][^\W_]+)*|[%<>=+]")

_Vector = npt.NDArray[np.float32]


class StaticEmbedder:
    """See the module. About 0.1 ms a question once its words have been seen."""

    name = "static-1"
    dimensions = _DIMENSIONS
    reads_terms = True

    def embed(self, texts: Sequence[str]) -> _Vector:
        """Return unit rows; a text without words is the zero row."""
        rows = np.zeros((len(texts), _DIMENSIONS), dtype=np.float32)
        for index, text in enumerate(texts):
            for token in _TOKEN.findall(text.casefold()):
                rows[index] += _word_vector(token)
            norm = float(np.linalg.norm(rows[index]))
            if norm > 0:
                rows[index] /= norm
        return rows


@lru_cache(maxsize=20_000)
def _word_vector(word: str) -> _Vector:
    """Return a word's share, scaled so that long words do not outweigh short ones."""
    framed = f"<{word}>"
    grams = [framed[at : at + size] for size in (3, 4, 5) for at in range(len(framed) - size + 1)]
    vector = np.zeros(_DIMENSIONS, dtype=np.float32)
    _add(vector, framed, _WORD_WEIGHT)
    for gram in grams:
        _add(vector, gram, 1.0)
    vector /= np.float32(max(float(np.linalg.norm(vector)), 1e-9))
    vector.setflags(write=False)  # shared by the cache
    return vector


def _add(vector: _Vector, feature: str, weight: float) -> None:
    digest = hashlib.blake2b(feature.encode("utf-8", "surrogatepass"), digest_size=2 * _PLACES).digest()
    for at in range(0, 2 * _PLACES, 2):
        vector[digest[at]] += weight if digest[at + 1] & 1 else -weight
