"""Replaying a stream of questions through a cache in front of a real engine, one after the other.

Each stored answer carries its intent as artifact, so that a hit tells whose answer it was. Time without the cache is
that of the computation whose answer was served; some hits are computed after all, at once, so that both are timed under
the same load of the machine, to see whether that is fair.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from medray.inference.engine import Engine, GenerationRequest, Message
from medray.inference.response_cache.cache import ResponseCache
from medray.inference.response_cache.config import CacheConfig
from medray.inference.response_cache.entry import Answer, Hit
from medray.inference.response_cache.measuring.timing import summary
from medray.inference.response_cache.measuring.traffic import Asked
from medray.inference.response_cache.scope import Scope
from medray.inference.response_cache.sharing import Served, SharedAnswers

_SCOPE = Scope("replay", "artifact-1", "1", "greedy")


@dataclass(slots=True)
class Tally:
    """What happened. Times in ms, as a caller sees them."""

    outcomes: Counter[str] = field(default_factory=Counter)
    with_cache_ms: list[float] = field(default_factory=list)
    without_cache_ms: list[float] = field(default_factory=list)
    hit_ms: list[float] = field(default_factory=list)
    engine_ms: list[float] = field(default_factory=list)
    again_ms: list[tuple[float, float]] = field(default_factory=list)  # hits computed after all: (anew, charged)
    cpu_ms: float = 0.0  # of this process, during computations
    across: list[tuple[int, Asked]] = field(default_factory=list)  # hits with another intent's answer
    first: int = 0  # intents asked for the first time: no cache could have hit


class Replay:
    """See the module. `max_tokens` and the stop text bound what one computation costs."""

    def __init__(self, engine: Engine, *, max_tokens: int, stop: Sequence[str]) -> None:
        self._engine = engine
        self._max_tokens = max_tokens
        self._stop = tuple(stop)
        self._computed_ms: dict[str, float] = {}  # by intent and wording that was computed
        self._seen: set[int] = set()

    async def run(self, requests: Iterable[Asked], calls: int, again_every: int) -> dict[str, Any]:
        """Replay until the requests end or `calls` computations are spent; of the hits every so many is computed."""
        tally = Tally()
        with ResponseCache(CacheConfig()) as cache:
            shared = SharedAnswers(cache)
            for request in requests:
                if len(tally.engine_ms) >= calls:
                    break
                served = await self._one(shared, request, tally)
                allowed = (
                    cache.exact_key(request.text, _SCOPE) is not None
                )  # known only now: it would warm the cache up
                self._count(request, served, allowed, tally)
                if tally.hit_ms and len(tally.hit_ms) // again_every > len(tally.again_ms):
                    anew_ms = (await self._timed(request.text))[1]  # this request was the hit that filled the count
                    tally.again_ms.append((anew_ms, tally.without_cache_ms[-1]))
        return _figures(tally)

    async def _one(self, shared: SharedAnswers, request: Asked, tally: Tally) -> Served:
        async def compute() -> Answer:
            cpu_s = time.process_time()
            answer, took_ms = await self._timed(request.text)
            tally.cpu_ms += (time.process_time() - cpu_s) * 1e3
            tally.engine_ms.append(took_ms)
            return answer

        begun = time.perf_counter()
        served = await shared.get_or_compute(request.text, _SCOPE, compute, artifact=_name(request))
        tally.with_cache_ms.append((time.perf_counter() - begun) * 1e3)
        tally.first += request.intent not in self._seen
        self._seen.add(request.intent)
        return served

    def _count(self, request: Asked, served: Served, allowed: bool, tally: Tally) -> None:
        if served.hit is not None:
            self._count_hit(request, served.hit, tally)
            return
        kept = "miss" if served.answer.finish_reason == "stop" else "miss_truncated"
        tally.outcomes[kept if allowed else "not_cacheable"] += 1
        tally.without_cache_ms.append(tally.engine_ms[-1])
        self._computed_ms[_name(request)] = tally.engine_ms[-1]

    def _count_hit(self, request: Asked, hit: Hit, tally: Tally) -> None:
        tally.outcomes[hit.kind] += 1
        tally.without_cache_ms.append(self._computed_ms[hit.artifact])
        tally.hit_ms.append(tally.with_cache_ms[-1])
        source = int(hit.artifact.partition(":")[0])
        if source != request.intent:
            tally.across.append((source, request))

    async def _timed(self, text: str) -> tuple[Answer, float]:
        request = GenerationRequest("replay", (Message("user", text),), self._max_tokens, stop=self._stop)
        begun, pieces, tokens, reason = time.perf_counter(), [], 0, None
        async for delta in self._engine.generate(request):
            pieces.append(delta.text)
            tokens += delta.tokens
            reason = delta.finish_reason or reason
        return Answer("".join(pieces), reason or "cancelled", tokens), (time.perf_counter() - begun) * 1e3


def replay(engine: Engine, requests: Iterable[Asked], **options: Any) -> dict[str, Any]:
    """Run a replay to its end and close the engine; options as for `Replay` and `Replay.run`."""
    calls, again_every = options.pop("calls"), options.pop("again_every")

    async def whole() -> dict[str, Any]:
        try:
            return await Replay(engine, **options).run(requests, calls, again_every)
        finally:
            await engine.aclose()

    return asyncio.run(whole())


def _name(request: Asked) -> str:
    return f"{request.intent}:{request.text}"


def _figures(tally: Tally) -> dict[str, Any]:
    return {
        "requests": len(tally.with_cache_ms),
        "outcomes": dict(sorted(tally.outcomes.items())),
        "first_of_their_intent": tally.first,
        "engine_calls": len(tally.engine_ms),
        "with_cache": summary(tally.with_cache_ms),
        "without_cache": summary(tally.without_cache_ms),
        "hits": summary(tally.hit_ms),
        "computations": summary(tally.engine_ms),
        "engine_cpu_share": tally.cpu_ms / max(sum(tally.engine_ms), 1e-9),
        "hits_computed_again": {
            "anew": summary([anew for anew, _ in tally.again_ms]),
            "charged": summary([charged for _, charged in tally.again_ms]),
        },
        "across_intents": [[source, asked.intent, asked.text] for source, asked in tally.across],
    }
