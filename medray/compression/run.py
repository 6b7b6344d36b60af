"""The whole compression of one model in this process, from names to a finished artifact. Where it runs is the job's
business.

The output folder is claimed before anything heavy, and every step leaves a mark, so that a killed run goes on where it
stopped.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from medray.artifacts import Manifest, Output
from medray.compression.architecture import Architecture, architecture
from medray.compression.config import CompressConfig
from medray.compression.formats import fp16_bytes, plan_table, variant_table
from medray.compression.plan import Plan, paper_plan
from medray.compression.rows import Row, draw
from medray.compression.source import config_of, data_identity, find_source
from medray.compression.stages import Advance, Job, make_formats
from medray.compression.steps import Steps
from medray.config import config_hash, resolved
from medray.errors import DataError
from medray.models import load_tokenizer, tokenizer_hash
from medray.models.identity import content_identity
from medray.report import provenance

LoadLessons = Callable[[CompressConfig], Sequence[Any]]
_METRICS = ("bytes", "ratio_to_fp16", "resident_bytes", "kl", "kl_se", "tokens")


def plan_only(config: CompressConfig, out: str, *, overwrite: bool, command: Sequence[str]) -> dict[str, Any]:
    """Write the plan of a model of which `config.json` is enough; return its record. Raises InputError."""
    config_json = config_of(str(config.model if config.model is not None else config.adapter))
    model, plan = architecture(config_json), paper_plan(config_json, config.plan_options)
    with Output(
        out, kind="plan", config=resolved(config), inputs={"model": model.fingerprint}, overwrite=overwrite
    ) as output:
        record = _plan_record(plan, model)
        _write_json(output.path / "plan.json", record)
        output.commit(Manifest(kind="plan", bits=plan.bits_per_part(), command=tuple(command)))
    return record


def compress(
    config: CompressConfig,
    out: str,
    *,
    overwrite: bool,
    command: Sequence[str],
    load_lessons: LoadLessons,
    advance: Advance,
) -> dict[str, Any]:
    """Make the artifact at `out` and return its summary. Raises MedrayError."""
    source = find_source(config)
    job = Job.of(config, source, advance)
    inputs = {"model": content_identity(source), "data": data_identity(config.data)}
    with Output(out, kind="compressed", config=resolved(config), inputs=inputs, overwrite=overwrite) as output:
        tokenizer = load_tokenizer(source)
        rows = _rows(config, tokenizer, load_lessons)
        _write_json(output.path / "plan.json", _plan_record(job.plan, job.model))
        steps = Steps(output.path)
        summary = _summary(job, make_formats(job, output.path, steps, rows, tokenizer), command)
        _write_json(output.path / "summary.json", summary)
        steps.drop()
        manifest = output.commit(_manifest(job, summary, tokenizer_hash(tokenizer), command))
    return {**summary, "location": output.location, "artifact": manifest.artifact_id}


def _rows(config: CompressConfig, tokenizer: Any, load_lessons: LoadLessons) -> list[Row]:
    lessons = load_lessons(config)
    if not lessons:
        raise DataError("data: expected validation lessons, got none: raise valid_share or give more data")
    return draw(lessons, tokenizer, rows=config.rows, max_tokens=config.max_tokens, seed=config.seed)


def _plan_record(plan: Plan, model: Architecture) -> dict[str, Any]:
    table = plan_table(plan, model)
    return {
        "plan": plan.model_dump(mode="json"),
        "weights": model.count,
        "bytes_per_part": table,
        "bytes": {name: sum(parts.values()) for name, parts in table.items()},
        "variants": {name: sum(parts.values()) for name, parts in variant_table(plan, model).items()},
    }


def _summary(job: Job, made: dict[str, Any], command: Sequence[str]) -> dict[str, Any]:
    fp16 = fp16_bytes(job.model)
    return {
        "fp16": {"bytes": sum(fp16.values()), "bytes_per_part": fp16},
        **made,
        "compute_dtype": job.compute_dtype,
        "device": job.device,
        "provenance": provenance(seed=job.config.seed, config_hash=config_hash(job.config), command=command),
    }


def _manifest(job: Job, summary: dict[str, Any], tokenizer: str, command: Sequence[str]) -> Manifest:
    metrics: dict[str, float | None] = {}
    for name, found in summary["formats"].items():
        for key in _METRICS:
            if key in found:
                metrics[f"{name}_{key}"] = None if found[key] is None else float(found[key])
    return Manifest(
        kind="compressed",
        base_model=(job.source.base or job.source).name,
        tokenizer_hash=tokenizer,
        bits=job.plan.bits_per_part(),
        metrics=metrics,
        details={"merge_parity": summary["merge_parity"], "plan": job.plan.rule},
        command=tuple(command),
    )


def _write_json(path: Path, data: dict[str, Any]) -> None:
    path.write_text(json.dumps(data, indent=2, sort_keys=True) + "\n", encoding="utf-8")
