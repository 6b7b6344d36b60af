"""How well answers are read: hand-labelled outputs counted as right, unparsed or misread, and misread in favour.

A label is the one option that a person reads as the answer's last word, or none. Misread in favour: the correct option
was read where the label is another or none. Pure.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medray.errors import DataError
from medray.evaluation.extraction import extract_choice


@dataclass(frozen=True, slots=True)
class LabelledOutput:
    """One output, its options as shown, the correct one and the one a person reads in it (None: no single one)."""

    id: str
    kind: str
    origin: str
    options: tuple[str, ...]
    correct: int
    output: str
    expected: int | None


def read_labelled(path: Path) -> list[LabelledOutput]:
    """Read a JSONL file of labelled outputs. Raises DataError."""
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
        return [LabelledOutput(**{**row, "options": tuple(row["options"])}) for row in rows]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(f"{path}: expected labelled outputs as JSON lines, got {type(error).__name__}") from None


def count(rows: Iterable[LabelledOutput]) -> dict[str, Any]:
    """Return how many were read right, left unparsed, misread and misread in favour of the model, and which."""
    tally: dict[str, Any] = {"n": 0, "right": 0, "unparsed": 0, "misread": 0, "in_favour": 0, "not_right": []}
    for row in rows:
        place = extract_choice(row.output, row.options).place
        tally["n"] += 1
        if place == row.expected:
            tally["right"] += 1
            continue
        tally["not_right"].append(row.id)
        tally["unparsed"] += place is None
        tally["misread"] += place is not None
        tally["in_favour"] += place is not None and place == row.correct
    return tally


def by_origin(rows: Sequence[LabelledOutput]) -> Mapping[str, dict[str, Any]]:
    """Return the counts of each origin, in order of first appearance."""
    origins = dict.fromkeys(row.origin for row in rows)
    return {origin: count(row for row in rows if row.origin == origin) for origin in origins}
