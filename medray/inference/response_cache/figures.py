"""The cache's figures for metrics and `medray cache stats`: counts, sizes, and how each class stands. No texts."""

from typing import Any

from medray.inference.response_cache.audit import Auditor
from medray.inference.response_cache.counters import Counters
from medray.inference.response_cache.disk import DiskTier
from medray.inference.response_cache.disk.writer import Writer
from medray.inference.response_cache.gate import Gate, Judgement
from medray.inference.response_cache.tiers import Tiers


def cache_figures(counters: Counters, tiers: Tiers, gate: Gate, auditor: Auditor | None) -> dict[str, Any]:
    """Return all figures of a cache."""
    semantic = tiers.semantic
    figures: dict[str, Any] = {
        "counts": counters.all(),
        "memory": {"entries": len(tiers.memory), "bytes": tiers.memory.used_bytes},
        "vectors": semantic.vectors if semantic is not None else 0,
        "failed_fills": semantic.failed_fills if semantic is not None else 0,
    }
    if auditor is not None:
        figures["audit"] = {"dropped": auditor.dropped, "failed": auditor.failed}
    if tiers.disk is not None:
        figures["disk"] = disk_figures(tiers.disk, tiers.writer)
    if semantic is not None:
        figures["classes"] = class_figures(gate)
    return figures


def disk_figures(disk: DiskTier, writer: Writer | None) -> dict[str, Any]:
    """Return the disk tier's sizes and counts."""
    entries, size = disk.size()
    counts = disk.counts
    return {
        "entries": entries,
        "bytes": size,
        "written": counts.written,
        "damaged": counts.damaged,
        "evicted": counts.evicted,
        "off": counts.off,
        "waiting": writer.waiting if writer is not None else 0,
        "dropped": writer.dropped if writer is not None else 0,
        "failed": writer.failed if writer is not None else 0,
    }


def class_figures(gate: Gate) -> dict[str, dict[str, Any]]:
    """Return, by class, whether similar questions are served and the running wrong-answer estimate."""
    return {category: _class(found) for category, found in gate.judgements().items()}


def _class(found: Judgement) -> dict[str, Any]:
    return {
        "semantic": found.open,
        "bound_95": found.bound,
        "basis": found.basis,
        "audited": found.audited,
        "wrong": found.wrong,
        "wrong_rate": found.wrong / found.audited if found.audited else None,
        "wrong_rate_bound_95": found.audit_bound,
    }
