"""The rows that a run leaves behind. Plain data without torch: the driver and the progress actor hold them too."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class StepRow:
    """One line of the record. `step` counts from 1; means over the answer tokens (`tokens`) of the global batch."""

    step: int
    tokens: int
    loss: float
    ce: float
    kl: float | None
    lr: float
    difficulty: float | None
    seconds: float


@dataclass(frozen=True)
class ValidationRow:
    """Validation figures after `step` optimiser steps."""

    step: int
    ce: float
    kl: float | None


@dataclass(frozen=True)
class WorkerRow:
    """A process that trained: how many micro-batches it did."""

    rank: int
    pid: int
    micro_batches: int


@dataclass
class TrainingState:
    """Where a run stands after `step` optimiser steps."""

    step: int = 0
    rows: list[StepRow] = field(default_factory=list)
    validations: list[ValidationRow] = field(default_factory=list)
    workers: list[WorkerRow] = field(default_factory=list)
