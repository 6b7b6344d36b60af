"""Examined rows to lesson files: a Ray Data step that splits and classifies, and the ordered write of what it gives.

Rows that are not used keep their place and reason only, and go to `rejects.jsonl`: no text.
"""

import json
import shutil
from collections import Counter
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, Final

from medray.data.config import PrepareConfig
from medray.data.example import Example
from medray.data.pipeline import Dropped, settle
from medray.data.splits import split_of
from medray.errors import DataError
from medray.knowledge.lesson_writer import LessonWriter
from medray.knowledge.lessons import lesson_from, schema

SPLITS: Final = ("train", "valid")


@dataclass
class Counts:
    """What was written, counted on the way."""

    splits: Counter[str] = field(default_factory=Counter)
    categories: Counter[tuple[str, str]] = field(default_factory=Counter)
    read: Counter[str] = field(default_factory=Counter)
    used: Counter[str] = field(default_factory=Counter)

    def add(self, table: Any) -> None:
        """Count the rows of a settled table."""
        columns = ("source", "reason", "split", "category")
        for source, reason, split, category in zip(*(table[name].to_pylist() for name in columns), strict=True):
            # MedQuAD's thousands of files are counted by folder.
            place = str(PurePosixPath(source).parent) if source.endswith(".xml") else source
            self.read[place] += 1
            if reason is None:
                self.used[place] += 1
                self.splits[split] += 1
                self.categories[split, category] += 1


def _settled_schema() -> Any:
    import pyarrow as pa

    places = [pa.field("position", pa.int64()), pa.field("reason", pa.string())]
    return pa.schema([*schema(), *places])


def _lesson_batch(table: Any, *, dropped: Any, valid_share: float, seed: int) -> Any:
    """Turn examined rows into lessons; a row that is not used keeps its place and reason only."""
    import pyarrow as pa
    import ray

    settled = []
    for row in settle(table, ray.get(dropped)):
        if isinstance(row, Example):
            lesson = lesson_from(row, split_of(row.group, seed, valid_share))
            settled.append({**asdict(lesson), "position": row.position})
        else:
            settled.append({"source": row.source, "position": row.position, "reason": row.reason.value})
    return pa.Table.from_pylist(settled, schema=_settled_schema())


def write_settled(rows: Any, dropped: Dropped, config: PrepareConfig, folder: Path) -> Counts:
    """Stream lessons and rejects to the output folder, in order. Raises DataError when nothing is left to train on."""
    import pyarrow.compute as pc
    import ray

    to_lessons = partial(_lesson_batch, dropped=ray.put(dropped), valid_share=config.valid_share, seed=config.seed)
    settled = rows.map_batches(to_lessons, batch_size=None, batch_format="pyarrow")
    counts = Counts()
    for split in SPLITS:  # what a killed run of the same job left
        shutil.rmtree(folder / split, ignore_errors=True)
    with ExitStack() as stack:
        rejects = stack.enter_context((folder / "rejects.jsonl").open("w", encoding="utf-8"))
        writers = {split: stack.enter_context(LessonWriter(folder / split)) for split in SPLITS}
        for table in settled.iter_batches(batch_size=None, batch_format="pyarrow"):
            counts.add(table)
            for split, writer in writers.items():
                writer.add(table.filter(pc.equal(table["split"], split)).select(schema().names))
            for reject in (
                table.filter(pc.is_valid(table["reason"])).select(["source", "position", "reason"]).to_pylist()
            ):
                rejects.write(json.dumps(reject) + "\n")
    if not counts.splits["train"]:
        raise DataError("expected at least one training lesson, got none: every row was dropped, see max_reject_share")
    return counts
