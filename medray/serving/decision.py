"""Which pool answers (PAPER R3, Eq. 7): D(M,E,R) = w1 P(M,E) + w2 F(M,R) - w3 C(M,E).

Pure functions from the features of a request, the candidate pools and a snapshot of live figures to a ranked list with
the terms kept for the explanation. No Ray, no clock, no randomness: equal input gives equal output.

P, F and C lie in [0, 1] (our reading of the paper):

- P, predicted share of requests of this class that meet their targets (`predicted_share`).
- F, lower bound of the artifact's measured quality for the class; 0 outside the pool's specialties. Without a
  measurement it is NEUTRAL_FIT, the same for all pools, but never above a measured rival: going without must not pay.
- C, the share of the pool's scarcest resource in use once this request is added. Slots are counted with the places in
  line behind them: over slots alone every one-slot pool would be at its limit, idle or not. Weights in memory cost
  nothing at the margin, since moving traffic does not free them.

Figures older than the allowed age are unknown, which is not idle: P = 0 and C = 1 for such a pool.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from medray.inference.engine import Mode
from medray.knowledge import Category
from medray.serving.snapshot import PoolFigures, Snapshot

NEUTRAL_FIT = 0.5
# Spread of latencies around their predicted median, on the log scale: 0.5 puts 95 % within a factor of 2.7.
LOG_SPREAD = 0.5


@dataclass(frozen=True, slots=True)
class Need:
    """What the decision may know of a request: its class and size, never its text."""

    category: Category
    expected_tokens: int


@dataclass(frozen=True, slots=True)
class Candidate:
    """A pool as the decision sees it. `quality` maps a class to the lower bound of measured quality in [0, 1]."""

    name: str
    mode: Mode
    quality: Mapping[str, float]
    specialties: frozenset[str] | None = None  # None: every class


@dataclass(frozen=True, slots=True)
class Target:
    """What a request of a class should get."""

    ttft_s: float
    total_s: float
    tokens_per_s: float


@dataclass(frozen=True, slots=True)
class Policy:
    """Weights w1..w3 (none negative), targets per class, and how old figures may be."""

    w_performance: float
    w_fit: float
    w_cost: float
    targets: Mapping[Category, Target]
    max_age_s: float


@dataclass(frozen=True, slots=True)
class Scored:
    """A pool with the terms of its score."""

    pool: str
    score: float
    performance: float
    fit: float
    cost: float
    known: bool


def rank(
    need: Need,
    candidates: Sequence[Candidate],
    snapshot: Snapshot,
    policy: Policy,
    *,
    in_flight: Mapping[str, int] | None = None,
) -> list[Scored]:
    """Return the candidates from best to worst.

    Ties go to the pool with fewer of this selector's open requests (`in_flight`), then by name, so that traffic still
    spreads when no figures are known at all.
    """
    opened = in_flight or {}
    floor = _fit_when_unmeasured(need, candidates)
    scored = [_score(need, candidate, snapshot.pools.get(candidate.name), policy, floor) for candidate in candidates]
    return sorted(scored, key=lambda item: (-item.score, opened.get(item.pool, 0), item.pool))


def predicted_share(figures: PoolFigures, target: Target, expected_tokens: int) -> float:
    """Return P: the share of requests expected to meet all targets, from the pool's recent figures.

    Time to first token is the recent median, or the wait for a slot at the present queue where that is longer (the
    median holds past queueing, so the two are not added). Total time adds the answer at the recent speed. Each is taken
    as log-normal around that median; slowness hits all three targets together, so the smallest share is the joint one.
    A pool not timed yet gets at most one half.
    """
    if figures.slots <= 0:
        return 0.0
    if figures.tokens_per_s is None or figures.tokens_per_s <= 0:
        # Untimed: only the load can be judged, and a full pool must not look better than a free one.
        free = 0.5 * max(0.0, 1.0 - (figures.running + figures.queued) / figures.slots)
        return free if figures.ttft_s is None else min(free, _share(target.ttft_s, figures.ttft_s))
    answer_s = expected_tokens / figures.tokens_per_s
    waiting = max(0, figures.running + figures.queued + 1 - figures.slots)
    ttft_s = max(figures.ttft_s or 0.0, waiting / figures.slots * answer_s)
    return min(
        _share(target.ttft_s, ttft_s),
        _share(target.total_s, ttft_s + answer_s),
        _share(figures.tokens_per_s, target.tokens_per_s),
    )


def marginal_cost(figures: PoolFigures) -> float:
    """Return C: the used share of the scarcest resource (places, KV cache, memory) with this request added."""
    shares = [_occupancy(figures), figures.memory_share, figures.kv_cache_share or 0.0]
    return min(1.0, max(0.0, *shares))


def _score(need: Need, candidate: Candidate, figures: PoolFigures | None, policy: Policy, floor: float) -> Scored:
    fit = _fit(need, candidate, floor)
    known = figures is not None and figures.age_s <= policy.max_age_s
    performance, cost = 0.0, 1.0
    if figures is not None and known:
        performance = predicted_share(figures, policy.targets[need.category], need.expected_tokens)
        cost = marginal_cost(figures)
    score = policy.w_performance * performance + policy.w_fit * fit - policy.w_cost * cost
    return Scored(candidate.name, score, performance, fit, cost, known)


def _fit(need: Need, candidate: Candidate, floor: float) -> float:
    if not _covers(candidate, need):
        return 0.0
    measured = candidate.quality.get(need.category)
    return floor if measured is None else min(1.0, max(0.0, measured))


def _fit_when_unmeasured(need: Need, candidates: Sequence[Candidate]) -> float:
    measured = [
        candidate.quality[need.category]
        for candidate in candidates
        if need.category in candidate.quality and _covers(candidate, need)
    ]
    return max(0.0, min(NEUTRAL_FIT, *measured)) if measured else NEUTRAL_FIT


def _covers(candidate: Candidate, need: Need) -> bool:
    return candidate.specialties is None or need.category in candidate.specialties


def _occupancy(figures: PoolFigures) -> float:
    if figures.places <= 0:
        return 1.0
    return min(1.0, (figures.running + figures.queued + 1) / figures.places)


def _share(limit: float, expected: float) -> float:
    """Return P(X <= limit) for a log-normal X with median `expected`."""
    if expected <= 0:
        return 1.0
    if limit <= 0 or math.isinf(expected):
        return 0.0
    distance = (math.log(limit) - math.log(expected)) / LOG_SPREAD
    return 0.5 * (1.0 + math.erf(distance / math.sqrt(2.0)))
