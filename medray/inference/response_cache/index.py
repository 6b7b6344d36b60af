"""Nearest neighbours among the questions of one scope: an HNSW index (usearch, int8 cosine) per scope.

Keys and vectors in, nearest keys out. Each scope has an index of its own, so an entry of another scope cannot even be
a candidate. All indexes together hold a bounded number of vectors: the least recently used scope goes first, then the
oldest vectors. The number of scopes is bounded as well, since clients choose them with their sampling parameters and
an index costs memory even for one vector. Thread-safe. Texts and answers are not known here.
"""

import threading
from collections import OrderedDict
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from medray import cluster

_CONNECTIVITY: Final = 16
_EXPANSION: Final = 64
_MAX_SCOPES: Final = 512  # about 50 kB each

Vector = npt.NDArray[np.float32]


class Partition:
    """The index of one scope. `synced` is up to which row of the disk tier it has been filled."""

    def __init__(self, dimensions: int) -> None:
        self._index = _new_index(dimensions)
        self._labels: OrderedDict[bytes, int] = OrderedDict()  # oldest first
        self._keys: dict[int, bytes] = {}
        self._next = 0
        self._lock = threading.Lock()
        self._closed = False
        self.synced = 0

    def __len__(self) -> int:
        return len(self._labels)

    def __contains__(self, key: bytes) -> bool:
        return key in self._labels

    def close(self) -> int:
        """Refuse further vectors; return how many there were."""
        with self._lock:
            self._closed = True
            return len(self._labels)

    def add(self, key: bytes, vector: Vector, *, youngest: bool = True) -> int | None:
        """Add a vector, or make it the youngest (or oldest); return how many that added, None when closed."""
        with self._lock:
            if self._closed:
                return None
            if key in self._labels:
                self._labels.move_to_end(key, last=youngest)
                return 0
            label, self._next = self._next, self._next + 1
            self._index.add(label, vector, threads=1)
            self._labels[key] = label
            self._labels.move_to_end(key, last=youngest)
            self._keys[label] = key
            return 1

    def remove(self, key: bytes) -> int:
        """Drop a vector; return how many were dropped."""
        with self._lock:
            label = None if self._closed else self._labels.pop(key, None)
            if label is None:
                return 0
            del self._keys[label]
            self._index.remove(label)
            return 1

    def remove_oldest(self) -> int:
        """Drop the oldest vector; return how many were dropped."""
        with self._lock:
            oldest = next(iter(self._labels), None)
        return self.remove(oldest) if oldest is not None else 0

    def search(self, vector: Vector, count: int) -> list[tuple[bytes, float]]:
        """Return up to `count` nearest keys with their cosines (to int8 precision), nearest first."""
        with self._lock:
            if not self._labels:
                return []
            matches = self._index.search(vector, min(count, len(self._labels)), threads=1)
            pairs = zip(matches.keys.tolist(), matches.distances.tolist(), strict=True)
            return [(self._keys[label], 1.0 - distance) for label, distance in pairs if label in self._keys]


class Partitions:
    """The partitions by scope tag, with one bound on all their vectors."""

    def __init__(self, dimensions: int, max_vectors: int) -> None:
        self._dimensions = dimensions
        self._max_vectors = max_vectors
        self._partitions: OrderedDict[bytes, Partition] = OrderedDict()  # least recently used first
        self._count = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """How many vectors all partitions hold."""
        return self._count

    def of(self, scope: bytes) -> Partition:
        """Return the scope's partition, a new one if need be."""
        with self._lock:
            partition = self._partitions.get(scope)
            if partition is None:
                while len(self._partitions) >= _MAX_SCOPES:
                    self._drop_least_used()
                partition = self._partitions[scope] = Partition(self._dimensions)
            self._partitions.move_to_end(scope)
            return partition

    def search(self, scope: bytes, vector: Vector, count: int) -> list[tuple[bytes, float]]:
        """Search within one scope; one that is not known here is empty, and stays unknown."""
        with self._lock:
            partition = self._partitions.get(scope)
            if partition is None:
                return []
            self._partitions.move_to_end(scope)
        return partition.search(vector, count)

    def synced(self, scope: bytes) -> int:
        """Return up to which row of the disk tier a scope has been filled; 0 if it is not known here."""
        with self._lock:
            partition = self._partitions.get(scope)
            return partition.synced if partition is not None else 0

    def share(self) -> int:
        """Return how many vectors a scope may bring in without pushing others out by turns: its share, or the free."""
        with self._lock:
            return max(self._max_vectors // max(len(self._partitions), 1), self._max_vectors - self._count)

    def add(self, scope: bytes, key: bytes, vector: Vector, *, youngest: bool = True) -> None:
        """Add a vector to its scope, making room first."""
        added = None
        while added is None:  # closed: another thread dropped this partition for want of room
            partition = self.of(scope)
            if key not in partition:
                self._make_room(scope)
            added = partition.add(key, vector, youngest=youngest)
        self._grow(added)

    def remove(self, scope: bytes, key: bytes) -> None:
        """Drop a vector if it is there."""
        with self._lock:
            partition = self._partitions.get(scope)
        if partition is not None:
            self._grow(-partition.remove(key))

    def _make_room(self, scope: bytes) -> None:
        with self._lock:
            while self._count >= self._max_vectors:
                if next(iter(self._partitions)) != scope:
                    self._drop_least_used()
                    continue
                dropped = self._partitions[scope].remove_oldest()
                self._count -= dropped
                if not dropped:
                    return

    def _drop_least_used(self) -> None:
        _, partition = self._partitions.popitem(last=False)
        self._count -= partition.close()

    def _grow(self, by: int) -> None:
        with self._lock:
            self._count += by


def _new_index(dimensions: int) -> Any:
    cluster.load_native()
    from usearch.index import Index

    return Index(
        ndim=dimensions,
        metric="cos",
        dtype="i8",
        connectivity=_CONNECTIVITY,
        expansion_add=_EXPANSION,
        expansion_search=_EXPANSION,
    )
