"""What runs inside each Ray Train worker: load, agree that all could, loop, and hand the outcome back as data.

An error that would come again is returned, not raised: Ray Train restarts workers that raise.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medray import errors
from medray.distillation.collective import Alone, Collective, ProcessGroup
from medray.distillation.config import DistillConfig
from medray.distillation.decoder import require_plain_head
from medray.distillation.encoding import EncodedLessons
from medray.distillation.loop import Loop, Setting
from medray.distillation.lora import add_lora
from medray.distillation.module import DistillationModule
from medray.distillation.record import StepRow
from medray.distillation.student import StudentSource, load_student_base, pruned_from
from medray.distillation.teacher import LiveTeacher
from medray.models import ModelRef, load_model


@dataclass(frozen=True)
class WorkerJob:
    """What travels to every worker; `train` and `valid` are references into the object store."""

    config: DistillConfig
    teacher: ModelRef
    student: StudentSource
    total_steps: int
    pad_id: int
    train: Any
    valid: Any
    board: Any


@dataclass(frozen=True)
class Failure:
    """An error of the tree in errors.py, as plain data."""

    kind: str
    message: str

    @classmethod
    def of(cls, error: errors.MedrayError) -> "Failure":
        """Describe an error."""
        return cls(type(error).__name__, str(error))

    def error(self) -> errors.MedrayError:
        """Rebuild it."""
        kind = getattr(errors, self.kind, errors.TrainingError)
        error: errors.MedrayError = kind(self.message)
        return error


class RayPorts:
    """The loop's ports over Ray Train and the progress board."""

    def __init__(self, board: Any, resume_from: Path | None) -> None:
        self._board = board
        self.resume_from = resume_from

    def on_row(self, row: StepRow) -> None:
        """Send the row off; nobody waits for it."""
        self._board.push.remote(row)

    def report(self, metrics: dict[str, float | int | None], folder: Path | None) -> None:
        """Report to Ray Train, which copies the folder to the run's storage."""
        import ray.train

        checkpoint = ray.train.Checkpoint.from_directory(str(folder)) if folder is not None else None
        ray.train.report(metrics, checkpoint=checkpoint)


def work(settings: dict[str, WorkerJob]) -> Failure | None:
    """Train as one rank; the function that TorchTrainer calls."""
    import ray
    import ray.train
    import ray.train.torch

    job = settings["job"]
    device = ray.train.torch.get_device()
    alone = ray.train.get_context().get_world_size() == 1
    collective: Collective = Alone() if alone else ProcessGroup(device)
    data = ray.get([job.train, job.valid])
    setting, failure = _try_set_up(job, data, device, collective)
    # A rank that went home alone would leave the others waiting for it in the first all-reduce.
    failures: list[Failure] = [other for other in collective.gather(failure) if other is not None]
    if setting is None or failures:
        return failures[0]
    with tempfile.TemporaryDirectory(prefix="medray-resume-") as folder:
        ports = RayPorts(job.board, _fetch_checkpoint(Path(folder)))
        try:
            Loop(setting, ports).run()
        except errors.TrainingError as error:
            return Failure.of(error)
    return None


def _fetch_checkpoint(folder: Path) -> Path | None:
    import ray.train

    checkpoint = ray.train.get_checkpoint()
    return Path(checkpoint.to_directory(str(folder))) if checkpoint is not None else None


def _try_set_up(
    job: WorkerJob, data: list[EncodedLessons], device: Any, collective: Collective
) -> tuple[Setting | None, Failure | None]:
    try:
        return _set_up(job, data, device, collective), None
    except errors.MedrayError as error:
        return None, Failure.of(error)


def _set_up(job: WorkerJob, data: list[EncodedLessons], device: Any, collective: Collective) -> Setting:
    config = job.config
    where = str(device)
    model = teacher = None
    if config.wants_teacher:
        model = load_model(job.teacher, dtype=config.dtype, device=where, merge=True)
        teacher = LiveTeacher(model, config.teacher)
    if model is not None and job.student.keep_layers is not None:
        base = pruned_from(model, job.student.keep_layers)
    else:
        base = load_student_base(job.student, dtype=config.dtype, device=where)
    require_plain_head(base, job.student.name)
    student = add_lora(base, config.lora, seed=config.seed, name=job.student.base_name)
    return Setting(
        config=config,
        train=data[0],
        valid=data[1],
        total_steps=job.total_steps,
        pad_id=job.pad_id,
        device=device,
        collective=collective,
        module=DistillationModule(student, config.loss),
        teacher=teacher,
        wrap=_wrap if collective.world_size > 1 else _leave,
    )


def _wrap(module: DistillationModule) -> Any:
    from torch.nn.parallel import DistributedDataParallel

    return DistributedDataParallel(module, forward_sync_buffers=False)


def _leave(module: DistillationModule) -> Any:
    return module
