"""The steps of one compression: merge, write each format and read it back, measure. Each is resumable by itself.

A step holds at most two models at once. Quality is compared with the merged weights as they were stored.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from medray.compression.architecture import Architecture, architecture
from medray.compression.backends import BACKENDS
from medray.compression.config import CompressConfig
from medray.compression.formats import fp16_bytes
from medray.compression.measure import compare
from medray.compression.merge import logits, merge
from medray.compression.plan import Plan, paper_plan
from medray.compression.rows import Row
from medray.compression.sizes import disk_bytes, file_bytes, resident_bytes
from medray.compression.steps import Steps, fresh_folder
from medray.errors import ParityError
from medray.models import ModelRef, torch_dtype

MERGED = "merged"
_HIDDEN_MERGED = ".merged"  # when only other formats were asked for: made from it, compared with it, then dropped

Advance = Callable[[str, int, int], None]  # (what, done, of)


@dataclass(frozen=True)
class Job:
    """What every step reads."""

    config: CompressConfig
    source: ModelRef
    model: Architecture
    plan: Plan
    device: str
    compute_dtype: str
    advance: Advance

    @classmethod
    def of(cls, config: CompressConfig, source: ModelRef, advance: Advance) -> "Job":
        """Plan for the source and choose the device."""
        config_json = source.config_json()
        device = _device(config.device)
        compute = "float32" if config.compute_dtype == "auto" and device == "cpu" else config.compute_dtype
        model, plan = architecture(config_json), paper_plan(config_json, config.plan_options)
        return cls(config, source, model, plan, device, str(torch_dtype(compute)).removeprefix("torch."), advance)


def make_formats(job: Job, folder: Path, steps: Steps, rows: list[Row], tokenizer: Any) -> dict[str, Any]:
    """Write every format below `folder`; return {"merge_parity": ..., "formats": {name: sizes and divergence}}."""
    merged = folder / (MERGED if MERGED in job.config.formats else _HIDDEN_MERGED)
    parity = steps.run("merge", lambda: _merge(job, rows, merged, tokenizer))["parity"]
    found: dict[str, Any] = {}
    for name in job.config.formats:
        if name == MERGED:
            found[name] = steps.run("measure-merged", lambda: _sizes(job, merged, _load(job, MERGED, merged)))
            continue
        target = folder / name
        steps.run(name, partial(_write, job, name, merged, target, rows, tokenizer))
        found[name] = steps.run(f"measure-{name}", partial(_measure, job, name, merged, target, rows))
    if merged.name == _HIDDEN_MERGED:
        fresh_folder(merged).rmdir()
    return {"merge_parity": parity, "formats": found}


def _merge(job: Job, rows: list[Row], folder: Path, tokenizer: Any) -> dict[str, Any]:
    job.advance("merge", 0, 1)
    config = job.config
    prompts = rows[: config.parity_prompts]
    model, parity = merge(job.source, prompts, tolerance=config.parity_tolerance, device=job.device)
    fresh_folder(folder)
    BACKENDS[MERGED].write(model, job.plan, folder, dtype=config.dtype, device=job.device)
    tokenizer.save_pretrained(folder)
    job.advance("merge", 1, 1)
    return {"parity": parity.record() if parity else None}


def _write(job: Job, name: str, merged: Path, folder: Path, rows: list[Row], tokenizer: Any) -> dict[str, Any]:
    """Quantise and write, load back, and refuse a reload that computes anything else."""
    job.advance(name, 0, 2)
    model = _load(job, MERGED, merged)
    fresh_folder(folder)
    written = BACKENDS[name].write(model, job.plan, folder, dtype=job.config.dtype, device=job.device)
    tokenizer.save_pretrained(folder)
    job.advance(name, 1, 2)
    prompts = rows[: job.config.parity_prompts]
    before = logits(written, prompts, device=job.device)
    del written, model
    after = logits(_load(job, name, folder), prompts, device=job.device)
    check_reload(name, before, after)
    job.advance(name, 2, 2)
    return {"reload_equal": True}


def check_reload(name: str, before: Sequence[Any], after: Sequence[Any]) -> None:
    """Refuse a format whose reloaded logits differ at all from those before saving. Raises ParityError."""
    if not all(one.equal(other) for one, other in zip(before, after, strict=True)):
        worst = max(float((one - other).abs().max()) for one, other in zip(before, after, strict=True))
        raise ParityError(
            f"{name}: expected the reloaded model's logits to equal those before saving, got {worst:g} off"
        )


def _measure(job: Job, name: str, merged: Path, folder: Path, rows: list[Row]) -> dict[str, Any]:
    compressed = _load(job, name, folder)
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        job.advance(f"{name}-kl", done, len(rows))

    divergence = compare(
        _load(job, MERGED, merged),
        compressed,
        rows,
        batch_size=job.config.batch_size,
        device=job.device,
        advance=advance,
    )
    return {**_sizes(job, folder, compressed), **divergence.record()}


def _sizes(job: Job, folder: Path, model: Any) -> dict[str, Any]:
    fp16 = sum(fp16_bytes(job.model).values())
    parts = disk_bytes(folder)
    return {
        "bytes": file_bytes(folder),
        "bytes_per_part": parts,
        "ratio_to_fp16": sum(parts.values()) / fp16,
        "resident_bytes": resident_bytes(model),
    }


def _load(job: Job, name: str, folder: Path) -> Any:
    return BACKENDS[name].load(folder, dtype=job.compute_dtype, device=job.device)


def _device(name: str) -> str:
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return name
