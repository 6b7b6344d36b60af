"""The disk tier's tables within one LMDB transaction: put, drop, evict, and walk through a scope's vectors.

`entries` maps look-up key to entry, `order` row number to look-up key, `vectors` scope tag + row number to vector,
`meta` holds the last row number and the bytes in use. An entry's header says which rows belong to it, so all of them
leave together. Knows no threads, time and no failures: those are the tier's.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import lmdb

from medray.inference.response_cache.disk import records
from medray.inference.response_cache.entry import Entry
from medray.inference.response_cache.index import Vector
from medray.inference.response_cache.keys import Damaged, Keys
from medray.inference.response_cache.scope import TAG_BYTES

_EVICTED_AT_ONCE: Final = 20_000  # bounds how long one transaction holds up the other writers


class Record(NamedTuple):
    """An entry to be written, with its vector and the embedder that made it."""

    entry: Entry
    vector: Vector | None
    embedder: str


class Tables:
    """The handles of one environment's tables, and what is done to them inside a transaction."""

    def __init__(self, environment: lmdb.Environment, keys: Keys) -> None:
        self.entries, self.order, self.vectors, self.meta = (
            environment.open_db(name) for name in (b"entries", b"order", b"vectors", b"meta")
        )
        self._keys = keys

    def newest_row(self, transaction: lmdb.Transaction) -> int:
        """Return the number of the newest row, 0 without any."""
        return _number(transaction.get(b"row", db=self.meta))

    def used_bytes(self, transaction: lmdb.Transaction) -> int:
        """Return the sealed bytes in use."""
        return _number(transaction.get(b"bytes", db=self.meta))

    def write(self, transaction: lmdb.Transaction, batch: Sequence[Record], max_bytes: int) -> int:
        """Write entries, replacing those of the same key; return how many old ones left for want of room."""
        row, grown = self.newest_row(transaction), 0
        for record in batch:
            row += 1
            grown -= self._drop(transaction, record.entry.key)
            grown += self._put(transaction, record, row)
        transaction.put(b"row", records.row_key(row), db=self.meta)
        return self._evict(transaction, self._grow(transaction, grown) - max_bytes)

    def remove(self, transaction: lmdb.Transaction, keys: Sequence[bytes]) -> None:
        """Drop entries that are there."""
        self._grow(transaction, -sum(self._drop(transaction, key) for key in keys))

    def vectors_between(
        self, transaction: lmdb.Transaction, scope: bytes, after: int, before: int, limit: int
    ) -> list[tuple[bytes, bytes]]:
        """Return a scope's places and sealed vectors with `after` < row < `before`, newest first."""
        found: list[tuple[bytes, bytes]] = []
        with transaction.cursor(db=self.vectors) as cursor:
            there = cursor.set_range(scope + records.row_key(before))
            there = cursor.prev() if there else cursor.last()
            while there and len(found) < limit:
                place = bytes(cursor.key())
                if place[:TAG_BYTES] != scope or records.row_of(place) <= after:
                    break
                found.append((place, bytes(cursor.value())))
                there = cursor.prev()
        return found

    def _put(self, transaction: lmdb.Transaction, record: Record, row: int) -> int:
        key, scope = record.entry.key, record.entry.scope
        data = records.seal_entry(self._keys, record.entry, row)
        transaction.put(key, data, db=self.entries)
        transaction.put(records.row_key(row), key, db=self.order)
        size = len(key) + len(data)
        if record.vector is not None:
            place = scope + records.row_key(row)
            sealed = records.seal_vector(self._keys, place, key, record.embedder, record.vector)
            transaction.put(place, sealed, db=self.vectors)
            size += len(place) + len(sealed)
        return size

    def _drop(self, transaction: lmdb.Transaction, key: bytes) -> int:
        """Delete an entry with its order and vector rows; return the bytes freed."""
        data = transaction.pop(key, db=self.entries)
        if data is None:
            return 0
        freed = len(key) + len(data)
        try:
            header = records.read_header(bytes(data))
        except Damaged:
            return freed  # its other rows point nowhere and leave with their turn
        transaction.delete(records.row_key(header.row), db=self.order)
        place = header.scope + records.row_key(header.row)
        vector = transaction.pop(place, db=self.vectors)
        return freed + (len(place) + len(vector) if vector is not None else 0)

    def _evict(self, transaction: lmdb.Transaction, excess: int) -> int:
        """Drop the oldest rows until `excess` bytes are free, or a bounded number of them; return how many."""
        freed = dropped = 0
        while freed < excess and dropped < _EVICTED_AT_ONCE:
            with transaction.cursor(db=self.order) as cursor:
                if not cursor.first():
                    freed = self.used_bytes(transaction)  # nothing is left, whatever was counted
                    break
                row, key = bytes(cursor.key()), bytes(cursor.value())
            size = self._drop(transaction, key) if self._row_of(transaction, key) == records.row_of(row) else 0
            transaction.delete(row, db=self.order)
            freed, dropped = freed + size, dropped + bool(size)
        self._grow(transaction, -freed)
        return dropped

    def _row_of(self, transaction: lmdb.Transaction, key: bytes) -> int | None:
        data = transaction.get(key, db=self.entries)
        try:
            return records.read_header(bytes(data)).row if data is not None else None
        except Damaged:
            return None

    def _grow(self, transaction: lmdb.Transaction, by: int) -> int:
        value = max(self.used_bytes(transaction) + by, 0)
        transaction.put(b"bytes", records.row_key(value), db=self.meta)
        return value


def _number(data: bytes | memoryview | None) -> int:
    return records.row_of(bytes(data)) if data is not None else 0
