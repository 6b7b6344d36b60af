"""The training loop of one worker, without Ray: steps, validation, checkpoints, resuming.

The world comes in through `Ports`; ranks meet only through the collective and the wrapped module.
"""

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from medray.distillation import checkpoint
from medray.distillation.batch import Batch, collate
from medray.distillation.collective import Collective
from medray.distillation.config import DistillConfig
from medray.distillation.encoding import EncodedLessons
from medray.distillation.module import DistillationModule
from medray.distillation.order import TrainingOrder, micro_batches, padded_tokens, share, step_seed
from medray.distillation.record import StepRow, TrainingState, ValidationRow, WorkerRow
from medray.distillation.schedule import learning_rate
from medray.distillation.step import StepResult, Work, train_step
from medray.distillation.teacher import Teacher
from medray.distillation.validation import Validator


class Ports(Protocol):
    """What the loop tells the outside, and where it may start from."""

    @property
    def resume_from(self) -> Path | None: ...  # noqa: D102

    def on_row(self, row: StepRow) -> None:
        """Take a finished step; called on rank 0 only."""
        ...

    def report(self, metrics: dict[str, float | int | None], folder: Path | None) -> None:
        """Publish metrics and, on rank 0, a checkpoint folder; every rank calls it at the same steps."""
        ...


@dataclass(frozen=True)
class Setting:
    """What a worker trains: everything that does not change during the run."""

    config: DistillConfig
    train: EncodedLessons
    valid: EncodedLessons
    total_steps: int
    pad_id: int
    device: Any
    collective: Collective
    module: DistillationModule
    teacher: Teacher | None
    wrap: Callable[[DistillationModule], Any] = lambda module: module


class Loop:
    """Runs a setting from its last checkpoint (or the start) to its last step."""

    def __init__(self, setting: Setting, ports: Ports) -> None:
        self._setting = setting
        self._ports = ports
        config = setting.config
        self._order = TrainingOrder(
            seed=config.seed, rows=len(setting.train), global_batch_size=config.global_batch_size
        )
        self._optimiser = _optimiser(setting)
        self._state = self._restored()
        self._earlier_workers = list(self._state.workers)
        self._micro_batches_done = 0
        # Wrapped after restoring: data parallelism copies rank 0's weights to the others at this moment.
        self._wrapped = setting.wrap(setting.module)
        self._validator = Validator(
            setting.module,
            setting.teacher if config.validation.kl else None,
            setting.valid,
            micro_batch_size=config.micro_batch_size,
            pad_id=setting.pad_id,
            device=setting.device,
            collective=setting.collective,
        )

    def run(self) -> TrainingState:
        """Train to the end and return the final state. Raises TrainingError on every rank alike."""
        total = self._setting.total_steps
        self._setting.module.train()
        if not self._state.validations:
            self._validate()
        while self._state.step < total:
            row = self._step(self._state.step)
            self._state.rows.append(row)
            self._state.step = row.step
            if self._setting.collective.rank == 0:
                self._ports.on_row(row)
            self._close_step(row, last=row.step == total)
        return self._state

    def _step(self, step: int) -> StepRow:
        setting, config = self._setting, self._setting.config
        started = time.perf_counter()
        torch.manual_seed(step_seed(config.seed, step, setting.collective.rank))
        rate = learning_rate(step, setting.total_steps, config.optimiser)
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        work = self._work(step)
        result = train_step(
            self._wrapped,
            setting.teacher if config.loss.kl > 0 else None,
            self._optimiser,
            work,
            step=step + 1,
            clip_norm=config.optimiser.clip_norm,
            collective=setting.collective,
        )
        self._micro_batches_done += len(work.mine)
        return _row(step + 1, result, rate, time.perf_counter() - started)

    def _work(self, step: int) -> Work:
        setting, lessons = self._setting, self._setting.train
        batches = micro_batches(self._order.batch(step), lessons.lengths, setting.config.micro_batch_size)
        collective = setting.collective

        def row_ids(index: int) -> Sequence[str]:
            return [lessons.ids[row] for row in batches[index]]

        def batch(index: int) -> Batch:
            return collate(lessons, batches[index], pad_id=setting.pad_id, device=setting.device)

        return Work(
            mine=share(padded_tokens(batches, lessons.lengths), collective.rank, collective.world_size),
            count=len(batches),
            tokens=int(sum(lessons.answer_tokens[rows].sum() for rows in batches)),
            collate=batch,
            row_ids=row_ids,
        )

    def _close_step(self, row: StepRow, *, last: bool) -> None:
        config = self._setting.config
        validate = last or row.step % config.validation.every_steps == 0
        if validate:
            self._validate()
        if last or row.step % config.checkpoint_every_steps == 0:
            self._checkpoint(row)
        elif validate:
            self._ports.report(self._metrics(row), None)

    def _validate(self) -> None:
        figures = self._validator.measure()
        self._state.validations.append(ValidationRow(self._state.step, figures.ce, figures.kl))

    def _checkpoint(self, row: StepRow) -> None:
        collective = self._setting.collective
        mine = WorkerRow(collective.rank, os.getpid(), self._micro_batches_done)
        self._state.workers = self._earlier_workers + collective.gather(mine)
        with tempfile.TemporaryDirectory(prefix="medray-checkpoint-") as name:
            folder = Path(name)
            if collective.rank == 0:
                student = self._setting.module.student
                checkpoint.save(folder, student=student, optimiser=self._optimiser, state=self._state)
            self._ports.report(self._metrics(row), folder if collective.rank == 0 else None)

    def _metrics(self, row: StepRow) -> dict[str, float | int | None]:
        measured = self._state.validations[-1]
        return {
            "step": row.step,
            "loss": row.loss,
            "ce": row.ce,
            "kl": row.kl,
            "lr": row.lr,
            "valid_ce": measured.ce,
            "valid_kl": measured.kl,
        }

    def _restored(self) -> TrainingState:
        folder = self._ports.resume_from
        if folder is None:
            return TrainingState()
        return checkpoint.restore(folder, student=self._setting.module.student, optimiser=self._optimiser)


def _optimiser(setting: Setting) -> torch.optim.Optimizer:
    trained = [parameter for parameter in setting.module.parameters() if parameter.requires_grad]
    settings = setting.config.optimiser
    return torch.optim.AdamW(trained, lr=settings.lr_max, weight_decay=settings.weight_decay)


def _row(step: int, result: StepResult, rate: float, seconds: float) -> StepRow:
    return StepRow(
        step=step,
        tokens=result.tokens,
        loss=result.loss,
        ce=result.ce,
        kl=result.kl,
        lr=rate,
        difficulty=None,
        seconds=round(seconds, 3),
    )
