"""One thread that generates, for libraries that block: requests wait in line, deltas come back to the event loop.

`Worker.stream` is the asyncio side; `decode` runs in the thread and calls `job.emit`. Closing the stream sets
`job.cancelled`, at which `decode` must return at its next token. The worker knows no model: an engine that batches
brings its own scheduler instead.
"""

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from medray.errors import EngineError
from medray.inference.engine import Delta, GenerationRequest
from medray.inference.meter import Meter, Ticket
from medray.log import event


@dataclass(eq=False, slots=True)
class Job:
    """A checked and tokenised request on its way to the thread. `deadline_at_s` is on the monotonic clock."""

    request: GenerationRequest
    prompt_ids: list[int]
    max_tokens: int
    deadline_at_s: float | None
    ticket: Ticket
    loop: asyncio.AbstractEventLoop
    items: asyncio.Queue[Delta | EngineError] = field(default_factory=asyncio.Queue)
    cancelled: threading.Event = field(default_factory=threading.Event)

    def emit(self, item: Delta | EngineError) -> None:
        """Hand an item to the event loop; a loop that is gone counts as a cancellation."""
        try:
            self.loop.call_soon_threadsafe(self.items.put_nowait, item)
        except RuntimeError:
            self.cancelled.set()


class Worker:
    """Run `decode(job) -> last delta` one job at a time, first come, first served."""

    def __init__(self, decode: Callable[[Job], Delta], meter: Meter, *, name: str) -> None:
        self._decode = decode
        self._meter = meter
        self._name = name
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"medray-{name}")
        self._lock = threading.Lock()
        self._jobs: set[Job] = set()
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether the worker takes no more jobs."""
        return self._closed

    async def stream(self, job: Job) -> AsyncGenerator[Delta, None]:
        """Queue the job and yield its deltas. Raises EngineError."""
        future = self._submit(job)
        try:
            while True:
                item = await self._next(job, future)
                if isinstance(item, EngineError):
                    raise item
                yield item
                if item.finish_reason is not None:
                    return
        finally:
            self._forget(job, future)

    def close(self) -> None:
        """Cancel every job, wait for the thread to end. Blocks for at most one step."""
        with self._lock:
            self._closed = True
            for job in self._jobs:
                job.cancelled.set()
        self._executor.shutdown(wait=True)

    def _submit(self, job: Job) -> "Future[None]":
        with self._lock:
            if self._closed:
                self._meter.leave(job.ticket)
                raise EngineError(f"the {self._name} engine is closed: start another one")
            self._jobs.add(job)
            return self._executor.submit(self._run, job)

    async def _next(self, job: Job, future: "Future[None]") -> Delta | EngineError:
        """Wait for the thread; a job that is still in line when its deadline comes leaves the line."""
        if job.deadline_at_s is None or job.ticket.started:
            return await job.items.get()
        try:
            async with asyncio.timeout(job.deadline_at_s - time.monotonic()):
                return await job.items.get()
        except TimeoutError:
            if future.cancel():
                return Delta("", 0, "deadline", len(job.prompt_ids))
            return await job.items.get()  # it has begun: the thread sees the deadline at its next token

    def _forget(self, job: Job, future: "Future[None]") -> None:
        job.cancelled.set()
        future.cancel()
        if future.cancelled():
            self._meter.leave(job.ticket)
        with self._lock:
            self._jobs.discard(job)

    def _run(self, job: Job) -> None:
        self._meter.start(job.ticket)
        item: Delta | EngineError
        try:
            item = self._decode(job)
        except Exception as error:  # whatever a library raises ends this request, not the engine
            event("generation_failed", level="error", engine=self._name, error=error)
            item = EngineError(f"the {self._name} engine failed while generating ({type(error).__name__})")
        finally:
            self._meter.leave(job.ticket)
        job.emit(item)
