"""KRR of two finished runs: the teacher's and the student's folders in, the rate with its interval out."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from medray.evaluation.metrics.retention import retained, retention
from medray.evaluation.rows import Row, read_rows
from medray.statistics import bootstrap_mean

ITEMS = "items.parquet"


def retention_of_runs(teacher: Path, student: Path, *, level: float = 0.95, seed: int = 0) -> dict[str, Any]:
    """Return `retention` of two run folders as plain data, with `low` and `high` of the counted rate over items.

    Raises DataError when a folder holds no rows, or the teacher has no common item right.
    """
    return retention_of_rows(read_rows(teacher / ITEMS), read_rows(student / ITEMS), level=level, seed=seed)


def retention_of_rows(
    teacher: Sequence[Row], student: Sequence[Row], *, level: float = 0.95, seed: int = 0
) -> dict[str, Any]:
    """Return the same from rows."""
    answers = {
        row.outcome.item_id: row.answer_index for row in (*teacher, *student) if row.answer_index is not None
    }  # fmt: skip
    known, own = ([row.outcome for row in rows] for rows in (teacher, student))
    found = asdict(retention(known, own, answers))
    interval = bootstrap_mean(list(retained(known, own, answers).values()), level=level, seed=seed)
    return {**found, "low": interval.low, "high": interval.high}
