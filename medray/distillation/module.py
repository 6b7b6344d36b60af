"""Student and loss as one module: what DistributedDataParallel wraps, so that every gradient is synchronised.

Takes a micro-batch and the teacher's signal; returns sums over its answer tokens. Knows nothing of steps or workers.
"""

from typing import Any, NamedTuple

import torch

from medray.distillation.batch import Batch
from medray.distillation.config import LossSettings
from medray.distillation.decoder import answer_states, head
from medray.distillation.losses import cross_entropy_sum, forward_kl_sum
from medray.distillation.teacher import TeacherSignal

_ALL = slice(None)


class LossSums(NamedTuple):
    """Sums over the answer tokens of a micro-batch: the weighted loss (with gradient) and its terms (without)."""

    loss: Any
    ce: Any
    kl: Any


class DistillationModule(torch.nn.Module):
    """A student (PEFT model) under the distillation loss."""

    def __init__(self, student: Any, settings: LossSettings) -> None:
        super().__init__()
        self.student = student
        self._settings = settings

    def forward(self, batch: Batch, signal: TeacherSignal | None) -> LossSums:
        """Return the training loss; without a signal the KL term is left out and is zero."""
        logits_NV = self._logits(batch)
        settings = self._settings
        with torch.set_grad_enabled(settings.ce > 0 and torch.is_grad_enabled()):
            ce = cross_entropy_sum(logits_NV, batch.targets)
        loss = settings.ce * ce
        kl = torch.zeros_like(ce)
        if signal is not None and settings.kl > 0:
            kl = forward_kl_sum(logits_NV, signal.logits(_ALL), temperature=settings.temperature)
            loss = loss + settings.kl * kl
        return LossSums(loss, ce.detach(), kl.detach())

    @torch.no_grad()
    def measure(self, batch: Batch, signal: TeacherSignal | None) -> tuple[float, float]:
        """Return the sums of cross-entropy and of KL at temperature 1, whatever the training weights are."""
        logits_NV = self._logits(batch)
        ce = cross_entropy_sum(logits_NV, batch.targets)
        kl = forward_kl_sum(logits_NV, signal.logits(_ALL)) if signal is not None else 0.0
        return float(ce), float(kl)

    def _logits(self, batch: Batch) -> Any:
        model = self.student.get_base_model()
        return head(model)(answer_states(model, batch))
