"""Look-up latency of a cache with its defaults: exact in memory, exact on disk, similar; embedding by embedder.

Every figure is the time of a whole `lookup` call on one thread, screening included. Similar look-ups are given without
the embedding, which is measured by itself.
"""

import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from medray.inference.response_cache.cache import ResponseCache
from medray.inference.response_cache.config import CacheConfig, DiskConfig
from medray.inference.response_cache.embedders import StaticEmbedder, build_embedder
from medray.inference.response_cache.measuring.questions import question
from medray.inference.response_cache.measuring.timing import TimedEmbedder, each_ms, summary
from medray.inference.response_cache.scope import Scope

SCOPE: Final = Scope("bench", "artifact-1", "1", "greedy")
ANSWER: Final = "This answer stands for one of usual length and says nothing about any medicine. " * 8
_WARM_UP: Final = 200
_ASKED_IN_MEMORY: Final = 500


def measure(folder: Path, entries: int, lookups: int, embedders: Sequence[str], seed: int) -> dict[str, Any]:
    """Fill a cache with `entries` and time `lookups` of each kind. Raises ModelError for a missing embedder."""
    rng = random.Random(seed)  # noqa: S311 - which questions are asked
    timed = TimedEmbedder(StaticEmbedder())
    config = CacheConfig(disk=DiskConfig(folder=folder))
    with ResponseCache(config, embedder=timed) as cache:
        stored = [number for number in range(entries) if _store(cache, number)]
        cache.settle()
        found: dict[str, Any] = {"entries": len(stored), "refused": entries - len(stored)}
        found["semantic_hit"] = _similar(cache, timed, rng.sample(stored, min(lookups, len(stored))), 1)
        found["semantic_miss"] = _similar(cache, timed, range(entries, entries + lookups), 0)
        found["exact_memory"] = _exact_memory(cache, rng.sample(stored, min(_ASKED_IN_MEMORY, len(stored))), lookups)
        found["stats"] = _sizes(cache)
    found["exact_disk"] = _exact_disk(folder, rng.sample(stored, min(lookups, len(stored))))
    found["embedding"] = {name: _embedding(name, rng.sample(range(entries), min(300, entries))) for name in embedders}
    return found


def _store(cache: ResponseCache, number: int) -> bool:
    return cache.store(question(number), ANSWER, SCOPE)


def _similar(cache: ResponseCache, timed: TimedEmbedder, numbers: Sequence[int], wording: int) -> dict[str, Any]:
    """Time look-ups of questions that are not there in this wording, after some that are not counted."""
    times, hits = [], 0
    for at, number in enumerate(numbers):
        asked, timed.last_ms = question(number, wording), 0.0
        begun = time.perf_counter()
        found = cache.lookup(asked, SCOPE)
        took_ms = (time.perf_counter() - begun) * 1e3
        if at >= min(_WARM_UP, len(numbers) // 2):
            times.append(took_ms - timed.last_ms)
            hits += found is not None
    return {**summary(times), "hits": hits}


def _exact_memory(cache: ResponseCache, numbers: Sequence[int], lookups: int) -> dict[str, Any]:
    """Time hits of questions that were asked just before."""
    asked = [question(number) for number in numbers]
    for text in asked:
        cache.lookup(text, SCOPE)
    before = cache.stats()["counts"].get("hits_memory_exact", 0)
    times = each_ms(lambda text: cache.lookup(text, SCOPE), [asked[at % len(asked)] for at in range(lookups)])
    return {**summary(times), "hits": cache.stats()["counts"].get("hits_memory_exact", 0) - before}


def _exact_disk(folder: Path, numbers: Sequence[int]) -> dict[str, Any]:
    """Time hits in a cache that has just been opened, each question once: nothing is in memory."""
    with ResponseCache(CacheConfig(disk=DiskConfig(folder=folder))) as cache:
        times = each_ms(lambda number: cache.lookup(question(number), SCOPE), numbers)
        hits = cache.stats()["counts"].get("hits_disk_exact", 0)
    return {**summary(times), "hits": hits}


def _sizes(cache: ResponseCache) -> dict[str, Any]:
    figures = cache.stats()
    return {
        "memory_entries": figures["memory"]["entries"],
        "memory_mb": figures["memory"]["bytes"] / 1e6,
        "vectors": figures["vectors"],
        "disk_entries": figures["disk"]["entries"],
        "disk_mb": figures["disk"]["bytes"] / 1e6,
    }


def _embedding(name: str, numbers: Sequence[int]) -> dict[str, Any]:
    """Time one text at a time: what a look-up pays."""
    embedder = build_embedder(name)
    embedder.embed(["What loads the model?"])
    return summary(each_ms(lambda number: embedder.embed([question(number)]), numbers))
