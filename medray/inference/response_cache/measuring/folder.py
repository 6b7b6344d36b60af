"""A folder with very many entries: written straight to the disk tier in its sealed format, opened by a new process.

The first entries are real questions under their real keys, so that they can be looked up; the others have random keys.
"""

import multiprocessing
import random
import secrets
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
import psutil

from medray.errors import CapabilityError
from medray.inference.response_cache.cache import ResponseCache
from medray.inference.response_cache.config import MIB, CacheConfig, DiskConfig
from medray.inference.response_cache.disk import DiskTier, Record, open_tier
from medray.inference.response_cache.embedders import StaticEmbedder
from medray.inference.response_cache.entry import Answer, Entry
from medray.inference.response_cache.index import Vector
from medray.inference.response_cache.measuring.latency import ANSWER, SCOPE
from medray.inference.response_cache.measuring.questions import question
from medray.inference.response_cache.measuring.timing import each_ms, summary
from medray.inference.response_cache.normalise import normalise
from medray.inference.response_cache.scope import KEY_BYTES, lookup_key, scope_tag

_BATCH: Final = 2_000
_ASKABLE: Final = 30_000
_MEMORY_BYTES: Final = 32 * MIB
_MAX_VECTORS: Final = 20_000
_VECTOR_BYTES: Final = 1_200  # what CacheConfig promises for each


def measure(folder: Path, entries: int, lookups: int, seed: int) -> dict[str, Any]:
    """Write `entries`, then open and ask in a new process. Raises CapabilityError without a key or room."""
    begun = time.perf_counter()
    _write(DiskConfig(folder=folder), entries, seed)
    wrote_s = time.perf_counter() - begun
    askable = min(_ASKABLE, entries)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found: dict[str, Any] = pool.apply(_open_and_ask, (folder, askable, lookups, seed))
    return {"entries": entries, "write_s": wrote_s, **found, "file_mb": _file_mb(folder)}


def _write(config: DiskConfig, entries: int, seed: int) -> None:
    tier = open_tier(config)
    if tier is None:
        raise CapabilityError("expected the cache's key in the environment, got none")
    rng = np.random.default_rng(seed)
    scope = scope_tag(tier.keys.lookup, SCOPE)
    try:
        for at in range(0, entries, _BATCH):
            rows = rng.standard_normal((min(_BATCH, entries - at), StaticEmbedder.dimensions)).astype(np.float32)
            rows /= np.linalg.norm(rows, axis=1, keepdims=True)
            tier.write([_record(tier, scope, at + index, row) for index, row in enumerate(rows)])
        if tier.size()[0] != entries:
            raise CapabilityError(f"expected room for {entries} entries, got {tier.size()[0]} written: free some space")
    finally:
        tier.close()


def _record(tier: DiskTier, scope: bytes, number: int, vector: Vector) -> Record:
    text, now = question(number), time.time()
    known = number < _ASKABLE
    key = lookup_key(tier.keys.lookup, SCOPE, normalise(text)) if known else secrets.token_bytes(KEY_BYTES)
    entry = Entry(key, scope, text, Answer(ANSWER, "stop", 120, 20), "a", "artifact-1", "medication", now, now + 86_400)
    return Record(entry, vector, StaticEmbedder.name)


def _open_and_ask(folder: Path, askable: int, lookups: int, seed: int) -> dict[str, Any]:
    """Open; look up more than memory holds; let the index fill to its bound; say what memory that took."""
    with ResponseCache(CacheConfig()) as warm:  # what every process loads, whatever lies on disk
        warm.store(question(0), ANSWER, SCOPE)
        warm.lookup(question(0, 1), SCOPE)
    config = CacheConfig(disk=DiskConfig(folder=folder), memory_bytes=_MEMORY_BYTES, max_vectors=_MAX_VECTORS)
    before, begun = _own_and_mapped_bytes(), time.perf_counter()
    with ResponseCache(config) as cache:
        open_s = time.perf_counter() - begun
        first = cache.lookup(question(0), SCOPE)
        first_hit_s = time.perf_counter() - begun
        numbers = random.Random(seed).sample(range(1, askable), min(lookups, askable - 1))  # noqa: S311 - a sample
        times = each_ms(lambda number: cache.lookup(question(number), SCOPE), numbers)
        for number in range(askable):
            cache.lookup(question(number), SCOPE)
        cache.lookup(question(askable + 1, 1), SCOPE)
        cache.settle()
        figures, after = cache.stats(), _own_and_mapped_bytes()
    return {
        "open_s": open_s,
        "first_hit_s": first_hit_s,
        "first_hit": first is not None,
        "exact_disk": summary(times),
        "memory_mb": figures["memory"]["bytes"] / 1e6,
        "memory_bound_mb": _MEMORY_BYTES / 1e6,
        "vectors": figures["vectors"],
        "max_vectors": _MAX_VECTORS,
        "own_growth_mb": (after[0] - before[0]) / 1e6,
        "mapped_growth_mb": (after[1] - before[1]) / 1e6,
        "own_bound_mb": (_MEMORY_BYTES + _MAX_VECTORS * _VECTOR_BYTES) / 1e6,
    }


def _own_and_mapped_bytes() -> tuple[int, int]:
    """Return (anonymous memory, resident pages of mapped files, which the system takes back when it needs them)."""
    info = psutil.Process().memory_info()
    if not hasattr(info, "shared"):
        raise CapabilityError("expected Linux to tell a process's own memory from mapped files, got another system")
    return int(info.rss - info.shared), int(info.shared)


def _file_mb(folder: Path) -> float:
    return (folder / "entries" / "data.mdb").stat().st_size / 1e6
