"""Rows: what a run leaves of every item, first as a journal that survives a kill, then as `items.parquet`.

The journal holds one line per finished item and is flushed to disk after each, so a run that is resumed repeats at most
the item it died in. Rows hold model output: they belong beside the corpora, not in logs.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from medray.errors import DataError
from medray.evaluation.prompts import is_decision
from medray.evaluation.schema import Item, Outcome

_PLAIN = [field.name for field in fields(Outcome)]


@dataclass(frozen=True, slots=True)
class Row:
    """An outcome with what its item contributes to figures: kind, number of options, which one is right.

    `right` is the letter (or yes, no, maybe) that the right option had as shown; empty for open questions.
    """

    outcome: Outcome
    kind: str
    options: int
    answer_index: int | None
    right: str = ""

    @property
    def parsed(self) -> bool:
        """Whether an option was chosen; an open answer counts as parsed when it did not fail."""
        return self.outcome.status == "ok" and (self.kind == "open" or self.outcome.chosen is not None)


def rows_of(items: Sequence[Item], outcomes: Mapping[str, Sequence[Outcome]]) -> list[Row]:
    """Join items with their outcomes, in the order of the items, whatever order they were finished in."""
    return [
        Row(outcome, item.kind, len(item.options), item.answer_index, _right(item, outcome.order))
        for item in items
        for outcome in sorted(outcomes[item.id], key=lambda one: one.repeat)
    ]


class Journal:
    """Finished items in a file of JSON lines. What a kill left of a last line is cut off when it is opened."""

    def __init__(self, path: Path) -> None:
        self.outcomes: dict[str, list[Outcome]] = {}
        intact = self._read(path) if path.exists() else 0
        self._stream = path.open("ab")
        self._stream.truncate(intact)

    def add(self, item_id: str, outcomes: Iterable[Outcome]) -> None:
        """Record a finished item; it is on disk when this returns."""
        made = list(outcomes)
        line = json.dumps({"item": item_id, "outcomes": [asdict(outcome) for outcome in made]})
        self._stream.write(line.encode() + b"\n")
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self.outcomes[item_id] = made

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def _read(self, path: Path) -> int:
        """Take over the lines up to the first damaged one; return how many bytes they are."""
        intact = 0
        for line in path.read_bytes().splitlines(keepends=True):
            try:
                data = json.loads(line)
                made = [_outcome(one) for one in data["outcomes"]]
            except (ValueError, KeyError, TypeError):
                break
            if not line.endswith(b"\n"):
                break
            self.outcomes[data["item"]] = made
            intact += len(line)
        return intact


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write rows as Parquet (zstd)."""
    import pyarrow as pa
    from pyarrow import parquet

    table = pa.Table.from_pylist([_flat(row) for row in rows], schema=_schema())
    parquet.write_table(table, path, compression="zstd")


def read_rows(path: Path) -> list[Row]:
    """Read the rows of a run. Raises DataError when the file is none of ours."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        table = parquet.read_table(path).cast(_schema())
    except (OSError, ValueError, pa.ArrowException) as error:
        raise DataError(f"{path}: expected rows of an evaluation, got {type(error).__name__}") from None
    return [_row(flat) for flat in table.to_pylist()]


def _flat(row: Row) -> dict[str, Any]:
    own = asdict(row.outcome)
    own["scores"] = sorted(own["scores"].items())
    joined = {name: getattr(row, name) for name in ("kind", "options", "answer_index", "right")}
    return own | joined


def _row(flat: Mapping[str, Any]) -> Row:
    own = {name: flat[name] for name in _PLAIN} | {"scores": dict(flat["scores"])}
    return Row(_outcome(own), flat["kind"], flat["options"], flat["answer_index"], flat["right"])


def _right(item: Item, order: Sequence[int]) -> str:
    if item.answer_index is None:
        return ""
    return item.options[item.answer_index] if is_decision(item) else ascii_uppercase[order.index(item.answer_index)]


def _outcome(data: Mapping[str, Any]) -> Outcome:
    return Outcome(**{**data, "order": tuple(data["order"])})


def _schema() -> Any:
    import pyarrow as pa

    own = ("item_id", "task", "stratum", "category", "kind", "right")
    said = ("prompt_sha256", "status", "raw_output", "letter", "error")
    return pa.schema(
        [(name, pa.string()) for name in (*own, *said)]
        + [(name, pa.int32()) for name in ("repeat", "chosen", "tokens", "options", "answer_index")]
        + [("order", pa.list_(pa.int32())), ("correct", pa.bool_()), ("seconds", pa.float64())]
        + [("scores", pa.map_(pa.string(), pa.float64()))]
    )
