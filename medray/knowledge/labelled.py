"""Questions with a known class, read for judging the classifier.

Parquet with `question` and MedQuAD's `qtype`, or JSON lines with `question` and `category`. Rows whose question type
belongs to no class (causes, outlook, inheritance ...) are counted and left out.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from medray.errors import DataError
from medray.knowledge.lexicon import CATEGORIES, Category

MEDQUAD_TYPES: Final[Mapping[Category, frozenset[str]]] = {
    "medication": frozenset(
        {
            "usage",
            "dose",
            "side effects",
            "precautions",
            "indication",
            "important warning",
            "storage and disposal",
            "forget a dose",
            "dietary",
            "brand names",
            "brand names of combination products",
            "interactions with medications",
            "interactions with herbs and supplements",
            "interactions with foods",
            "contraindication",
        }
    ),
    "diagnosis": frozenset({"symptoms", "exams and tests", "stages"}),
    "treatment": frozenset({"treatment"}),
    "prevention": frozenset({"prevention", "why get vaccinated"}),
    "emergency": frozenset({"emergency or overdose", "severe reaction"}),
}
_CATEGORY_OF: Final = {name: category for category, names in MEDQUAD_TYPES.items() for name in names}


@dataclass(frozen=True, slots=True)
class Labelled:
    """Questions with their class, and how many rows had none."""

    rows: tuple[tuple[str, Category], ...]
    left_out: int


def read_labelled(path: Path) -> Labelled:
    """Read a labelled file. Raises DataError when it is missing, damaged, of another format or without any label."""
    try:
        pairs = list(_parquet(path) if path.suffix == ".parquet" else _json_lines(path))
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            f"expected Parquet with question and qtype, or JSON lines with question and category, at {path}; "
            f"got {type(error).__name__}: check the path and the columns"
        ) from None
    rows = tuple((question, category) for question, category in pairs if category is not None)
    if not rows:
        raise DataError(f"expected rows with a class in {path}, got none of {len(pairs)}")
    return Labelled(rows, len(pairs) - len(rows))


def _parquet(path: Path) -> Iterator[tuple[str, Category | None]]:
    import pyarrow.parquet as pq

    table = pq.read_table(path, columns=["question", "qtype"])
    for question, qtype in zip(table["question"].to_pylist(), table["qtype"].to_pylist(), strict=True):
        yield str(question), _CATEGORY_OF.get(qtype)


def _json_lines(path: Path) -> Iterator[tuple[str, Category | None]]:
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.strip():
            yield _json_row(json.loads(line))


def _json_row(row: Any) -> tuple[str, Category | None]:
    if not isinstance(row, dict) or row["category"] not in CATEGORIES:
        raise ValueError("not an object with a known category")
    return str(row["question"]), row["category"]
