"""Placing the workers: one TorchTrainer run with restarts, storage and progress. The only file that starts Ray Train.

Runs on the connection that the caller holds (`medray.cluster.session`). A run of the same storage and name goes on
from its last checkpoint.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from pathlib import Path
from typing import Any

from medray.distillation.plan import Plan
from medray.distillation.progress import ProgressBoard
from medray.distillation.record import StepRow
from medray.distillation.worker import Failure, WorkerJob, work
from medray.errors import TrainingError
from medray.log import event

RUN_NAME = "run"
_KEPT_CHECKPOINTS = 2
_POLL_S = 0.5


def train(plan: Plan, *, storage_path: str, checkpoint_to: Path, on_row: Callable[[StepRow], None]) -> None:
    """Train to the end and leave the last checkpoint in the folder `checkpoint_to`.

    `storage_path` (folder or URI) must be reachable from every worker. Raises TrainingError, or the InputError that
    a worker met while loading.
    """
    import ray

    board = ray.remote(num_cpus=0)(ProgressBoard).remote()
    trainer = _trainer(plan, storage_path, board)
    # In its own thread, so that this one shows progress and hears Ctrl-C: Ray Train would take over the signal.
    future = _in_background(trainer.fit)
    while not _done(future):
        _drain(board, on_row)
    result = _result(future)
    _drain(board, on_row)
    if isinstance(result.return_value, Failure):
        raise result.return_value.error()
    if result.checkpoint is None:
        raise TrainingError("expected a checkpoint at the end of training, got none: check the storage path")
    result.checkpoint.to_directory(str(checkpoint_to))


def _trainer(plan: Plan, storage_path: str, board: Any) -> Any:
    import ray
    from ray.train import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    config = plan.config
    job = WorkerJob(
        config=config,
        teacher=plan.teacher,
        student=plan.student,
        total_steps=plan.total_steps,
        pad_id=plan.pad_id,
        train=ray.put(plan.train),
        valid=ray.put(plan.valid),
        board=board,
    )
    return TorchTrainer(
        work,
        train_loop_config={"job": job},
        scaling_config=ScalingConfig(
            num_workers=config.num_workers,
            use_gpu=_use_gpu(plan),
            resources_per_worker={"CPU": config.cpus_per_worker},
        ),
        run_config=RunConfig(
            name=RUN_NAME,
            storage_path=storage_path,
            failure_config=FailureConfig(max_failures=config.max_failures),
            checkpoint_config=CheckpointConfig(num_to_keep=_KEPT_CHECKPOINTS),
        ),
    )


def _use_gpu(plan: Plan) -> bool:
    """`auto` takes GPUs when the cluster has one for every worker."""
    import ray

    if plan.config.use_gpu != "auto":
        return plan.config.use_gpu == "yes"
    return bool(ray.cluster_resources().get("GPU", 0) >= plan.config.num_workers)


def _in_background(function: Callable[[], Any]) -> "Future[Any]":
    future: Future[Any] = Future()

    def target() -> None:
        try:
            future.set_result(function())
        except BaseException as error:  # handed to the waiting thread, whatever it is
            future.set_exception(error)

    threading.Thread(target=target, name="medray-train", daemon=True).start()
    return future


def _done(future: "Future[Any]") -> bool:
    try:
        future.exception(timeout=_POLL_S)
    except NotYet:
        return False
    return True


def _result(future: "Future[Any]") -> Any:
    from ray.train import TrainingFailedError

    try:
        return future.result()
    except TrainingFailedError as error:
        causes = getattr(error, "worker_failures", None) or {}
        kinds = ", ".join(sorted({type(cause).__name__ for cause in causes.values()})) or type(error).__name__
        raise TrainingError(
            f"training stopped after its restarts were used up ({kinds}): see the worker logs, then run again to resume"
        ) from error


def _drain(board: Any, on_row: Callable[[StepRow], None]) -> None:
    import ray

    try:
        rows = ray.get(board.take.remote())
    except ray.exceptions.RayActorError:
        event("progress_lost", level="warning")
        return
    for row in rows:
        on_row(row)
