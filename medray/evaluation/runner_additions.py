"""What a summary says when the training corpus, or the teacher's own evaluation, is named."""

from collections.abc import Sequence
from typing import Any

from medray.evaluation.config import TrainingConfig
from medray.evaluation.contamination import Contamination, contamination, training_texts
from medray.evaluation.rows import Row
from medray.evaluation.schema import Item
from medray.evaluation.summary import shown
from medray.evaluation.summary_exam import contaminated, retained_from
from medray.evaluation.summary_notes import contamination_note


def find_contamination(training: TrainingConfig, items: Sequence[Item]) -> Contamination | None:
    """Compare items with the training corpora; None where none are named."""
    return contamination(items, training_texts(training.corpora), training.leakage) if training.corpora else None


def add_contamination(summary: dict[str, Any], rows: Sequence[Row], found: Contamination | None) -> None:
    """Add the affected items, accuracy with and without them, and a note to each task that has some."""
    if found is None:
        return
    apart = contaminated(rows, found, shown)
    summary["contamination"] = {**found.as_json(), "accuracy": apart}
    for name, own in apart.items():
        summary["tasks"][name]["notes"].insert(0, contamination_note(own))


def add_retention(summary: dict[str, Any], rows: Sequence[Row], teacher: Sequence[Row] | None) -> None:
    """Add the knowledge retention rate to each exam."""
    if teacher is None:
        return
    level, seed = summary["level"], summary["provenance"]["seed"]
    for name, task in summary["tasks"].items():
        if task["kind"] == "choice":
            own = [row for row in rows if row.outcome.task == name]
            task["retention"] = retained_from(teacher, own, level=level, seed=seed)
