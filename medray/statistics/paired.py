"""Paired tests of two systems on the same items."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from medray.statistics.intervals import LEVEL, RESAMPLES, Interval, bootstrap_mean, cluster_means

_FLIPS = 9999


@dataclass(frozen=True, slots=True)
class Paired:
    """Mean of second minus first with its bootstrap interval; `p` is two-sided, by the test named."""

    difference: float
    low: float
    high: float
    p: float
    n: int
    test: str


def mcnemar(only_first: int, only_second: int) -> float:
    """Exact two-sided McNemar test: p of the two counts of items that only one system got right."""
    from scipy.stats import binomtest

    if only_first + only_second == 0:
        return 1.0
    return float(binomtest(only_first, only_first + only_second, 0.5).pvalue)


def paired_difference(
    first: Sequence[float],
    second: Sequence[float],
    *,
    clusters: Sequence[Hashable] | None = None,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Paired:
    """Compare two systems on the same measurements, in the same order.

    The interval is a bootstrap of the differences over clusters. p: exact McNemar where every cluster's difference is
    -1, 0 or 1, else a randomisation test that flips the sign of whole clusters. Raises ValueError on unequal lengths.
    """
    if len(first) != len(second):
        raise ValueError(f"expected paired measurements, got {len(first)} and {len(second)}")
    changes = cluster_means(np.asarray(second, dtype=float) - np.asarray(first, dtype=float), clusters)
    found = bootstrap_mean(changes.tolist(), level=level, resamples=resamples, seed=seed)
    low, high = (found.low, found.high) if found.method != "Wilson" else _constant(found)
    if np.isin(changes, (-1.0, 0.0, 1.0)).all():
        p, test = mcnemar(int((changes < 0).sum()), int((changes > 0).sum())), "exact McNemar"
    else:
        p, test = _sign_flips(changes, seed), "sign-flip randomisation"
    return Paired(found.value, low, high, p, found.n, test)


def _constant(found: Interval) -> tuple[float, float]:
    """Bound a difference that is 0 (or 1) on every item: unseen items may go either way (or not)."""
    return (-found.high, found.high) if found.value == 0.0 else (found.low, found.high)


def _sign_flips(changes: Any, seed: int) -> float:
    from scipy.stats import permutation_test

    found = permutation_test(
        (changes,),
        lambda sample, axis: sample.mean(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=_FLIPS,
        batch=250,
        rng=np.random.default_rng(seed),
    )
    return float(found.pvalue)
