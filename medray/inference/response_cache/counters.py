"""Counting what the cache does, by name, from many threads. Names are constants; nothing of a question enters."""

import threading
from collections import Counter


class Counters:
    """Thread-safe counters."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def add(self, name: str) -> int:
        """Count one; return the new count."""
        with self._lock:
            self._counts[name] += 1
            return self._counts[name]

    def all(self) -> dict[str, int]:
        """Return all counts."""
        with self._lock:
            return dict(sorted(self._counts.items()))
