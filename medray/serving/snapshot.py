"""Live figures of the pools, as they travel: replica -> monitor -> selector.

Clocks are never compared between processes: each hop stores the moment of arrival on its own monotonic clock and passes
ages on. Plain data and pure functions; nothing here knows Ray or decides anything.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median


@dataclass(frozen=True, slots=True)
class ReplicaReport:
    """What one replica pushes about itself.

    `fingerprint` names what it serves (artifact and engine settings), so that the proof of an older deployment does not
    count for a new one. `slots` requests make progress at once, `places` are admitted at all. `memory_share` is the
    used share of the machine's memory, in [0, 1].
    """

    pool: str
    replica: str
    fingerprint: str
    running: int
    queued: int
    slots: int
    places: int
    tokens_per_s: float | None
    ttft_s: float | None
    seconds_since_token: float | None
    memory_share: float
    kv_cache_share: float | None
    precision: str
    kernels: str
    max_context_tokens: int


@dataclass(frozen=True, slots=True)
class PoolFigures:
    """One pool, summed over its replicas. `age_s` is the age of the newest report in it."""

    running: int
    queued: int
    slots: int
    places: int
    tokens_per_s: float | None
    ttft_s: float | None
    seconds_since_token: float | None
    memory_share: float
    kv_cache_share: float | None
    age_s: float
    replicas: int
    fingerprint: str = ""
    precision: str = ""
    kernels: str = ""
    max_context_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All pools at one moment.

    `proven` holds "pool/fingerprint" of what has generated a token in this deployment. `wanted` is the number of
    replicas Serve runs or starts per pool, None while that is not known.
    """

    pools: Mapping[str, PoolFigures] = field(default_factory=dict)
    proven: frozenset[str] = frozenset()
    wanted: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Arrival:
    """A report and when it came, on the receiver's monotonic clock."""

    report: ReplicaReport
    at_s: float


def proof(pool: str, fingerprint: str) -> str:
    """Return the key under which a pool counts as proven."""
    return f"{pool}/{fingerprint}"


def aggregate(arrivals: Sequence[Arrival], *, now_s: float, max_age_s: float) -> dict[str, PoolFigures]:
    """Sum the reports of each pool.

    Reports older than `max_age_s` do not count as long as the pool has a newer one; a pool with none keeps its newest,
    so that its age shows.
    """
    pools: dict[str, list[Arrival]] = {}
    for arrival in arrivals:
        pools.setdefault(arrival.report.pool, []).append(arrival)
    return {name: _sum_pool(found, now_s=now_s, max_age_s=max_age_s) for name, found in sorted(pools.items())}


def aged(snapshot: Snapshot, by_s: float) -> Snapshot:
    """Return the snapshot as it is `by_s` seconds later, nothing new having arrived."""
    later = {
        name: replace(
            figures,
            age_s=figures.age_s + by_s,
            seconds_since_token=None if figures.seconds_since_token is None else figures.seconds_since_token + by_s,
        )
        for name, figures in snapshot.pools.items()
    }
    return replace(snapshot, pools=later)


def with_local_load(snapshot: Snapshot, in_flight: Mapping[str, int]) -> Snapshot:
    """Count at least this selector's own open requests, which a report of a moment ago may not hold yet."""
    pools = {
        name: replace(figures, queued=max(figures.queued, in_flight.get(name, 0) - figures.running))
        for name, figures in snapshot.pools.items()
    }
    return replace(snapshot, pools=pools)


def fresh_pools(snapshot: Snapshot, max_age_s: float) -> Collection[str]:
    """Return the names of the pools that reported within `max_age_s`."""
    return [name for name, figures in snapshot.pools.items() if figures.age_s <= max_age_s]


def _sum_pool(arrivals: Sequence[Arrival], *, now_s: float, max_age_s: float) -> PoolFigures:
    newest = max(arrivals, key=lambda arrival: arrival.at_s)
    fresh = [arrival.report for arrival in arrivals if now_s - arrival.at_s <= max_age_s] or [newest.report]
    ages = [
        arrival.report.seconds_since_token + (now_s - arrival.at_s)
        for arrival in arrivals
        if arrival.report in fresh and arrival.report.seconds_since_token is not None
    ]
    return PoolFigures(
        running=sum(report.running for report in fresh),
        queued=sum(report.queued for report in fresh),
        slots=sum(report.slots for report in fresh),
        places=sum(report.places for report in fresh),
        tokens_per_s=_median([report.tokens_per_s for report in fresh]),
        ttft_s=_median([report.ttft_s for report in fresh]),
        seconds_since_token=min(ages) if ages else None,
        memory_share=max(report.memory_share for report in fresh),
        kv_cache_share=max((r.kv_cache_share for r in fresh if r.kv_cache_share is not None), default=None),
        age_s=max(0.0, now_s - newest.at_s),
        replicas=len(fresh),
        fingerprint=newest.report.fingerprint,
        precision=newest.report.precision,
        kernels=newest.report.kernels,
        max_context_tokens=newest.report.max_context_tokens,
    )


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None
