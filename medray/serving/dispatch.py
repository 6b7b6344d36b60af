"""Getting an answer out of the ranked pools: the next best until one gives a first token, then that one to the end.

Before the first token a failure costs nothing, so the request moves on to the next pool. After it the answer has begun:
another pool would continue another text, so the failure is the client's to see. A RequestError is about the request,
not the pool, and is never retried. Knows pools only through two protocols.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from medray.errors import EngineError, PoolsUnavailable
from medray.inference.engine import Delta, GenerationRequest
from medray.log import event

# Engines keep the deadline themselves and end the answer in order; this is for one that hangs.
_GRACE_S = 5.0


class PoolStream(Protocol):
    """An answer on its way from a replica."""

    def __aiter__(self) -> AsyncIterator[Delta]: ...

    async def __anext__(self) -> Delta:
        """Return the next delta. Raises RequestError, EngineError or, when the pool sheds load, PoolsUnavailable."""
        ...

    def cancel(self) -> None:
        """Stop generating; harmless when it has ended. Not a coroutine: it must work in a task being cancelled."""
        ...


class PoolClient(Protocol):
    """Where requests for one pool go in."""

    def stream(self, request: GenerationRequest) -> PoolStream:
        """Start generating."""
        ...


class OpenAnswer:
    """An answer whose first delta is here. Iterate once; always `close`."""

    def __init__(
        self, pool: str, first: Delta, stream: PoolStream, *, ends_s: float, on_close: Callable[[], None]
    ) -> None:
        self.pool = pool
        self._first = first
        self._stream = stream
        self._ends_s = ends_s
        self._on_close: Callable[[], None] | None = on_close

    async def deltas(self) -> AsyncIterator[Delta]:
        """Yield the deltas, the first included. Raises EngineError or TimeoutError when the pool fails on the way."""
        yield self._first
        finished = self._first.finish_reason is not None
        while not finished:
            try:
                async with asyncio.timeout_at(self._ends_s + _GRACE_S):
                    delta = await anext(self._stream)
            except StopAsyncIteration:
                raise EngineError("the answer broke off without a finish reason") from None
            finished = delta.finish_reason is not None
            yield delta

    def close(self) -> None:
        """Cancel what still runs and give the place free; calling it twice is fine."""
        if self._on_close is not None:
            self._stream.cancel()
            self._on_close()
            self._on_close = None


class Dispatcher:
    """Opens answers on pools and counts those that are open."""

    def __init__(self, pools: Mapping[str, PoolClient], *, first_token_timeout_s: float) -> None:
        self._pools = pools
        self._first_token_timeout_s = first_token_timeout_s
        self._in_flight: Counter[str] = Counter()

    @property
    def in_flight(self) -> Mapping[str, int]:
        """How many answers of each pool are open here."""
        return self._in_flight

    async def open(self, ranked: Sequence[str], request: GenerationRequest) -> OpenAnswer:
        """Return the first answer that begins, trying pools in order within the request's deadline.

        Raises RequestError when the request itself is refused, TimeoutError when its time is up, PoolsUnavailable when
        no pool began.
        """
        loop = asyncio.get_running_loop()
        ends_s = loop.time() + (request.deadline_s if request.deadline_s is not None else float("inf"))
        for pool in ranked:
            left_s = ends_s - loop.time()
            if left_s <= 0:
                raise TimeoutError
            # The deadline counts from the engine's own start, so every try gets what is left of it.
            attempt = replace(request, deadline_s=left_s if request.deadline_s is not None else None)
            try:
                return await self._open_one(pool, attempt, ends_s)
            except (EngineError, TimeoutError) as error:
                event("pool_failed_before_first_token", level="warning", pool=pool, error=error)
        if loop.time() >= ends_s:
            raise TimeoutError
        raise PoolsUnavailable("no pool could take the request: try again soon")

    async def _open_one(self, pool: str, request: GenerationRequest, ends_s: float) -> OpenAnswer:
        now_s = asyncio.get_running_loop().time()
        stream = self._pools[pool].stream(request)
        self._in_flight[pool] += 1
        try:
            async with asyncio.timeout_at(min(ends_s, now_s + self._first_token_timeout_s)):
                first = await anext(stream)
        except StopAsyncIteration:
            self._release(pool, stream)
            raise EngineError("the pool ended the answer before it began") from None
        except BaseException:
            self._release(pool, stream)
            raise
        return OpenAnswer(pool, first, stream, ends_s=ends_s, on_close=lambda: self._in_flight.subtract([pool]))

    def _release(self, pool: str, stream: PoolStream) -> None:
        stream.cancel()
        self._in_flight[pool] -= 1
