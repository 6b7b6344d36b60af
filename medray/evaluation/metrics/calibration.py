"""Calibration: whether answers given with confidence p are right in a share p of cases. Pure.

ECE sorts answers into bins of confidence and averages the gap between mean confidence and accuracy; with few answers it
is biased upwards, so `adaptive` bins of equal size stand beside the usual ones of equal width, and Brier's score, which
needs no bins.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from medray.evaluation.schema import Outcome

_NAME = "loglikelihood"


@dataclass(frozen=True, slots=True)
class Bin:
    """Answers of like confidence: how many, their mean confidence, the share that is right."""

    n: int
    confidence: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """ECE with bins of equal width, with bins of equal size, Brier's score (of the chosen option), and the bins."""

    ece: float
    ece_adaptive: float
    brier: float
    n: int
    bins: tuple[Bin, ...]


def calibration(confidence: Sequence[float], right: Sequence[bool], bins: int = 10) -> Calibration | None:
    """Return the calibration of answers; None without any. Raises ValueError for confidences outside [0, 1]."""
    pairs = sorted(zip(confidence, right, strict=True))
    if any(not 0 <= value <= 1 for value, _ in pairs):
        raise ValueError("expected confidences in [0, 1], got one outside")
    if not pairs:
        return None
    wide: list[list[tuple[float, bool]]] = [[] for _ in range(bins)]
    for pair in pairs:
        wide[min(bins - 1, int(pair[0] * bins))].append(pair)
    ends = [round(len(pairs) * place / bins) for place in range(bins + 1)]
    even = [pairs[start:end] for start, end in pairwise(ends)]
    brier = sum((value - hit) ** 2 for value, hit in pairs) / len(pairs)
    return Calibration(_gap(_bins(wide)), _gap(_bins(even)), brier, len(pairs), _bins(wide))


def probabilities(outcome: Outcome) -> list[float] | None:
    """Return the softmax of an outcome's log-likelihoods, in the file's order; None where it has not all of them."""
    found = [outcome.scores.get(f"{_NAME}/{place}") for place in range(len(outcome.order))]
    values = [value for value in found if value is not None and math.isfinite(value)]
    if not values or len(values) != len(outcome.order):
        return None
    top = max(values)
    weights = [math.exp(value - top) for value in values]
    return [weight / sum(weights) for weight in weights]


def stated(outcomes: Sequence[Outcome]) -> tuple[list[float], list[bool]]:
    """Return confidence and correctness of the outcomes that have probabilities and a choice."""
    confidence, right = [], []
    for outcome in outcomes:
        shares = probabilities(outcome)
        if shares is not None and outcome.chosen is not None:
            confidence.append(shares[outcome.chosen])
            right.append(bool(outcome.correct))
    return confidence, right


def _bins(groups: Sequence[Sequence[tuple[float, bool]]]) -> tuple[Bin, ...]:
    return tuple(
        Bin(len(group), sum(value for value, _ in group) / len(group), sum(hit for _, hit in group) / len(group))
        for group in groups
        if group
    )


def _gap(bins: Sequence[Bin]) -> float:
    total = sum(own.n for own in bins)
    return sum(own.n * abs(own.confidence - own.accuracy) for own in bins) / total
