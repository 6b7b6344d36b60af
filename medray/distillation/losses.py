"""The terms of the distillation loss (PAPER K6, Eq. 6) as sums over answer tokens.

Sums, not means: the caller divides by the answer tokens of the global batch, so the loss is the same however the
batch was split over workers and micro-batches. Pure torch, without Ray. Shapes: N answer tokens, V vocabulary.
"""

from typing import Any

import torch
from torch.nn import functional


def cross_entropy_sum(logits_NV: Any, targets_N: Any) -> Any:
    """Return -sum log P_S(target), over the student's whole vocabulary."""
    return functional.cross_entropy(_exact(logits_NV), targets_N, reduction="sum")


def forward_kl_sum(student_NV: Any, teacher_NW: Any, *, temperature: float = 1.0) -> Any:
    """Return tau^2 * sum KL(P_T || P_S), both softened by the temperature tau.

    Models that share a tokenizer may pad their vocabularies differently (V != W): the first min(V, W) columns are the
    real tokens and are compared. tau^2 keeps the gradient's size when tau changes.
    """
    shared = min(student_NV.shape[-1], teacher_NW.shape[-1])
    student = torch.log_softmax(_exact(student_NV[:, :shared]) / temperature, dim=-1)
    teacher = torch.log_softmax(_exact(teacher_NW[:, :shared]) / temperature, dim=-1)
    return temperature**2 * functional.kl_div(student, teacher, reduction="sum", log_target=True)


def _exact(logits: Any) -> Any:
    """Half-precision logits lose the small probabilities that a divergence sums up."""
    return logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits
