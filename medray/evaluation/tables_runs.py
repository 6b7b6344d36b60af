"""T1 and T2 from summaries of runs: label -> `summary.json`. A figure that a run does not hold stays empty."""

from collections.abc import Mapping
from typing import Any, Final

from medray.evaluation.tables import Figure, Measured, Rendered, table

STEP_1: Final = "step1"
COVERAGE: Final = "knowledge_coverage"

Summaries = Mapping[str, Mapping[str, Any]]


def accuracy_table(summaries: Summaries) -> Rendered:
    """Return T1: accuracy on USMLE Step 1 questions, coverage of the concepts of reference answers."""
    return table("T1", [Measured(label, (_step_1(one), _coverage(one))) for label, one in summaries.items()])


def resources_table(summaries: Summaries) -> Rendered:
    """Return T2: memory, and speed where answers were written rather than scored."""
    return table("T2", [Measured(label, _resources(one)) for label, one in summaries.items()])


def _step_1(summary: Mapping[str, Any]) -> Figure | None:
    for task in summary["tasks"].values():
        part = task.get("strata", {}).get(STEP_1)
        if part is not None and part["accuracy"] is not None:
            return Figure(*(100 * part[name] for name in ("accuracy", "low", "high")))
    return None


def _coverage(summary: Mapping[str, Any]) -> Figure | None:
    for task in summary["tasks"].values():
        own = task["measures"].get(COVERAGE)
        if own is not None:
            return Figure(*(100 * own[name] for name in ("value", "low", "high")))
    return None


def _resources(summary: Mapping[str, Any]) -> tuple[Figure | None, ...]:
    peak, weights = summary["run"]["peak_bytes"], summary.get("weights_bytes")
    memory = tuple(None if size is None else Figure(size / 1e9) for size in (peak, weights))
    if summary["mode"] != "generate":
        return (*memory, None, None, None)
    exams = [task["effort"] for task in summary["tasks"].values() if task["effort"]["tokens_per_s"] is not None]
    if not exams:
        return (*memory, None, None, None)
    first = exams[0]  # of several tasks the first: problems of different kinds are not averaged
    seconds, tokens = first["seconds_per_answer"], first["tokens_per_answer"]
    return (*memory, _interval(seconds), Figure(first["tokens_per_s"]), _interval(tokens))


def _interval(own: Mapping[str, Any]) -> Figure:
    return Figure(own["value"], own["low"], own["high"])
