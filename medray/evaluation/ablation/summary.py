"""From trials to rows: mean and spread over seeds, and what leaving a part out changes, paired by seed. Pure.

Intervals are Student's t over seeds: they cover the spread of training, not that of the items asked.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import fmean, stdev
from typing import Any, Final

LEVEL: Final = 0.95
_POWER: Final = 2.0  # standard deviations by which the reference must beat the baseline


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of one row with one seed; `error` names the kind of a failure."""

    row: str
    seed: int
    figures: Mapping[str, float] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure over seeds: mean, standard deviation and t-interval, None for fewer than two."""

    mean: float
    sd: float | None
    low: float | None
    high: float | None
    n: int


def spread(values: Sequence[float]) -> Spread:
    """Return mean, standard deviation and 95 % t-interval. Raises ValueError for no values."""
    if not values:
        raise ValueError("expected at least one value, got none")
    mean = fmean(values)
    if len(values) < 2:
        return Spread(mean, None, None, None, len(values))
    from scipy.stats import t

    sd = stdev(values)
    half = float(t.ppf(0.5 + LEVEL / 2, len(values) - 1)) * sd / math.sqrt(len(values))
    return Spread(mean, sd, mean - half, mean + half, len(values))


def summarise(trials: Sequence[Trial], *, reference: str) -> dict[str, Any]:
    """Return per row and figure the spread, and the difference from the reference row on the seeds both have."""
    rows = list(dict.fromkeys(trial.row for trial in trials))
    names = sorted({name for trial in trials for name in trial.figures})
    values = {row: {name: _by_seed(trials, row, name) for name in names} for row in rows}
    return {
        row: {
            "trials": sum(trial.row == row for trial in trials),
            "failed": [trial.error for trial in trials if trial.row == row and trial.error],
            "figures": {name: asdict(spread(list(own.values()))) for name, own in values[row].items() if own},
            "differences": {
                name: _difference(own, values[reference][name]) for name, own in values[row].items() if row != reference
            },
        }
        for row in rows
    }


def power(
    trials: Sequence[Trial], *, reference: str, baseline: str, figure: str, lower_is_better: bool
) -> dict[str, Any]:
    """Tell whether the reference beats the baseline by two standard deviations of the seeds.

    The standard deviation is pooled over both rows. With fewer than two seeds of either the table has no power.
    """
    sides = [list(_by_seed(trials, row, figure).values()) for row in (reference, baseline)]
    if min(map(len, sides)) < 2:
        return {"figure": figure, "gain": None, "sd": None, "enough": False}
    gain = (fmean(sides[0]) - fmean(sides[1])) * (-1 if lower_is_better else 1)
    freedom = [len(side) - 1 for side in sides]
    squares = sum(stdev(side) ** 2 * own for side, own in zip(sides, freedom, strict=True))
    sd = math.sqrt(squares / sum(freedom))
    return {"figure": figure, "gain": gain, "sd": sd, "enough": gain > 0 and gain >= _POWER * sd}


def _by_seed(trials: Sequence[Trial], row: str, name: str) -> dict[int, float]:
    return {trial.seed: trial.figures[name] for trial in trials if trial.row == row and name in trial.figures}


def _difference(own: Mapping[int, float], reference: Mapping[int, float]) -> dict[str, Any] | None:
    common = sorted(own.keys() & reference.keys())
    return asdict(spread([own[seed] - reference[seed] for seed in common])) if common else None
