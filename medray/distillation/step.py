"""One optimiser step over this worker's micro-batches of a global batch; no clock, no files, no Ray.

The gradient is that of the mean over all answer tokens of the global batch, exact for any split over workers.
"""

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from medray.distillation.batch import Batch
from medray.distillation.collective import Collective
from medray.distillation.teacher import Teacher
from medray.errors import TrainingError


@dataclass(frozen=True)
class Work:
    """A step's global batch as this rank sees it.

    `mine` are the micro-batches this rank trains on (of `count` in all); `tokens` are the answer tokens of the global
    batch; `row_ids(i)` names the rows of micro-batch i for an error message.
    """

    mine: Sequence[int]
    count: int
    tokens: int
    collate: Callable[[int], Batch]
    row_ids: Callable[[int], Sequence[str]]


@dataclass(frozen=True)
class StepResult:
    """Means over the answer tokens of the global batch, the same on every rank. `kl` is None without the term."""

    tokens: int
    loss: float
    ce: float
    kl: float | None
    gradient_norm: float


def train_step(
    module: Any,
    teacher: Teacher | None,
    optimiser: torch.optim.Optimizer,
    work: Work,
    *,
    step: int,
    clip_norm: float,
    collective: Collective,
) -> StepResult:
    """Accumulate, synchronise, clip, update. Raises TrainingError (on every rank) before a bad update is applied.

    `module` is a DistillationModule, wrapped for data parallelism or not.
    """
    optimiser.zero_grad(set_to_none=True)
    # loss, ce, kl, tokens seen, then one flag for each micro-batch whose loss is not finite
    sums = [0.0] * (4 + work.count)
    for position, index in enumerate(work.mine):
        last = position == len(work.mine) - 1
        for slot, value in enumerate(_backward(module, teacher, work, index, collective, synchronise=last)):
            sums[slot] += value
            if not math.isfinite(value):
                sums[4 + index] = 1.0
    loss, ce, kl, tokens, *flags = collective.total(sums)
    _require_finite(step, flags, work)
    if round(tokens) != work.tokens:
        raise TrainingError(f"step {step}: expected {work.tokens} answer tokens over all workers, got {tokens:.0f}")
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    norm = float(torch.nn.utils.clip_grad_norm_(parameters, clip_norm))
    if not math.isfinite(norm):
        rows = [row for index in range(work.count) for row in work.row_ids(index)]
        raise TrainingError(f"step {step}: expected finite gradients, got norm {norm}; rows: {', '.join(rows)}")
    optimiser.step()
    return StepResult(
        tokens=work.tokens,
        loss=loss / tokens,
        ce=ce / tokens,
        kl=kl / tokens if teacher is not None else None,
        gradient_norm=norm,
    )


def _backward(
    module: Any, teacher: Teacher | None, work: Work, index: int, collective: Collective, *, synchronise: bool
) -> tuple[float, float, float, int]:
    batch = work.collate(index)
    signal = teacher.signal(batch) if teacher is not None else None
    with _gradient_context(module, synchronise):
        sums = module(batch, signal)
        # Data parallelism averages gradients over ranks: the factor makes that the sum.
        (sums.loss * (collective.world_size / work.tokens)).backward()
    return float(sums.loss.detach()), float(sums.ce), float(sums.kl), len(batch.targets)


def _gradient_context(module: Any, synchronise: bool) -> AbstractContextManager[None]:
    """Gradients travel once a step, with the last micro-batch."""
    if synchronise or not hasattr(module, "no_sync"):
        return nullcontext()
    context: AbstractContextManager[None] = module.no_sync()
    return context


def _require_finite(step: int, flags: Sequence[float], work: Work) -> None:
    bad = [row for index, flag in enumerate(flags) if flag for row in work.row_ids(index)]
    if bad:
        raise TrainingError(f"step {step}: expected a finite loss, got NaN or infinity; rows: {', '.join(bad)}")
