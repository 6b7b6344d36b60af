"""The disk tier: entries and vectors as sealed rows, oldest rows leaving first when the bound is reached.

Reads take no lock; writers of all processes take turns. Opening reads a few pages, whatever the size. A row that does
not open is dropped and counted; if LMDB itself fails (full disk, damaged pages), the tier turns off with one warning
and every later call is a miss.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

import lmdb

from medray.errors import InputError
from medray.inference.response_cache.disk import environment, records
from medray.inference.response_cache.disk.rows import Record, Tables
from medray.inference.response_cache.entry import Entry
from medray.inference.response_cache.index import Vector
from medray.inference.response_cache.keys import Damaged, Keys
from medray.log import event

T = TypeVar("T")
_READ_AT_ONCE: Final = 1_000


@dataclass(slots=True)
class DiskCounts:
    """What happened on disk since opening."""

    damaged: int = 0
    evicted: int = 0
    written: int = 0
    off: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)


class DiskTier:
    """See the module. Made by `open_tier`. `on_damaged` drops a damaged row, off the look-up's path."""

    def __init__(self, env: lmdb.Environment, keys: Keys, max_bytes: int) -> None:
        self._environment = env
        self._keys = keys
        self._max_bytes = max_bytes
        self._tables = Tables(env, keys)
        self.counts = DiskCounts()
        self.on_damaged: Callable[[bytes], object] = lambda key: None

    @property
    def keys(self) -> Keys:
        """The keys of this folder."""
        return self._keys

    def get(self, key: bytes) -> Entry | None:
        """Return the entry of a key. One that does not open is no entry: counted, and told to `on_damaged`."""
        data = self._read(lambda transaction: transaction.get(key, db=self._tables.entries), None)
        if data is None:
            return None
        try:
            return records.open_entry(self._keys, key, bytes(data))
        except (Damaged, InputError):
            self._count_damaged()
            self.on_damaged(key)
            return None

    def write(self, batch: Sequence[Record]) -> None:
        """Write entries in one transaction: all of them or none."""
        if not batch:
            return
        evicted = self._change(lambda transaction: self._tables.write(transaction, batch, self._max_bytes))
        if evicted is not None:
            self.counts.written += len(batch)
            self.counts.evicted += evicted

    def remove(self, keys: Sequence[bytes]) -> None:
        """Drop entries that are there."""
        self._change(lambda transaction: self._tables.remove(transaction, keys))

    def newest_row(self) -> int:
        """Return the number of the newest row of all scopes, 0 without any: a cheap sign of news."""
        return self._read(self._tables.newest_row, 0)

    def vectors_between(self, scope: bytes, after: int, before: int, embedder: str) -> Iterator[tuple[bytes, Vector]]:
        """Yield a scope's keys and vectors with `after` < row < `before`, newest first, reading a few at a time."""
        while True:
            sealed = self._sealed_vectors(scope, after, before)
            for place, data in sealed:
                try:
                    opened = records.open_vector(self._keys, place, data, embedder)
                except Damaged:
                    self._count_damaged()
                    continue
                if opened is not None:
                    yield opened
            if len(sealed) < _READ_AT_ONCE:
                return
            before = records.row_of(sealed[-1][0])

    def all_entries(self) -> Iterator[tuple[bytes, Entry | None]]:
        """Yield every key with its entry, None where it does not open. Raises DataError on damaged pages."""
        try:
            with self._environment.begin() as transaction, transaction.cursor(db=self._tables.entries) as cursor:
                for key, data in cursor:
                    try:
                        yield bytes(key), records.open_entry(self._keys, bytes(key), bytes(data))
                    except (Damaged, InputError):
                        yield bytes(key), None
        except lmdb.Error as error:
            raise environment.damaged(error) from None

    def size(self) -> tuple[int, int]:
        """Return (entries, sealed bytes); zeros when off."""

        def read(transaction: lmdb.Transaction) -> tuple[int, int]:
            return int(transaction.stat(self._tables.entries)["entries"]), self._tables.used_bytes(transaction)

        return self._read(read, (0, 0))

    def close(self) -> None:
        """Let go of the folder."""
        environment.release(self._environment)

    def _read(self, work: Callable[[lmdb.Transaction], T], otherwise: T) -> T:
        if self.counts.off:
            return otherwise
        try:
            with self._environment.begin() as transaction:
                return work(transaction)
        except lmdb.Error as error:
            self._turn_off(error)
            return otherwise

    def _sealed_vectors(self, scope: bytes, after: int, before: int) -> list[tuple[bytes, bytes]]:
        def read(transaction: lmdb.Transaction) -> list[tuple[bytes, bytes]]:
            return self._tables.vectors_between(transaction, scope, after, before, _READ_AT_ONCE)

        return self._read(read, [])

    def _change(self, work: Callable[[lmdb.Transaction], T]) -> T | None:
        """Do all of the work or nothing; None if nothing."""
        if self.counts.off:
            return None
        try:
            with self._environment.begin(write=True) as transaction:
                return work(transaction)
        except (lmdb.Error, OSError) as error:
            self._turn_off(error)
            return None

    def _count_damaged(self) -> None:
        with self.counts.lock:
            self.counts.damaged += 1
        event("cache_entry_damaged", level="warning")

    def _turn_off(self, error: Exception) -> None:
        with self.counts.lock:
            if self.counts.off:
                return
            self.counts.off = True
        event("cache_disk_off", level="warning", reason=type(error).__name__)
