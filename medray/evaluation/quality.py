"""Measured quality per class of question, as the selector reads it from an artifact's manifest.

A class's figure is accuracy above chance, `(right - chance) / (1 - chance)` per item: 0 is guessing, 1 is all right,
whatever the number of options. `lower` is its interval's lower end, at least 0: what may be promised, not hoped for.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from medray.artifacts import MANIFEST, is_artifact, read
from medray.artifacts.manifest import dump
from medray.errors import ArtifactError
from medray.evaluation.rows import Row
from medray.evaluation.summary_measures import ACCURACY, by_item, measures
from medray.models import ModelRef
from medray.statistics import bootstrap_mean

MIN_ITEMS: Final = 20  # a class with fewer is left unmeasured
MEASURE: Final = "accuracy above chance"


def quality(rows: Sequence[Row], *, level: float = 0.95, seed: int = 0) -> dict[str, dict[str, Any]]:
    """Return `{class: {"lower", "value", "n", "measure", "tasks"}}` over all exam questions of each class."""
    exams = [row for row in rows if row.kind == "choice" and row.outcome.category]
    accuracy = measures(exams).get(ACCURACY, {})
    classes: dict[str, dict[str, float]] = {}
    tasks: dict[str, set[str]] = {}
    for item_id, (first, *_) in by_item(exams).items():
        chance = 1 / first.options
        name = first.outcome.category
        classes.setdefault(name, {})[item_id] = (accuracy[item_id] - chance) / (1 - chance)
        tasks.setdefault(name, set()).add(first.outcome.task)
    return {
        name: _entry(list(values.values()), sorted(tasks[name]), level, seed)
        for name, values in sorted(classes.items())
        if len(values) >= MIN_ITEMS
    }


def write_quality(ref: ModelRef, measured: Mapping[str, Any]) -> Path:
    """Set `quality` in the manifest of the artifact that a model lies in; returns the manifest's path.

    The content hash covers files only, so the artifact stays what it was. Raises ArtifactError without an artifact.
    """
    folder = next((place for place in (Path(ref.path), Path(ref.path).parent) if _holds(ref, place)), None)
    if folder is None:
        raise ArtifactError(f"{ref.name}: expected an artifact to write the quality to, got a plain model")
    path = folder / MANIFEST
    fresh = path.with_name(f".{MANIFEST}.{os.getpid()}")
    updated = read(folder).model_copy(update={"quality": dict(measured)})
    with fresh.open("w", encoding="utf-8") as stream:
        stream.write(dump(updated))
        stream.flush()
        os.fsync(stream.fileno())
    fresh.replace(path)
    return path


def _holds(ref: ModelRef, place: Path) -> bool:
    return ref.kind != "hub" and is_artifact(place)


def _entry(values: Sequence[float], tasks: Sequence[str], level: float, seed: int) -> dict[str, Any]:
    found = bootstrap_mean(values, level=level, seed=seed)
    lower = min(max(found.low, 0.0), 1.0)
    return {"lower": lower, "value": found.value, "n": found.n, "measure": MEASURE, "tasks": list(tasks)}
