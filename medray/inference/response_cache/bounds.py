"""The exact upper bound of a rate that was seen a few times or never (Clopper and Pearson, one-sided)."""

from functools import lru_cache
from typing import Final

CONFIDENCE: Final = 0.95


@lru_cache(maxsize=4_096)
def upper_bound(events: int, trials: int, confidence: float = CONFIDENCE) -> float:
    """Return the highest rate that `events` of `trials` do not contradict at this confidence; 1 without trials.

    0 of 299 gives 0.00997: the fewest trials that can show a rate below 1 %.
    """
    if not 0 <= events <= trials:
        raise ValueError(f"expected 0 <= events <= trials, got {events} of {trials}")
    if events == trials:
        return 1.0
    from scipy.special import betaincinv

    return float(betaincinv(events + 1, trials - events, confidence))
