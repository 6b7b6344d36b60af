"""The disk tier: entries and vectors as sealed rows, oldest rows leaving first when the bound is reached.

Tables: `entries` (look-up key to entry), `order` (row number to look-up key), `vectors` (scope tag + row number to
vector), `meta`. Reads take no lock; writers of all processes take turns. Opening reads a few pages, whatever the
size. A row that does not open is dropped and counted; if LMDB itself fails (full disk, damaged pages), the tier turns
off with one warning and every later call is a miss.
"""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

import lmdb

from medray.errors import ConfigError, InputError
from medray.inference.response_cache.config import DiskConfig
from medray.inference.response_cache.disk import environment, records
from medray.inference.response_cache.entry import Entry
from medray.inference.response_cache.index import Vector
from medray.inference.response_cache.keys import KEY_VARIABLE, Damaged, Keys, derive, secret_from
from medray.inference.response_cache.scope import TAG_BYTES
from medray.log import event

_PAGES_SHARE: Final = 2  # LMDB keeps whole pages: the map may be twice the sealed content
_SPARE_BYTES: Final = 64 * 1024**2
_CHECK: Final = b"medray response cache"
_SALT_BYTES: Final = 16
_MAX_ROW: Final = 2**64 - 1


class Record(NamedTuple):
    """An entry to be written, with its vector and the embedder that made it."""

    entry: Entry
    vector: Vector | None
    embedder: str


@dataclass(slots=True)
class DiskCounts:
    """What happened on disk since opening."""

    damaged: int = 0
    evicted: int = 0
    written: int = 0
    off: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)


class DiskTier:
    """See the module. Made by `open_tier`."""

    def __init__(self, env: lmdb.Environment, keys: Keys, max_bytes: int) -> None:
        self._environment = env
        self._keys = keys
        self._max_bytes = max_bytes
        self._entries, self._order, self._vectors, self._meta = (
            env.open_db(name) for name in (b"entries", b"order", b"vectors", b"meta")
        )
        self.counts = DiskCounts()
        self.on_damaged: Callable[[bytes], object] = lambda key: None  # who drops it, off the look-up's path

    @property
    def keys(self) -> Keys:
        """The keys of this folder."""
        return self._keys

    def get(self, key: bytes) -> Entry | None:
        """Return the entry of a key. One that does not open is no entry: counted, and told to `on_damaged`."""
        if self.counts.off:
            return None
        try:
            with self._environment.begin(db=self._entries) as transaction:
                data = transaction.get(key)
        except lmdb.Error as error:
            self._turn_off(error)
            return None
        if data is None:
            return None
        try:
            return records.open_entry(self._keys, key, data)
        except (Damaged, InputError):
            self._count_damaged()
            self.on_damaged(key)
            return None

    def write(self, batch: Sequence[Record]) -> None:
        """Write entries in one transaction: all of them or none."""
        if self.counts.off or not batch:
            return
        try:
            with self._environment.begin(write=True) as transaction:
                evicted = self._write(transaction, batch)
        except (lmdb.Error, OSError) as error:
            self._turn_off(error)
            return
        self.counts.written += len(batch)
        self.counts.evicted += evicted

    def remove(self, keys: Sequence[bytes]) -> None:
        """Drop entries that are there."""
        if self.counts.off:
            return
        try:
            with self._environment.begin(write=True) as transaction:
                freed = sum(self._drop(transaction, key) for key in keys)
                self._count(transaction, b"bytes", -freed)
        except (lmdb.Error, OSError) as error:
            self._turn_off(error)

    def newest_row(self) -> int:
        """Return the number of the newest row of all scopes, 0 without any: a cheap sign of news."""
        if self.counts.off:
            return 0
        try:
            with self._environment.begin(db=self._meta) as transaction:
                return _number(transaction.get(b"row"))
        except lmdb.Error as error:
            self._turn_off(error)
            return 0

    def vectors_after(self, scope: bytes, row: int, limit: int, embedder: str) -> list[tuple[bytes, Vector]]:
        """Return up to `limit` of a scope's newest vectors with rows above `row`, oldest of them first."""
        if self.counts.off:
            return []
        try:
            sealed = self._sealed_vectors(scope, row, limit)
        except lmdb.Error as error:
            self._turn_off(error)
            return []
        found = []
        for place, data in reversed(sealed):
            try:
                opened = records.open_vector(self._keys, place, data, embedder)
            except Damaged:
                self._count_damaged()
                continue
            if opened is not None:
                found.append(opened)
        return found

    def all_entries(self) -> Iterator[tuple[bytes, Entry | None]]:
        """Yield every key with its entry, None where it does not open. Raises lmdb.Error on damaged pages."""
        with self._environment.begin(db=self._entries) as transaction, transaction.cursor() as cursor:
            for key, data in cursor:
                try:
                    yield bytes(key), records.open_entry(self._keys, bytes(key), data)
                except (Damaged, InputError):
                    yield bytes(key), None

    def size(self) -> tuple[int, int]:
        """Return (entries, sealed bytes); zeros when off."""
        if self.counts.off:
            return 0, 0
        with self._environment.begin() as transaction:
            entries = int(transaction.stat(self._entries)["entries"])
            return entries, _number(transaction.get(b"bytes", db=self._meta))

    def close(self) -> None:
        """Let go of the folder."""
        environment.release(self._environment)

    def _write(self, transaction: lmdb.Transaction, batch: Sequence[Record]) -> int:
        row, grown = _number(transaction.get(b"row", db=self._meta)), 0
        for record in batch:
            row += 1
            grown -= self._drop(transaction, record.entry.key)
            grown += self._put(transaction, record, row)
        transaction.put(b"row", records.row_key(row), db=self._meta)
        used = self._count(transaction, b"bytes", grown)
        return self._evict(transaction, used - self._max_bytes)

    def _put(self, transaction: lmdb.Transaction, record: Record, row: int) -> int:
        key, scope = record.entry.key, record.entry.scope
        data = records.seal_entry(self._keys, record.entry, row)
        transaction.put(key, data, db=self._entries)
        transaction.put(records.row_key(row), key, db=self._order)
        size = len(key) + len(data)
        if record.vector is not None:
            place = scope + records.row_key(row)
            sealed = records.seal_vector(self._keys, place, key, record.embedder, record.vector)
            transaction.put(place, sealed, db=self._vectors)
            size += len(place) + len(sealed)
        return size

    def _drop(self, transaction: lmdb.Transaction, key: bytes) -> int:
        """Delete an entry with its order and vector rows; return the bytes freed."""
        data = transaction.pop(key, db=self._entries)
        if data is None:
            return 0
        freed = len(key) + len(data)
        try:
            header = records.read_header(bytes(data))
        except Damaged:
            return freed  # its other rows point nowhere and leave with their turn
        transaction.delete(records.row_key(header.row), db=self._order)
        place = header.scope + records.row_key(header.row)
        vector = transaction.pop(place, db=self._vectors)
        return freed + (len(place) + len(vector) if vector is not None else 0)

    def _evict(self, transaction: lmdb.Transaction, excess: int) -> int:
        """Drop the oldest rows until `excess` bytes are free."""
        freed = dropped = 0
        while freed < excess:
            with transaction.cursor(db=self._order) as cursor:
                if not cursor.first():
                    break
                row, key = bytes(cursor.key()), bytes(cursor.value())
            size = self._drop(transaction, key) if self._row_of(transaction, key) == records.row_of(row) else 0
            transaction.delete(row, db=self._order)
            freed, dropped = freed + size, dropped + bool(size)
        self._count(transaction, b"bytes", -freed)
        return dropped

    def _row_of(self, transaction: lmdb.Transaction, key: bytes) -> int | None:
        data = transaction.get(key, db=self._entries)
        try:
            return records.read_header(bytes(data)).row if data is not None else None
        except Damaged:
            return None

    def _sealed_vectors(self, scope: bytes, row: int, limit: int) -> list[tuple[bytes, bytes]]:
        """Return a scope's rows above `row`, newest first."""
        found: list[tuple[bytes, bytes]] = []
        with self._environment.begin(db=self._vectors) as transaction, transaction.cursor() as cursor:
            there = cursor.set_range(scope + records.row_key(_MAX_ROW))
            there = cursor.prev() if there else cursor.last()
            while there and len(found) < limit:
                place = bytes(cursor.key())
                if place[:TAG_BYTES] != scope or records.row_of(place) <= row:
                    break
                found.append((place, bytes(cursor.value())))
                there = cursor.prev()
        return found

    def _count(self, transaction: lmdb.Transaction, name: bytes, by: int) -> int:
        value = max(_number(transaction.get(name, db=self._meta)) + by, 0)
        transaction.put(name, records.row_key(value), db=self._meta)
        return value

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


def open_tier(config: DiskConfig) -> DiskTier | None:
    """Open the tier under the environment's key; None, said once, if there is no key.

    Raises ConfigError for another folder's key, CapabilityError for a folder that cannot be used.
    """
    secret = secret_from(os.environ)
    if secret is None:
        _say_once_without_key(config.folder)
        return None
    map_bytes = _PAGES_SHARE * config.max_bytes + _SPARE_BYTES
    env = environment.acquire(config.folder / "entries", map_bytes)
    try:
        return DiskTier(env, _keys_of(env, secret), config.max_bytes)
    except BaseException:
        environment.release(env)
        raise


def _keys_of(env: lmdb.Environment, secret: bytes) -> Keys:
    """Derive the folder's keys; the first process chooses the salt."""
    meta = env.open_db(b"meta")
    with env.begin(write=True, db=meta) as transaction:
        salt = transaction.get(b"salt")
        if salt is None:
            salt = os.urandom(_SALT_BYTES)
            transaction.put(b"salt", salt)
            transaction.put(b"check", derive(secret, salt).values.seal(_CHECK, b"check"))
        keys = derive(secret, bytes(salt))
        try:
            keys.values.open(bytes(transaction.get(b"check") or b""), b"check")
        except Damaged:
            raise ConfigError(
                f"cache: expected the key under which this folder was written in {KEY_VARIABLE}, got another one: "
                "give that key or an empty folder"
            ) from None
    return keys


_said: set[Path] = set()


def _say_once_without_key(folder: Path) -> None:
    if folder not in _said:
        _said.add(folder)
        event("cache_disk_off", level="warning", reason=f"no_{KEY_VARIABLE}")


def _number(data: bytes | memoryview | None) -> int:
    return records.row_of(bytes(data)) if data is not None else 0
