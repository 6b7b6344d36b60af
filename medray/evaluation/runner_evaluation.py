"""One evaluation from config to folder: `items.parquet`, `summary.json`, `report.html` and a manifest.

Work lies in the output's unfinished sibling until all of it is done; the same command after a kill goes on where the
journal ends. What the figures depend on is part of the output's fingerprint, where the work runs is not.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from medray.artifacts import Manifest, Output, fetch, hash_bytes, is_artifact, is_remote, read
from medray.config import config_hash, resolved
from medray.data.sources.files import content_hash
from medray.evaluation.config import EvaluateConfig
from medray.evaluation.generation_answerers import is_url
from medray.evaluation.quality import quality, write_quality
from medray.evaluation.report import page
from medray.evaluation.rows import Journal, Row, rows_of, write_rows
from medray.evaluation.runner import RunPlan, run_items
from medray.evaluation.runner_additions import add_contamination, add_retention, find_contamination
from medray.evaluation.runner_finished import ITEMS, KIND, evaluated_rows
from medray.evaluation.runner_plan import TaskPlan, plan_task
from medray.evaluation.runner_progress import shown as progress_shown
from medray.evaluation.runner_scorers import ScorerFactory
from medray.evaluation.runner_workers import Factory, workers
from medray.evaluation.schema import Item
from medray.evaluation.summary import summarise
from medray.evaluation.tasks import load_task
from medray.models import ModelRef, resolve
from medray.models.identity import content_identity
from medray.report import provenance

SUMMARY, REPORT = "summary.json", "report.html"
_JOURNAL: Final = "rows.jsonl"


@dataclass(frozen=True, slots=True)
class Place:
    """Where an evaluation goes, and by which command."""

    out: str
    overwrite: bool = False
    command: tuple[str, ...] = ()


def evaluate(
    config: EvaluateConfig, place: Place, *, say: Callable[[str], None] = print, factory: Factory | None = None
) -> dict[str, Any]:
    """Run, or resume, an evaluation and return its summary. Raises MedrayError. `factory` replaces the scorer."""
    tasks = {name: load_task(name, file, limit=config.limit, seed=config.seed) for name, file in config.tasks.items()}
    items = [item for task in tasks.values() for item in task.items]
    plans = [plan_task(task, config.report.discordant) for task in tasks.values()]
    for plan in plans:
        say(plan.line())
    leaks = find_contamination(config.training, items)
    if leaks is not None:
        say(f"{len(leaks.affected_ids)} of {len(items)} items stand in the training corpus ({leaks.rows} rows)")
    teacher = evaluated_rows(config.teacher) if config.teacher else None
    output = Output(place.out, kind=KIND, config=_figures(config), inputs=_inputs(config), overwrite=place.overwrite)
    with output:
        if output.resumed:
            say("resuming unfinished work")
        journal = Journal(output.path / _JOURNAL)
        try:
            effort = _run(config, items, journal, factory or ScorerFactory(config))
        finally:
            journal.close()
        rows = rows_of(items, journal.outcomes)
        summary = _summary(config, place, rows, plans) | effort
        add_contamination(summary, rows, leaks)
        add_retention(summary, rows, teacher)
        _write(output.path, rows, summary)
        output.commit(Manifest(kind=KIND, metrics=_metrics(summary), command=place.command))
    if config.write_quality:
        say(f"quality written to {write_quality(resolve(config.model), summary['quality'])}")
    return summary


def _run(config: EvaluateConfig, items: Sequence[Item], journal: Journal, factory: Factory) -> dict[str, Any]:
    run = config.run
    started = time.monotonic()
    before = len(journal.outcomes)
    peak = None
    if before < len(items):
        plan = RunPlan(run.chunk_items, run.max_lost_in_a_row, run.max_failed_in_a_row)
        count = 0 if is_url(config.model) else run.workers
        with (
            workers(factory, count, cpus_each=run.cpus_each, gpus_each=run.gpus_each, silence_s=run.silence_s) as made,
            progress_shown(len(items)) as progress,
        ):
            run_items(items, made, journal, plan, progress)
            peak = None if is_url(config.model) else max(worker.peak_bytes() for worker in made)
    seconds = time.monotonic() - started
    return {"run": {"seconds": round(seconds, 1), "items_in_it": len(items) - before, "peak_bytes": peak}}


def _summary(config: EvaluateConfig, place: Place, rows: Sequence[Row], plans: Sequence[TaskPlan]) -> dict[str, Any]:
    level, seed = config.report.level, config.report.seed
    return {
        "model": config.model,
        "mode": config.mode,
        "level": level,
        "tasks": summarise(rows, level=level, seed=seed),
        "plan": {plan.name: plan.as_json() for plan in plans},
        "weights_bytes": None if is_url(config.model) else weights_bytes(resolve(config.model)),
        "quality": quality(rows, level=level, seed=seed),
        "config": resolved(config),
        "provenance": provenance(seed=config.seed, config_hash=config_hash(_figures(config)), command=place.command),
    }


def weights_bytes(ref: ModelRef) -> int | None:
    """Return the size of a model's weights on disk, an adapter's with its base; None for a hub id."""
    if ref.kind == "hub":
        return None
    own = sum(file.stat().st_size for file in Path(ref.path).glob("*.safetensors"))
    return own + (weights_bytes(ref.base) or 0 if ref.base is not None else 0)


def _figures(config: EvaluateConfig) -> dict[str, Any]:
    """Return the part of the config that figures depend on."""
    return {name: value for name, value in resolved(config).items() if name not in ("run", "write_quality")}


def _inputs(config: EvaluateConfig) -> dict[str, str]:
    model = hash_bytes(config.model.encode()) if is_url(config.model) else content_identity(resolve(config.model))
    files = {f"tasks/{name}": file for name, file in config.tasks.items()}
    files |= {f"training/{place}": corpus for place, corpus in enumerate(config.training.corpora)}
    return {"model": model} | {name: _content(file) for name, file in files.items()}


def _content(location: str) -> str:
    folder = fetch(location) if is_remote(location) else Path(location)
    return read(folder).content_hash if is_artifact(folder) else content_hash(location)


def _write(folder: Path, rows: Sequence[Row], summary: Mapping[str, Any]) -> None:
    write_rows(folder / ITEMS, rows)
    (folder / SUMMARY).write_text(json.dumps(summary, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    (folder / REPORT).write_text(page(summary), encoding="utf-8")
    (folder / _JOURNAL).unlink()


def _metrics(summary: Mapping[str, Any]) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for name, task in summary["tasks"].items():
        found[f"{name}/n"] = float(task["n"])
        if task["kind"] == "choice":
            found[f"{name}/accuracy"] = task["accuracy"]
    return found
