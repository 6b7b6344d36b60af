"""Reading evaluations that are done."""

from pathlib import Path
from typing import Final

from medray.artifacts import fetch, is_artifact, read
from medray.errors import ArtifactError
from medray.evaluation.rows import Row, read_rows

KIND: Final = "evaluation"
ITEMS: Final = "items.parquet"


def is_evaluation(folder: Path) -> bool:
    """Tell whether a folder holds a finished evaluation."""
    return is_artifact(folder) and read(folder).kind == KIND


def evaluated_rows(location: str) -> list[Row]:
    """Return the rows of a finished evaluation at a path or URI. Raises ArtifactError."""
    folder = fetch(location)
    if not is_evaluation(folder):
        raise ArtifactError(f"expected a finished evaluation (`python -m jobs.evaluate`), got {location}")
    return read_rows(folder / ITEMS)
