"""A cache in front of a computation: look up, else compute once for all who ask the same at the same time, then keep.

Questions that must not be cached are not shared either: each caller has its own computation. A failed computation
reaches its callers and is not kept.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from medray.inference.response_cache.cache import ResponseCache
from medray.inference.response_cache.entry import Answer, Hit
from medray.inference.response_cache.flight import AsyncFlights, ThreadFlights
from medray.inference.response_cache.policy import PLAIN, RequestShape
from medray.inference.response_cache.scope import Scope


@dataclass(frozen=True, slots=True)
class Served:
    """An answer and, if it came from the cache, the hit."""

    answer: Answer
    hit: Hit | None


class SharedAnswers:
    """See the module. One per cache; callable from any thread and event loop."""

    def __init__(self, cache: ResponseCache) -> None:
        self._cache = cache
        self._async_flights: AsyncFlights[Answer] = AsyncFlights()
        self._thread_flights: ThreadFlights[Answer] = ThreadFlights()

    async def get_or_compute(
        self,
        question: str,
        scope: Scope,
        compute: Callable[[], Awaitable[Answer]],
        shape: RequestShape = PLAIN,
        *,
        artifact: str | None = None,
    ) -> Served:
        """Return an answer; of concurrent identical questions one computes. Look-ups run beside the event loop."""
        hit = await asyncio.to_thread(self._cache.lookup, question, scope, shape)
        if hit is not None:
            return Served(_answer(hit), hit)

        async def compute_and_keep() -> Answer:
            again = await asyncio.to_thread(self._cache.peek, question, scope, shape)
            if again is not None:  # kept between our look-up and now
                return _answer(again)
            answer = await compute()
            await asyncio.to_thread(self._cache.store, question, answer, scope, shape, artifact=artifact)
            return answer

        key = self._cache.exact_key(question, scope, shape)
        if key is None:
            return Served(await compute(), None)
        return Served(await self._async_flights.run(key, compute_and_keep), None)

    def get_or_compute_sync(
        self,
        question: str,
        scope: Scope,
        compute: Callable[[], Answer],
        shape: RequestShape = PLAIN,
        *,
        artifact: str | None = None,
    ) -> Served:
        """Do the same from a thread: of concurrent identical questions the first computes."""
        hit = self._cache.lookup(question, scope, shape)
        if hit is not None:
            return Served(_answer(hit), hit)

        def compute_and_keep() -> Answer:
            again = self._cache.peek(question, scope, shape)
            if again is not None:  # kept between our look-up and now
                return _answer(again)
            answer = compute()
            self._cache.store(question, answer, scope, shape, artifact=artifact)
            return answer

        key = self._cache.exact_key(question, scope, shape)
        if key is None:
            return Served(compute(), None)
        return Served(self._thread_flights.run(key, compute_and_keep), None)


def _answer(hit: Hit) -> Answer:
    return Answer(hit.answer, "stop", hit.tokens, hit.prompt_tokens)
