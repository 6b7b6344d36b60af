"""Turning questions into unit vectors: the protocol, and the embedders by name.

Vectors only propose candidates; whether a candidate may answer is the equivalence check's decision. So a fast, crude
embedder costs hits, never safety.
"""

from collections.abc import Sequence
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from medray.inference.response_cache.embedders.static import StaticEmbedder

Vectors: TypeAlias = npt.NDArray[np.float32]


class Embedder(Protocol):
    """What the similarity needs of an embedder."""

    @property
    def name(self) -> str:
        """What tells its vectors from those of another embedder; short, no white space."""
        ...

    @property
    def dimensions(self) -> int:
        """The length of a vector."""
        ...

    @property
    def reads_terms(self) -> bool:
        """Whether it takes a question's canonical terms rather than its wording."""
        ...

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return one row of unit length per text, float32 of shape (texts, dimensions). Thread-safe."""
        ...


def build_embedder(name: str) -> Embedder:
    """Return the embedder of a config: "static", a pulled model ("minilm"), or a sentence-transformers folder.

    Raises ModelError if the model is not here or not of that kind.
    """
    if name == "static":
        return StaticEmbedder()
    from medray.inference.response_cache.embedders.sentence import SentenceEmbedder

    return SentenceEmbedder(name)


__all__ = ["Embedder", "StaticEmbedder", "Vectors", "build_embedder"]
