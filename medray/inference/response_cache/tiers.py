"""Memory, disk and the index over both, kept in step: what one of them learns or loses, the others hear of.

Entries go in and come out by key; whether one may be served is the caller's question. A question whose vector cannot
be had is kept for exact matches alone. Callable from any thread; the disk is written behind.
"""

from collections.abc import Callable

from medray.inference.response_cache.config import DiskConfig
from medray.inference.response_cache.counters import Counters
from medray.inference.response_cache.disk import DiskTier, Record
from medray.inference.response_cache.disk.writer import Writer
from medray.inference.response_cache.entry import Entry, Tier
from medray.inference.response_cache.memory import MemoryTier, Resident, text_bytes
from medray.inference.response_cache.semantic import Described, Found, SemanticLookup
from medray.log import event

BuildSemantic = Callable[[MemoryTier, DiskTier | None], SemanticLookup | None]


class Tiers:
    """See the module. Takes over the open disk tier, if there is one."""

    def __init__(
        self,
        memory_bytes: int,
        disk: DiskTier | None,
        disk_config: DiskConfig | None,
        build_semantic: BuildSemantic,
        counters: Counters,
    ) -> None:
        self.memory = MemoryTier(memory_bytes, self._left_memory)
        self.disk = disk
        self.semantic = build_semantic(self.memory, disk)
        self.writer: Writer | None = None
        self._counters = counters
        if disk is not None and disk_config is not None:
            self.writer = Writer(
                disk, flush_interval_s=disk_config.flush_interval_s, queue_bytes=disk_config.queue_bytes
            )
            disk.on_damaged = self.writer.put_removal

    def get(self, key: bytes, scope: bytes) -> tuple[Entry, Tier] | None:
        """Return the entry of a key, from memory if it is there."""
        resident = self.memory.get(key)
        if resident is not None:
            return resident.entry, "memory"
        entry = self.disk.get(key) if self.disk is not None else None
        return (entry, "disk") if entry is not None and entry.scope == scope else None

    def find(self, question: str, scope: bytes, usable: Callable[[Entry], bool]) -> Found | None:
        """Return the nearest equivalent entry of a scope. A failure of an embedder or the rules is a miss, counted."""
        if self.semantic is None:
            return None
        try:
            return self.semantic.find(self.semantic.view(question), scope, usable)
        except Exception as error:  # the request must go on: an engine can still answer it
            self._failed(error)
            return None

    def keep(self, entry: Entry, *, findable: bool) -> None:
        """Put a new entry into both tiers; with `findable` similar questions find it as well."""
        view = None
        if self.semantic is not None and findable:
            try:
                view = self.semantic.view(entry.question)
            except Exception as error:  # kept for exact matches alone
                self._failed(error)
        kept = self._remember(entry, Described(view.profile, view.terms) if view is not None else None)
        if self.semantic is not None and view is not None and (kept or self.disk is not None):
            self.semantic.add(entry, view)
        if self.writer is not None:
            embedder = self.semantic.embedder if self.semantic is not None else ""
            self.writer.put(Record(entry, view.vector if view is not None else None, embedder))

    def promote(self, entry: Entry, *, findable: bool, described: Described | None = None) -> None:
        """Put an entry from disk into memory. Its vector comes from disk as well, in the background."""
        if self.semantic is not None and findable and described is None:
            try:
                described = self.semantic.describe(entry.question)
            except Exception as error:  # in memory for exact matches alone
                self._failed(error)
        self._counters.add("promoted")
        self._remember(entry, described)

    def forget(self, entry: Entry) -> None:
        """Drop an entry everywhere."""
        self.memory.remove(entry.key)
        if self.semantic is not None:
            self.semantic.remove(entry)
        if self.writer is not None:
            self.writer.put_removal(entry.key)

    def settle(self) -> bool:
        """Wait for writes and index; False if writing took too long."""
        written = self.writer.flush() if self.writer is not None else True
        if self.semantic is not None:
            self.semantic.wait_until_filled()
        return written

    def close(self) -> None:
        """Write what waits and let go of files and threads."""
        for part in (self.semantic, self.writer, self.disk):
            if part is not None:
                part.close()

    def _remember(self, entry: Entry, described: Described | None) -> bool:
        profile, terms = described if described is not None else (None, frozenset())
        size = text_bytes(entry, terms)
        if self.semantic is not None and described is not None:
            size += self.semantic.size_bytes(profile)
        return self.memory.put(Resident(entry, profile, terms, size))

    def _left_memory(self, entry: Entry) -> None:
        if self.disk is None and self.semantic is not None:
            self.semantic.remove(entry)

    def _failed(self, error: Exception) -> None:
        if self._counters.add("semantic_failed") == 1:
            event("cache_semantic_failed", level="warning", error=error)
