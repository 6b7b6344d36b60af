"""Corpora to lessons: a Ray Data job that reads, cleans, drops duplicates and leaks, splits, classifies and writes.

Output: `train/*.parquet`, `valid/*.parquet` (lessons), `rejects.jsonl` (source, position, reason; no text) and
`summary.json`. The same inputs and config give the same lessons, in the same order.
"""

import json
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import PurePosixPath
from typing import Any

from jobs.entry import Request, run
from medray import report
from medray.artifacts import Manifest, Output
from medray.cluster import session
from medray.config import config_hash, resolved
from medray.data.config import PrepareConfig
from medray.data.example import Reject
from medray.data.leakage import LeakIndex, index_questions
from medray.data.pipeline import examine, find_dropped, ordered_execution
from medray.data.sources import open_corpus, questions
from medray.data.sources.files import content_hash, shown
from medray.data.tally import Tally
from medray.errors import DataError
from medray.knowledge.lesson_pipeline import SPLITS, Counts, write_settled
from medray.knowledge.lessons import KIND, SAMPLE, packaged_sample


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
            counts = write_settled(rows, dropped, config, output.path)
        summary = _summary(config, request, tally, counts, test_questions=len(index.whole))
        summary["seconds"] = round(time.monotonic() - started, 1)
        (output.path / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
        metrics: dict[str, float | None] = {
            "rows": float(tally.rows),
            **{split: float(counts.splits[split]) for split in SPLITS},
        }
        manifest = output.commit(Manifest(kind=KIND, metrics=metrics, command=request.command))
    print(f"{tally.rows} rows -> {counts.splits.total()} lessons in {summary['seconds']} s")
    for reason, count in tally.by_reason().items():
        print(f"  not used: {reason} {count}")
    print(f"artifact {manifest.artifact_id}: {output.location}\nsummary: {output.location}/summary.json")


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


def _summary(
    config: PrepareConfig, request: Request, tally: Tally, counts: Counts, *, test_questions: int
) -> dict[str, Any]:
    return {
        "rows": tally.rows,
        "lessons": counts.splits.total(),
        "not_used": tally.by_reason(),
        "splits": {split: counts.splits[split] for split in SPLITS},
        "categories": {
            split: {category: count for (of, category), count in sorted(counts.categories.items()) if of == split}
            for split in SPLITS
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
