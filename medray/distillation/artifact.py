"""From the last checkpoint to the artifact's files: adapter and tokenizer, record, summary, manifest."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from medray.artifacts import Manifest
from medray.config import config_hash
from medray.distillation.checkpoint import ADAPTER, RECORD, read_state
from medray.distillation.lora import CONFIG
from medray.distillation.plan import Plan
from medray.distillation.record import TrainingState, WorkerRow
from medray.models import load_tokenizer
from medray.report import provenance

SUMMARY = "summary.json"
BASE = "base"
_WHEN = ("before", "after")


def write(folder: Path, checkpoint: Path, plan: Plan, *, location: str, command: Sequence[str]) -> Manifest:
    """Write everything but the base (see student.write_base) into `folder`; return the manifest to commit."""
    state = read_state(checkpoint)
    _write_adapter(folder / ADAPTER, checkpoint / ADAPTER, plan, location)
    shutil.copyfile(checkpoint / RECORD, folder / RECORD)
    summary = summarise(state, plan, command)
    (folder / SUMMARY).write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    return Manifest(
        kind="distilled",
        base_model=plan.student.base_name,
        tokenizer_hash=plan.tokenizer_hash,
        metrics=_metrics(summary),
        details={"teacher": plan.config.teacher, "student": plan.config.student, "steps": state.step},
        command=tuple(command),
    )


def summarise(state: TrainingState, plan: Plan, command: Sequence[str]) -> dict[str, Any]:
    """Return the run in figures: validation before and after, work done and by whom, rows dropped, provenance."""
    before, after = state.validations[0], state.validations[-1]
    return {
        "valid_before": {"ce": before.ce, "kl": before.kl},
        "valid_after": {"ce": after.ce, "kl": after.kl},
        "steps": state.step,
        "answer_tokens": sum(row.tokens for row in state.rows),
        "train_seconds": round(sum(row.seconds for row in state.rows), 3),
        "validation": [asdict(row) for row in state.validations],
        "workers": [asdict(row) for row in merge_workers(state.workers)],
        "rows": {"train": plan.train_counts.as_dict(), "valid": plan.valid_counts.as_dict()},
        "provenance": provenance(seed=plan.config.seed, config_hash=config_hash(plan.config), command=command),
    }


def _metrics(summary: dict[str, Any]) -> dict[str, float | None]:
    figures = {f"valid_{term}_{when}": summary[f"valid_{when}"][term] for term in ("ce", "kl") for when in _WHEN}
    return {**figures, "steps": summary["steps"], "answer_tokens": summary["answer_tokens"]}


def merge_workers(workers: Sequence[WorkerRow]) -> list[WorkerRow]:
    """Return the processes that trained at least one micro-batch, restarts included, by rank."""
    return sorted((row for row in workers if row.micro_batches), key=lambda row: (row.rank, row.pid))


def _write_adapter(target: Path, source: Path, plan: Plan, location: str) -> None:
    if target.exists():
        shutil.rmtree(target)  # of a killed run: everything here is cheap to write anew
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("README.md"))
    described = json.loads((target / CONFIG).read_text(encoding="utf-8"))
    name = f"{location}/{BASE}" if plan.student.writes_base else plan.student.base_name
    described["base_model_name_or_path"] = name
    (target / CONFIG).write_text(json.dumps(described, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    load_tokenizer(plan.student.ref).save_pretrained(str(target))
