"""Recomputing a share of served hits in the background, and counting the answers that conflict.

A served hit may be queued with its question; one thread asks `recompute` for a live answer and compares the two on
entities, doses, negation and direction of advice. Nothing of the texts is kept or logged, only counts by class. A full
queue drops the sample rather than slow a request.
"""

import queue
import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from medray.inference.response_cache.scope import Scope
from medray.log import event

Recompute = Callable[[str, Scope], str | None]  # None: no answer could be had, nothing is counted
Conflicts = Callable[[str, str], Sequence[str]]
Count = Callable[[str, bool], None]
_WAITING_AT_MOST: Final = 64
_POLL_S: Final = 0.2
_CLOSE_TIMEOUT_S: Final = 10.0  # an engine in the middle of a recomputation may take longer: it is left behind


@dataclass(frozen=True, slots=True)
class _Sample:
    question: str = field(repr=False)
    answer: str = field(repr=False)
    scope: Scope = field(repr=False)
    category: str


class Auditor:
    """See the module. `count(category, wrong)` receives each verdict."""

    def __init__(self, share: float, recompute: Recompute, conflicts: Conflicts, count: Count) -> None:
        self._share = share
        self._recompute = recompute
        self._conflicts = conflicts
        self._count = count
        self._random = random.SystemRandom()
        self._queue: queue.Queue[_Sample] = queue.Queue(_WAITING_AT_MOST)
        self._stop = threading.Event()
        self.dropped = 0
        self.failed = 0
        self._thread = threading.Thread(target=self._run, name="cache-audit", daemon=True)
        self._thread.start()

    def offer(self, question: str, answer: str, scope: Scope, category: str) -> None:
        """Maybe take a served hit as a sample; never blocks."""
        if self._random.random() >= self._share:
            return
        try:
            self._queue.put_nowait(_Sample(question, answer, scope, category))
        except queue.Full:
            self.dropped += 1

    def drain(self) -> None:
        """Wait until every queued sample has been judged, or the auditor was closed."""
        finished = self._queue.all_tasks_done
        with finished:
            finished.wait_for(lambda: not self._queue.unfinished_tasks or self._stop.is_set())

    def close(self) -> None:
        """End the thread; what waits is not judged."""
        self._stop.set()
        with self._queue.all_tasks_done:
            self._queue.all_tasks_done.notify_all()
        self._thread.join(_CLOSE_TIMEOUT_S)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                sample = self._queue.get(timeout=_POLL_S)
            except queue.Empty:
                continue
            try:
                self._judge(sample)
            except BaseException as error:  # a caller's engine may fail in any way; the audit must outlive it
                self.failed += 1
                event("cache_audit_failed", level="warning", error=error)
            finally:
                self._queue.task_done()

    def _judge(self, sample: _Sample) -> None:
        live = self._recompute(sample.question, sample.scope)
        if live is None:
            self.failed += 1
            return
        wrong = bool(self._conflicts(sample.answer, live))
        self._count(sample.category, wrong)
        if wrong:
            event("cache_audit_conflict", level="warning", category=sample.category)
