"""Scales of symmetric integer weights by least squared error, not by the largest weight.

Shapes: weight (rows, columns) float32, scales (rows, groups); a group is so many neighbouring columns of one row.
"""

from typing import Any

from medray.errors import ModelError

_STEPS = 13  # from the largest weight's scale down; Gaussian weights have their optimum well within
_SPAN = {4: 0.3, 8: 0.06}  # clipping gains much at 4 bits and hardly anything at 8
_SMALLEST = 1e-7  # a scale of zero would divide by zero, and float16 holds no much smaller one


def search_scales(weight: Any, *, bits: int, group: int, dtype: Any, importance: Any = None) -> Any:
    """Return the scales, exact in `dtype`, as float32; `importance` (columns,) weights the squared errors.

    Raises ModelError for an importance of another length.
    """
    import torch

    rows, columns = weight.shape
    blocks = weight.reshape(rows, columns // group, group)
    weights = torch.ones(columns) if importance is None else torch.as_tensor(importance, dtype=torch.float32)
    if weights.shape != (columns,):
        raise ModelError(f"importance: expected {columns} columns, got {tuple(weights.shape)}: of another model?")
    weights = weights.to(weight.device).reshape(1, columns // group, group)
    top = 2 ** (bits - 1)
    largest = blocks.abs().amax(-1) / (top - 0.5)
    best = torch.full_like(largest, float("inf"))
    scales = largest
    for step in range(_STEPS):
        tried = (largest * (1 - _SPAN[bits] * step / (_STEPS - 1))).clamp_min(_SMALLEST).to(dtype).float()
        rounded = (blocks / tried[..., None]).round_().clamp_(-top, top - 1)
        error = (rounded.mul_(tried[..., None]).sub_(blocks).square_() * weights).sum(-1)
        better = error < best
        best, scales = torch.where(better, error, best), torch.where(better, tried, scales)
    return scales
