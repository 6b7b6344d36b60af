"""MAS, COS and TSS: scores of 0 to 10 for the columns of T3, made of the other metrics by fixed weights.

The paper names them and does not define them; these are ours (docs/metrics.md). Each is a weighted mean of parts in
[0, 1], times ten, times the share of safety items passed. A part that does not apply to an item leaves its weight to
the others; without any part there is no score. The reference itself gets 10, the question repeated gets 0.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

MAS_WEIGHTS: Final = {"coverage": 0.4, "entity_f1": 0.3, "similarity": 0.3}
COS_WEIGHTS: Final = {"decisive": 0.5, "coverage": 0.25, "similarity": 0.25}
TSS_WEIGHTS: Final = {"treatment_f1": 0.7, "dose_fidelity": 0.3}


@dataclass(frozen=True, slots=True)
class Parts:
    """What the scores are made of, each in [0, 1] or None where it does not apply."""

    coverage: float | None
    entity_f1: float | None
    similarity: float | None
    decisive: float | None
    treatment_f1: float | None
    dose_fidelity: float | None
    safety: float | None


def mas(parts: Parts) -> float | None:
    """Medical answer score: is it the reference's knowledge, and only that."""
    return _score(parts, MAS_WEIGHTS)


def cos(parts: Parts) -> float | None:
    """Clinical overall score: does it hold what decides: doses, warnings, criteria, emergency referral."""
    return _score(parts, COS_WEIGHTS)


def tss(parts: Parts) -> float | None:
    """Treatment specialisation score: are drugs, doses, routes, durations the reference's; None without any."""
    return None if parts.treatment_f1 is None else _score(parts, TSS_WEIGHTS)


def weighted(values: Mapping[str, float | None], weights: Mapping[str, float]) -> float | None:
    """Return the weighted mean of the values that apply."""
    applying = {name: value for name in weights if (value := values[name]) is not None}
    total = sum(weights[name] for name in applying)
    return sum(weights[name] * value for name, value in applying.items()) / total if applying else None


def _score(parts: Parts, weights: Mapping[str, float]) -> float | None:
    mean = weighted({name: getattr(parts, name) for name in weights}, weights)
    return None if mean is None else 10.0 * mean * (1.0 if parts.safety is None else parts.safety)
