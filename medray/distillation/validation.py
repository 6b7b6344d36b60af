"""Loss and divergence on a fixed validation set, spread over the workers and summed.

The set, its micro-batches and their owners never change, so two figures of a run (or of a resumed one) compare.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from medray.distillation.batch import Batch, collate
from medray.distillation.collective import Collective
from medray.distillation.encoding import EncodedLessons
from medray.distillation.module import DistillationModule
from medray.distillation.order import micro_batches, padded_tokens, share
from medray.distillation.teacher import Teacher, TeacherSignal


@dataclass(frozen=True)
class Validation:
    """Means over the validation set's answer tokens, at temperature 1; `kl` is None without a teacher."""

    ce: float
    kl: float | None


class Validator:
    """Measures a module whenever asked.

    The teacher's signal (hidden states of this rank's share of the answer tokens) is kept: asking it again at every
    validation would cost more than the student.
    """

    def __init__(
        self,
        module: DistillationModule,
        teacher: Teacher | None,
        lessons: EncodedLessons,
        *,
        micro_batch_size: int,
        pad_id: int,
        device: Any,
        collective: Collective,
    ) -> None:
        self._module = module
        self._teacher = teacher
        self._collective = collective
        batches = micro_batches(np.arange(len(lessons)), lessons.lengths, micro_batch_size)
        mine = share(padded_tokens(batches, lessons.lengths), collective.rank, collective.world_size)
        self._batches = [collate(lessons, batches[index], pad_id=pad_id, device=device) for index in mine]
        self._signals: list[TeacherSignal | None] = []

    def measure(self) -> Validation:
        """Return the figures; every rank must call it, and gets the same."""
        self._ask_teacher()
        self._module.eval()
        ce = kl = tokens = 0.0
        for batch, signal in zip(self._batches, self._signals, strict=True):
            batch_ce, batch_kl = self._module.measure(batch, signal)
            ce, kl, tokens = ce + batch_ce, kl + batch_kl, tokens + len(batch.targets)
        self._module.train()
        ce, kl, tokens = self._collective.total([ce, kl, tokens])
        return Validation(ce / tokens, kl / tokens if self._teacher is not None else None)

    def _ask_teacher(self) -> None:
        if not self._signals:
            teacher = self._teacher
            self._signals = [self._signal(teacher, batch) for batch in self._batches]

    @staticmethod
    def _signal(teacher: Teacher | None, batch: Batch) -> TeacherSignal | None:
        return teacher.signal(batch) if teacher is not None else None
