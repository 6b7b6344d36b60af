"""One background thread that fills the indexes of the scopes asked for, each once at a time.

A fill that fails is counted and said once; it is tried again when its scope is asked for again. Nobody who waits for
the thread, or closes it, is left waiting by a failure. It knows scopes only.
"""

import threading
from collections.abc import Callable

from medray.log import event

Stopped = Callable[[], bool]


class Filler:
    """See the module. `fill(scope, stopped)` should return soon once `stopped()` is true."""

    def __init__(self, fill: Callable[[bytes, Stopped], None]) -> None:
        self._fill = fill
        self._asked: dict[bytes, None] = {}
        self._busy = False
        self._closed = False
        self._changed = threading.Condition()
        self.failed = 0
        self._thread = threading.Thread(target=self._run, name="cache-index", daemon=True)
        self._thread.start()

    def ask(self, scope: bytes) -> None:
        """Ask for a scope to be filled."""
        with self._changed:
            if not self._closed:
                self._asked[scope] = None
                self._changed.notify_all()

    def wait(self) -> None:
        """Wait until all that was asked for has been done or has failed, or the thread was closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or (not self._asked and not self._busy))

    def close(self) -> None:
        """End the thread, in the middle of a fill if need be; calling it twice is fine."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def _run(self) -> None:
        while (scope := self._next()) is not None:
            try:
                self._fill(scope, lambda: self._closed)
            except Exception as error:  # questions go on without this scope's neighbours
                self._count(error)

    def _next(self) -> bytes | None:
        with self._changed:
            self._busy = False
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._closed or bool(self._asked))
            if self._closed:
                return None
            scope = next(iter(self._asked))
            del self._asked[scope]
            self._busy = True
            return scope

    def _count(self, error: Exception) -> None:
        self.failed += 1
        if self.failed == 1:
            event("cache_index_fill_failed", level="warning", error=error)
