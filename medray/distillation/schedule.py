"""The learning rate as a pure function of the step (PAPER K5, Eq. 5 by our reading: SGDR).

Step numbers are 0-based optimiser steps; nothing here knows an optimiser.
"""

import math

from medray.distillation.config import OptimiserSettings


def learning_rate(step: int, total_steps: int, settings: OptimiserSettings) -> float:
    """Return the rate of one step: linear warm-up, then R cosine cycles over the remaining T steps.

    In cycle position p in [0, 1): lr_min + (lr_max - lr_min) / 2 * (1 + cos(pi p)).
    """
    warmup = settings.warmup_steps
    if step < warmup:
        return settings.lr_max * (step + 1) / (warmup + 1)
    total = max(total_steps - warmup, 1)
    # In integers: with a fractional cycle length the step of a restart would round to the end of a cycle.
    position = ((step - warmup) * settings.cycles % total) / total
    return settings.lr_min + (settings.lr_max - settings.lr_min) / 2 * (1 + math.cos(math.pi * position))
