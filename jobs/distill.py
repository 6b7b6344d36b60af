"""`python -m jobs.distill`: distil a teacher into a student; leaves adapter, base when pruned, record and summary."""

import shutil
import sys
import tempfile
from functools import partial
from pathlib import Path

from jobs.entry import Request, run
from medray import cluster
from medray.artifacts import Output, is_remote
from medray.artifacts.storage import is_taken, remove
from medray.config import resolved
from medray.distillation.config import DistillConfig

_STATE = ".train"


def distill(config: DistillConfig, request: Request) -> None:
    """Check everything, train, write the artifact."""
    from transformers.utils.logging import disable_progress_bar

    from medray.distillation import artifact
    from medray.distillation.plan import make_plan
    from medray.distillation.progress import ProgressDisplay
    from medray.distillation.student import write_base
    from medray.distillation.trainer import train

    disable_progress_bar()  # one bar, ours; a base of a hundred shards would draw over it
    plan = make_plan(config)
    print(f"{plan.total_steps} steps on {len(plan.train)} rows; validation on {len(plan.valid)}")
    with Output(
        request.out, kind="distilled", config=resolved(config), inputs=plan.inputs, overwrite=request.overwrite
    ) as output:
        if output.resumed:
            print("resuming unfinished work")
        if plan.student.writes_base:
            write_base(plan.student, output.path / artifact.BASE)
        storage = _storage(output)
        with tempfile.TemporaryDirectory(prefix="medray-distill-") as folder:
            cpus = config.num_workers * config.cpus_per_worker + 1
            with cluster.session(num_cpus=cpus, log_to_driver=False), ProgressDisplay(plan.total_steps) as display:
                train(plan, storage_path=storage, checkpoint_to=Path(folder), on_row=display.show)
            manifest = artifact.write(
                output.path, Path(folder), plan, location=_absolute(output.location), command=request.command
            )
        _remove_state(storage)
        sealed = output.commit(manifest)
    _show(output.location, sealed.metrics)


def _storage(output: Output) -> str:
    """Where Ray Train keeps its checkpoints: beside the artifact, where every worker can reach it."""
    if is_remote(output.location):
        return f"{output.location}.unfinished"
    return str(output.path / _STATE)


def _remove_state(storage: str) -> None:
    if not is_remote(storage):
        shutil.rmtree(storage)
    elif is_taken(storage):
        remove(storage)


def _absolute(location: str) -> str:
    return location if is_remote(location) else str(Path(location).absolute())


def _show(location: str, metrics: dict[str, float | None]) -> None:
    for name in ("valid_ce", "valid_kl"):
        before, after = metrics[f"{name}_before"], metrics[f"{name}_after"]
        if before is not None and after is not None:
            print(f"{name} {before:.4f} -> {after:.4f}")
    print(f"artifact: {_absolute(location)}\nrecord: {_absolute(location)}/record.jsonl")


main = partial(run, "distill", DistillConfig, distill)

if __name__ == "__main__":
    sys.exit(main())
