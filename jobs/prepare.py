"""Corpora to lessons: a Ray Data job that reads, cleans, drops duplicates and leaks, splits, classifies and writes.

Output: `train/*.parquet`, `valid/*.parquet` (lessons), `rejects.jsonl` (source, position, reason; no text) and
`summary.json`. The same inputs and config give the same lessons, in the same order.
"""

import json
import shutil
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from jobs.entry import Request, run
from medray import report
from medray.artifacts import Manifest, Output
from medray.cluster import session
from medray.config import config_hash, resolved
from medray.data.config import PrepareConfig
from medray.data.example import Example, Reject
from medray.data.leakage import LeakIndex, index_questions
from medray.data.pipeline import Dropped, examine, find_dropped, ordered_execution, settle
from medray.data.sources import open_corpus, questions
from medray.data.sources.files import content_hash, shown
from medray.data.splits import split_of
from medray.data.tally import Tally
from medray.errors import DataError
from medray.knowledge.lesson_writer import LessonWriter
from medray.knowledge.lessons import KIND, SAMPLE, lesson_from, packaged_sample, schema

_SPLITS = ("train", "valid")


def prepare(config: PrepareConfig, request: Request) -> None:
    """Run the job. Raises InputError; prints where the artifact and its summary are."""
    started = time.monotonic()
    corpora = _labelled(config.data)
    units = [unit for label, path in corpora.items() for unit in open_corpus(path, format=config.format, label=label)]
    if not units:
        raise DataError(f"{', '.join(corpora)}: expected rows, got none: check `data`")
    tests = _labelled(config.test_sets)
    index = _test_index(tests, config)
    inputs = {f"data/{label}": content_hash(path) for label, path in corpora.items()}
    inputs |= {f"test_sets/{label}": content_hash(path) for label, path in tests.items()}
    with Output(request.out, kind=KIND, config=resolved(config), inputs=inputs, overwrite=request.overwrite) as output:
        with session(), ordered_execution():
            rows = examine(units, config, index)
            dropped, tally = find_dropped(rows, config, ", ".join(corpora))
            counts = _write(rows, dropped, config, output.path)
        summary = _summary(config, request, tally, counts, test_questions=len(index.whole))
        (output.path / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
        metrics: dict[str, float | None] = {
            "rows": float(tally.rows),
            **{split: float(counts.splits[split]) for split in _SPLITS},
        }
        manifest = output.commit(Manifest(kind=KIND, metrics=metrics, command=request.command))
    print(f"{tally.rows} rows -> {counts.splits.total()} lessons in {time.monotonic() - started:.1f} s")
    for reason, count in tally.by_reason().items():
        print(f"  not used: {reason} {count}")
    print(f"artifact {manifest.artifact_id}: {output.location}\nsummary: {output.location}/summary.json")


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


def _labelled(paths: Sequence[str]) -> dict[str, str]:
    """Return label -> path; a label is the last part of the path, numbered where two paths share it."""
    labelled: dict[str, str] = {}
    for path in paths:
        location = packaged_sample() if path == SAMPLE else path
        name = label = PurePosixPath(shown(location).rstrip("/")).name or "data"
        number = 1
        while label in labelled:
            number += 1
            label = f"{name}~{number}"
        labelled[label] = location
    return labelled


def _test_index(tests: dict[str, str], config: PrepareConfig) -> LeakIndex:
    asked: list[str] = []
    for label, path in tests.items():
        tally = Tally()
        for unit in open_corpus(path, label=label, questions_only=True):
            for question in questions(unit):
                tally.add(question.reason if isinstance(question, Reject) else None)
                if not isinstance(question, Reject):
                    asked.append(question)
        tally.check(f"test set {label}", config.max_reject_share)
    return index_questions(asked, config.leakage)


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


def _write(rows: Any, dropped: Dropped, config: PrepareConfig, folder: Path) -> Counts:
    """Stream lessons and rejects to the output folder, in order. Raises DataError when nothing is left to train on."""
    import pyarrow.compute as pc
    import ray

    to_lessons = partial(_lesson_batch, dropped=ray.put(dropped), valid_share=config.valid_share, seed=config.seed)
    settled = rows.map_batches(to_lessons, batch_size=None, batch_format="pyarrow")
    counts = Counts()
    for split in _SPLITS:  # what a killed run of the same job left
        shutil.rmtree(folder / split, ignore_errors=True)
    with ExitStack() as stack:
        rejects = stack.enter_context((folder / "rejects.jsonl").open("w", encoding="utf-8"))
        writers = {split: stack.enter_context(LessonWriter(folder / split)) for split in _SPLITS}
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


def _summary(
    config: PrepareConfig, request: Request, tally: Tally, counts: Counts, *, test_questions: int
) -> dict[str, Any]:
    return {
        "rows": tally.rows,
        "lessons": counts.splits.total(),
        "not_used": tally.by_reason(),
        "splits": {split: counts.splits[split] for split in _SPLITS},
        "categories": {
            split: {category: count for (of, category), count in sorted(counts.categories.items()) if of == split}
            for split in _SPLITS
        },
        "sources": {
            source: {"rows": count, "lessons": counts.used[source]} for source, count in sorted(counts.read.items())
        },
        "test_questions": test_questions,
        "provenance": report.provenance(seed=config.seed, config_hash=config_hash(config), command=request.command),
    }


main = partial(run, "prepare", PrepareConfig, prepare)

if __name__ == "__main__":
    sys.exit(main())
