"""Intervals: Wilson's for a share, the bootstrap (BCa) for any mean, over clusters where measurements repeat."""

import warnings
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

LEVEL = 0.95
RESAMPLES = 4999
_BATCH = 250  # resamples drawn at once: bounds memory at some 10 MB for 5,000 items


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its interval; `method` names how the interval was made."""

    value: float
    low: float
    high: float
    n: int  # clusters, that is independent items
    method: str


def wilson(successes: int, n: int, *, level: float = LEVEL) -> Interval:
    """Wilson's score interval of a share. Raises ValueError unless 0 <= successes <= n and n > 0."""
    from scipy.stats import binomtest

    found = binomtest(successes, n).proportion_ci(confidence_level=level, method="wilson")
    return Interval(successes / n, float(found.low), float(found.high), n, "Wilson")


def bootstrap_mean(
    values: Sequence[float],
    *,
    clusters: Sequence[Hashable] | None = None,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Bias-corrected accelerated bootstrap (Efron 1987) of a mean; whole clusters are drawn, each counting alike.

    A cluster counts with the mean of its values. Values in [0, 1] that are all 0 or all 1 say more about the sample
    than the bootstrap can (it would return a point): they get Wilson's interval. Other constant values, and a single
    cluster, get the point itself. Raises ValueError without values.
    """
    means = cluster_means(values, clusters)
    value, n = float(means.mean()), len(means)
    if means.min() == means.max():
        if value in (0.0, 1.0):
            return wilson(round(value * n), n, level=level)
        return Interval(value, value, value, n, "constant")
    low, high = _bca(means, level=level, resamples=resamples, seed=seed)
    return Interval(value, low, high, n, "bootstrap (BCa)")


def bootstrap_statistic(
    statistic: Callable[[Sequence[int]], float], n: int, *, level: float = LEVEL, resamples: int = 499, seed: int = 0
) -> Interval:
    """Percentile bootstrap of any statistic of a sample of n, given as a function of the places drawn.

    For statistics that are no mean (a calibration error, say); their bias stays in the interval.
    """
    if n <= 0:
        raise ValueError("expected at least one value")
    rng = np.random.default_rng(seed)
    drawn = [statistic(rng.integers(0, n, n).tolist()) for _ in range(resamples)]
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Interval(statistic(range(n)), float(low), float(high), n, "bootstrap (percentile)")


def cluster_means(values: Sequence[float], clusters: Sequence[Hashable] | None = None) -> Any:
    """Return the mean of each cluster as a float array, in order of first appearance."""
    if not len(values):
        raise ValueError("expected at least one value")
    flat = np.asarray(values, dtype=float)
    if clusters is None:
        return flat
    if len(clusters) != len(flat):
        raise ValueError(f"expected one cluster for each of {len(flat)} values, got {len(clusters)}")
    place: dict[Hashable, int] = {}
    index = np.asarray([place.setdefault(name, len(place)) for name in clusters])
    return np.bincount(index, weights=flat) / np.bincount(index)


def _bca(means: Any, *, level: float, resamples: int, seed: int) -> tuple[float, float]:
    from scipy.stats import bootstrap

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a degenerate acceleration is handled below, not by a warning
        found = bootstrap(
            (means,),
            np.mean,
            confidence_level=level,
            n_resamples=resamples,
            batch=_BATCH,
            method="BCa",
            rng=np.random.default_rng(seed),
        ).confidence_interval
    if np.isfinite(found.low) and np.isfinite(found.high):
        return float(found.low), float(found.high)
    value = float(means.mean())
    return value, value
