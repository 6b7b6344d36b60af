"""Timing calls one by one, and the figures that are reported of them."""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import numpy as np

from medray.inference.response_cache.embedders import Embedder, Vectors

T = TypeVar("T")


def each_ms(call: Callable[[T], object], arguments: Iterable[T]) -> list[float]:
    """Return how long each call took, in ms."""
    times = []
    for argument in arguments:
        begun = time.perf_counter()
        call(argument)
        times.append((time.perf_counter() - begun) * 1e3)
    return times


def summary(times_ms: Sequence[float]) -> dict[str, Any]:
    """Return count, median, 99th percentile and mean."""
    if not times_ms:
        return {"n": 0, "p50_ms": None, "p99_ms": None, "mean_ms": None}
    p50, p99 = np.percentile(times_ms, (50, 99))
    return {"n": len(times_ms), "p50_ms": float(p50), "p99_ms": float(p99), "mean_ms": float(np.mean(times_ms))}


class TimedEmbedder:
    """An embedder that says how long its last call took. For one thread."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self.name, self.dimensions, self.reads_terms = embedder.name, embedder.dimensions, embedder.reads_terms
        self.last_ms = 0.0

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Embed, and take the time."""
        begun = time.perf_counter()
        rows = self._embedder.embed(texts)
        self.last_ms = (time.perf_counter() - begun) * 1e3
        return rows
