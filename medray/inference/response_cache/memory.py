"""The memory tier: entries by key, bounded by bytes, kept by recency and frequency.

A hit moves an entry to the young end and counts. To make room, the oldest entry goes; one that was hit is spared, at
the price of half its count (a clock with ageing), so a burst of one-off questions cannot push out those asked often.
Thread-safe. It knows neither time nor withdrawals: the cache asks about those.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from medray.inference.response_cache.entry import Entry

_MAX_HITS: Final = 15  # enough to outlive four rounds, few enough to be forgotten
_SPARED_AT_MOST: Final = 8  # bounds the time of one insertion
_OVERHEAD_BYTES: Final = 1_200  # objects, dictionary slots and hashes around the texts


@dataclass(slots=True)
class Resident:
    """An entry in memory with what the semantic look-up compares. `profile` is the equivalence rules' own."""

    entry: Entry
    profile: Any = field(repr=False)
    terms: frozenset[str] = field(repr=False)
    size_bytes: int
    hits: int = 0


def text_bytes(entry: Entry, terms: frozenset[str]) -> int:
    """Estimate, on the high side, what an entry's texts and terms take in memory beside its profile."""
    characters = len(entry.question) + len(entry.answer.text)
    wide = 4 if not (entry.question.isascii() and entry.answer.text.isascii()) else 1
    return _OVERHEAD_BYTES + wide * characters + sum(len(term) + 90 for term in terms)


class MemoryTier:
    """See the module. `on_evicted` is called with each key that left for want of room, outside the lock."""

    def __init__(self, max_bytes: int, on_evicted: Callable[[Entry], None]) -> None:
        self._max_bytes = max_bytes
        self._on_evicted = on_evicted
        self._entries: OrderedDict[bytes, Resident] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    @property
    def used_bytes(self) -> int:
        """Bytes in use; never above the bound."""
        return self._bytes

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: bytes, *, touch: bool = True) -> Resident | None:
        """Return an entry; with `touch` it counts as a hit."""
        with self._lock:
            resident = self._entries.get(key)
            if resident is not None and touch:
                resident.hits = min(resident.hits + 1, _MAX_HITS)
                self._entries.move_to_end(key)
            return resident

    def put(self, resident: Resident) -> bool:
        """Add or replace an entry; False if it alone exceeds the bound."""
        if resident.size_bytes > self._max_bytes:
            self.remove(resident.entry.key)
            return False
        with self._lock:
            old = self._entries.pop(resident.entry.key, None)
            if old is not None:
                self._bytes -= old.size_bytes
                resident.hits = old.hits
            evicted = self._make_room(resident.size_bytes)
            self._entries[resident.entry.key] = resident
            self._bytes += resident.size_bytes
        for entry in evicted:
            self._on_evicted(entry)
        return True

    def remove(self, key: bytes) -> None:
        """Drop an entry if it is there."""
        with self._lock:
            resident = self._entries.pop(key, None)
            if resident is not None:
                self._bytes -= resident.size_bytes

    def entries(self) -> list[Entry]:
        """Return what is held now, oldest first."""
        with self._lock:
            return [resident.entry for resident in self._entries.values()]

    def _make_room(self, needed_bytes: int) -> list[Entry]:
        evicted: list[Entry] = []
        spared = 0
        while self._entries and self._bytes + needed_bytes > self._max_bytes:
            key, oldest = next(iter(self._entries.items()))
            if oldest.hits and spared < _SPARED_AT_MOST:
                oldest.hits //= 2
                spared += 1
                self._entries.move_to_end(key)
                continue
            del self._entries[key]
            self._bytes -= oldest.size_bytes
            evicted.append(oldest.entry)
        return evicted
