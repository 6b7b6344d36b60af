"""A run over many items: chunks to workers, finished items to the journal, a bad item found and counted.

When a worker dies or raises, the unfinished items of its chunk are tried again in halves; the one that fails alone,
twice, is recorded as failed and the run goes on. Many failures in a row are the engine's fault, not the items': then
the run ends, records none of them, and can be resumed. Workers are driven by one thread each; this module knows
neither models nor Ray.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import groupby
from typing import Protocol

from medray.errors import EngineError
from medray.evaluation.rows import Journal
from medray.evaluation.schema import Item, Outcome
from medray.log import event

ATTEMPTS = 2  # an item alone: once more after a loss that may have been a machine's
MISSING = "MissingOutcome"

Progress = Callable[[int, int, int], None]  # finished, of, failed


class WorkerLost(EngineError):  # noqa: N818 - reads as the state it reports
    """A worker's process died, hung or raised; `cause` names the kind, never the text."""

    def __init__(self, cause: str) -> None:
        super().__init__(f"a worker was lost ({cause})")
        self.cause = cause


class Worker(Protocol):
    """One scorer somewhere."""

    def outcomes(self, items: Sequence[Item]) -> Iterator[Outcome]:
        """Yield outcomes as they are made. Raises WorkerLost; InputError and CapabilityError end the run."""
        ...

    def restart(self) -> None:
        """Replace what was lost."""
        ...

    def peak_bytes(self) -> int:
        """Return the most memory that the scorer's process, or its GPU, has held."""
        ...

    def close(self) -> None:
        """Free the scorer."""
        ...


@dataclass(frozen=True, slots=True)
class RunPlan:
    """How a run deals with items: so many go to a worker at once; so many lost, or failed, in a row end the run."""

    chunk_items: int = 32
    max_lost_in_a_row: int = 8
    max_failed_in_a_row: int = 64


@dataclass(frozen=True, slots=True)
class _Work:
    items: tuple[Item, ...]
    attempts: int = 0


def run_items(
    items: Sequence[Item],
    workers: Sequence[Worker],
    journal: Journal,
    plan: RunPlan | None = None,
    progress: Progress | None = None,
) -> None:
    """Score every item that the journal does not hold yet. Raises EngineError when the engine keeps failing."""
    run = _Run(items, journal, plan or RunPlan(), progress)
    if len(workers) == 1:
        run.drive(workers[0])  # no thread: Ctrl-C ends the run at once
    else:
        _drive_all(run, workers)
    run.settle()


def _drive_all(run: "_Run", workers: Sequence[Worker]) -> None:
    with ThreadPoolExecutor(max_workers=len(workers), thread_name_prefix="medray-evaluate") as pool:
        driven = [pool.submit(run.drive, worker) for worker in workers]
        try:
            for future in as_completed(driven):
                future.result()
        except BaseException:
            run.stop()
            for worker in workers:
                worker.close()  # a chunk takes minutes: let no thread wait for its own
            raise


class _Run:
    """The state that the threads share; every change happens under the lock."""

    def __init__(self, items: Sequence[Item], journal: Journal, plan: RunPlan, progress: Progress | None) -> None:
        self._journal = journal
        self._plan = plan
        self._progress = progress
        self._total = len(items)
        self._lock = threading.Lock()
        self._unsettled: list[Sequence[Outcome]] = []  # failures since the last success
        self._lost_in_a_row = 0
        self._failed = sum(map(all_failed, journal.outcomes.values()))
        left = sorted((item for item in items if item.id not in journal.outcomes), key=_length, reverse=True)
        size = plan.chunk_items
        self._queue = deque(_Work(tuple(left[start : start + size])) for start in range(0, len(left), size))
        self._stopped = False

    def drive(self, worker: Worker) -> None:
        """Take work until none is left."""
        while (work := self._take()) is not None:
            left, cause = self._attempt(worker, work)
            if left:
                self._again(left, work.attempts, cause)

    def stop(self) -> None:
        """Let no thread begin anything."""
        self._stopped = True

    def settle(self) -> None:
        """Record the failures at the end of a run that had successes before."""
        with self._lock:
            self._record_failures()

    def _take(self) -> _Work | None:
        with self._lock:
            return self._queue.popleft() if self._queue and not self._stopped else None

    def _attempt(self, worker: Worker, work: _Work) -> tuple[list[Item], str]:
        """Score a chunk; return the items that are not finished, and why."""
        waiting = {item.id: item for item in work.items}
        try:
            for item_id, made in groupby(worker.outcomes(work.items), key=lambda outcome: outcome.item_id):
                outcomes = list(made)
                del waiting[item_id]
                self._finished(item_id, outcomes)
        except WorkerLost as lost:
            if self._stopped:
                return [], lost.cause
            event("evaluation_worker_lost", level="warning", cause=lost.cause, items=len(waiting))
            worker.restart()
            return list(waiting.values()), lost.cause
        return list(waiting.values()), MISSING

    def _finished(self, item_id: str, outcomes: Sequence[Outcome]) -> None:
        with self._lock:
            if all_failed(outcomes):
                self._unsettled.append(outcomes)
                self._check(outcomes[0].error)
            else:
                self._record_failures()
                self._lost_in_a_row = 0
                self._journal.add(item_id, outcomes)
            self._report()

    def _again(self, left: Sequence[Item], attempts: int, cause: str) -> None:
        with self._lock:
            if len(left) > 1:
                middle = len(left) // 2
                self._queue.extendleft((_Work(tuple(left[middle:])), _Work(tuple(left[:middle]))))
            elif attempts + 1 < ATTEMPTS:
                self._queue.appendleft(_Work(tuple(left), attempts + 1))
            else:
                self._unsettled.append([failed(left[0], cause)])
                self._lost_in_a_row += 1
                self._check(cause)

    def _check(self, cause: str) -> None:
        many = len(self._unsettled) >= self._plan.max_failed_in_a_row
        if many or self._lost_in_a_row >= self._plan.max_lost_in_a_row:
            raise EngineError(
                f"{len(self._unsettled)} items in a row failed ({cause}): that is the engine, not the items; none of "
                "them was recorded. Mend it and run the same command again to resume"
            )

    def _record_failures(self) -> None:
        for outcomes in self._unsettled:
            self._journal.add(outcomes[0].item_id, outcomes)
            self._failed += 1
        self._unsettled.clear()

    def _report(self) -> None:
        if self._progress is not None:
            waiting = len(self._unsettled)
            self._progress(len(self._journal.outcomes) + waiting, self._total, self._failed + waiting)


def failed(item: Item, cause: str) -> Outcome:
    """Return the one outcome of an item that could not be scored."""
    return Outcome(
        item_id=item.id,
        task=item.task,
        stratum=item.stratum,
        category=item.category,
        repeat=0,
        order=tuple(range(len(item.options))),
        prompt_sha256="",
        status="failed",
        correct=False if item.kind == "choice" else None,
        error=cause,
    )


def _length(item: Item) -> tuple[int, str]:
    """Long items first, like beside like: batches waste little, and what does not fit shows at once."""
    return len(item.question) + len(item.context) + sum(map(len, item.options)), item.id


def all_failed(outcomes: Sequence[Outcome]) -> bool:
    """Tell whether nothing at all came of an item."""
    return all(outcome.status == "failed" for outcome in outcomes)


def failures(outcomes: Mapping[str, Sequence[Outcome]]) -> dict[str, int]:
    """Count failed items by the kind of error."""
    kinds = [made[0].error for made in outcomes.values() if all_failed(made)]
    return {kind: kinds.count(kind) for kind in sorted(set(kinds))}
