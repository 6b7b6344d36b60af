"""One computation for concurrent identical questions.

The first caller starts the computation as a task of its own; all callers, the first too, only wait for it, so a caller
that leaves takes nobody's answer with it. When the last one leaves, the computation is cancelled. Failures reach every
waiting caller and are forgotten. Knows keys only.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class _Flight(Generic[T]):
    task: "asyncio.Task[T]"
    waiting: int = 0


class AsyncFlights(Generic[T]):
    """For callers on event loops; each loop has its own flights."""

    def __init__(self) -> None:
        self._flights: dict[tuple[int, bytes], _Flight[T]] = {}

    async def run(self, key: bytes, compute: Callable[[], Awaitable[T]]) -> T:
        """Return what `compute` gives, computed once for all who wait for this key on this loop."""
        place = (id(asyncio.get_running_loop()), key)
        flight = self._flights.get(place)
        if flight is None:
            flight = self._flights[place] = _Flight(asyncio.ensure_future(_call(compute)))
            flight.task.add_done_callback(lambda _: self._land(place, flight))
        flight.waiting += 1
        try:
            return await asyncio.shield(flight.task)
        finally:
            flight.waiting -= 1
            if flight.waiting == 0 and not flight.task.done():
                self._land(place, flight)  # who comes now must not join a computation that is being cancelled
                flight.task.cancel()

    def _land(self, place: tuple[int, bytes], flight: "_Flight[T] | None") -> None:
        if flight is not None and self._flights.get(place) is flight:
            del self._flights[place]
        if flight is not None and flight.task.done() and not flight.task.cancelled():
            flight.task.exception()  # seen, even if every caller has left


class ThreadFlights(Generic[T]):
    """For callers on threads: the first computes, the others wait."""

    def __init__(self) -> None:
        self._flights: dict[bytes, Future[T]] = {}
        self._lock = threading.Lock()

    def run(self, key: bytes, compute: Callable[[], T]) -> T:
        """Return what `compute` gives, computed once for all threads that wait for this key."""
        with self._lock:
            flight = self._flights.get(key)
            leads = flight is None
            if flight is None:
                flight = self._flights[key] = Future()
        if not leads:
            return flight.result()
        try:
            flight.set_result(compute())
        except BaseException as error:
            flight.set_exception(error)
            raise
        finally:
            with self._lock:
                del self._flights[key]
        return flight.result()


async def _call(compute: Callable[[], Awaitable[T]]) -> T:
    return await compute()
