"""Is the deployment ready: has every pool that should run really generated a token of late?

A pool scaled to zero counts once it was proven in this deployment, and asking never wakes it. Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from medray.serving.snapshot import Snapshot, proof


@dataclass(frozen=True, slots=True)
class Expected:
    """A pool that shall be ready; `may_sleep` when its minimum of replicas is zero."""

    pool: str
    fingerprint: str
    may_sleep: bool


@dataclass(frozen=True, slots=True)
class PoolReadiness:
    """Why a pool is ready or not, in one short word for people and scripts."""

    pool: str
    ready: bool
    reason: str


def readiness(
    expected: Sequence[Expected], snapshot: Snapshot, *, report_max_age_s: float, token_max_age_s: float
) -> list[PoolReadiness]:
    """Judge every pool by the snapshot."""
    return [_judge(pool, snapshot, report_max_age_s, token_max_age_s) for pool in expected]


def _judge(pool: Expected, snapshot: Snapshot, report_max_age_s: float, token_max_age_s: float) -> PoolReadiness:
    figures = snapshot.pools.get(pool.pool)
    live = figures is not None and figures.age_s <= report_max_age_s and figures.fingerprint == pool.fingerprint
    if figures is not None and live:
        age_s = figures.seconds_since_token
        recent = age_s is not None and age_s <= token_max_age_s
        return PoolReadiness(pool.pool, recent, "generating" if recent else "no_recent_token")
    # Without Serve's own count a pool that may sleep is taken to sleep: its proof decides.
    wanted = (snapshot.wanted or {}).get(pool.pool, 0) if pool.may_sleep else 1
    if wanted > 0:
        return PoolReadiness(pool.pool, False, "starting_or_silent")
    proven = proof(pool.pool, pool.fingerprint) in snapshot.proven
    return PoolReadiness(pool.pool, proven, "asleep_proven" if proven else "never_proven")
