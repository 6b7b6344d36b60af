"""Write-behind: entries and removals wait in a bounded queue and one thread writes them in batches, in order.

A look-up or an answer never waits for the disk. A kill costs what waits: at most one flush interval and the batch
being written. What does not fit the queue, or fails to be written, is counted. Knows records only by their size.
"""

import threading
from collections import deque
from collections.abc import Sequence
from itertools import groupby
from typing import Final, Protocol

from medray.inference.response_cache.disk.rows import Record
from medray.log import event

_BATCH: Final = 2_000  # rows in one transaction: bounds how long writers of other processes wait
_CLOSE_TIMEOUT_S: Final = 30.0
_REMOVAL_BYTES: Final = 64


class Target(Protocol):
    """Where rows go: the disk tier."""

    def write(self, batch: Sequence[Record]) -> None:
        """Write entries."""
        ...

    def remove(self, keys: Sequence[bytes]) -> None:
        """Drop entries."""
        ...


class Writer:
    """One background thread in front of the disk tier."""

    def __init__(self, target: Target, *, flush_interval_s: float, queue_bytes: int) -> None:
        self._target = target
        self._interval_s = flush_interval_s
        self._max_bytes = queue_bytes
        self._queue: deque[tuple[Record | bytes, int]] = deque()
        self._bytes = 0
        self._asked = 0  # flushes asked for
        self._done = 0  # flushes finished
        self._closed = False
        self._changed = threading.Condition()
        self.dropped = 0  # did not fit the queue
        self.failed = 0  # batches that the target refused
        self._thread = threading.Thread(target=self._run, name="cache-writer", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many records wait."""
        return len(self._queue)

    def put(self, record: Record) -> bool:
        """Queue an entry; False if the queue is full or closed."""
        return self._add(record, len(record.entry.question) + len(record.entry.answer.text) + 512)

    def put_removal(self, key: bytes) -> bool:
        """Queue the removal of an entry; False if the queue is full or closed."""
        return self._add(key, _REMOVAL_BYTES)

    def flush(self, timeout_s: float = _CLOSE_TIMEOUT_S) -> bool:
        """Wait until all that is queued now has been written or has failed; False on timeout or after `close`."""
        with self._changed:
            self._asked += 1
            target = self._asked
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._done >= target or not self._thread.is_alive(), timeout_s)
            return self._done >= target

    def close(self) -> None:
        """Write what waits and end the thread; calling it twice is fine."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(_CLOSE_TIMEOUT_S)

    def _add(self, item: Record | bytes, size: int) -> bool:
        with self._changed:
            if self._closed or self._bytes + size > self._max_bytes:
                self.dropped += 1
                return False
            self._queue.append((item, size))
            self._bytes += size
            return True

    def _run(self) -> None:
        closing = False
        while not closing:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._asked > self._done, self._interval_s)
                closing, asked = self._closed, self._asked
            while batch := self._take():
                self._try(batch)
            with self._changed:
                self._done = asked
                self._changed.notify_all()

    def _take(self) -> list[Record | bytes]:
        with self._changed:
            taken = [self._queue.popleft() for _ in range(min(_BATCH, len(self._queue)))]
            self._bytes -= sum(size for _, size in taken)
            return [item for item, _ in taken]

    def _try(self, batch: Sequence[Record | bytes]) -> None:
        try:
            self._write(batch)
        except Exception as error:  # one bad batch must not end the thread, or nothing would ever be written again
            self.failed += 1
            event("cache_write_failed", level="warning", error=error)

    def _write(self, batch: Sequence[Record | bytes]) -> None:
        """Write a batch in runs of one kind, so that a removal and a later entry of one key keep their order."""
        for is_removal, run in groupby(batch, key=lambda item: isinstance(item, bytes)):
            items = list(run)
            if is_removal:
                self._target.remove([item for item in items if isinstance(item, bytes)])
            else:
                self._target.write([item for item in items if not isinstance(item, bytes)])
