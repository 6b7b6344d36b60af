"""The ResourceMonitor: a small Serve deployment that gathers what replicas push and hands out snapshots.

Push with a bounded age: a silent replica's report grows old and is dropped. `ReportBook` is the logic, without Ray or a
clock; the deployment adds both, and the number of replicas Serve wants per pool.
"""

import asyncio
import time
from collections.abc import Mapping

from ray import serve

from medray.log import event
from medray.serving.snapshot import Arrival, ReplicaReport, Snapshot, aggregate, proof

_KEEP_S = 600.0  # a report this old says nothing any more, not even to people
_WANTED_PERIOD_S = 2.0
_LIVING = frozenset({"STARTING", "UPDATING", "RECOVERING", "RUNNING", "PENDING_MIGRATION"})


class ReportBook:
    """The newest report of every replica, and what was ever proven."""

    def __init__(self, *, max_age_s: float) -> None:
        self._max_age_s = max_age_s
        self._arrivals: dict[str, Arrival] = {}
        self._proven: set[str] = set()
        self.wanted: Mapping[str, int] | None = None

    def add(self, report: ReplicaReport, *, now_s: float) -> None:
        """Take a report; a token in it is a proof of life of its pool."""
        self._arrivals[report.replica] = Arrival(report, now_s)
        if report.seconds_since_token is not None:
            self._proven.add(proof(report.pool, report.fingerprint))

    def remove(self, replica: str) -> None:
        """Forget a replica that says goodbye."""
        self._arrivals.pop(replica, None)

    def snapshot(self, *, now_s: float) -> Snapshot:
        """Return all pools as of now."""
        self._arrivals = {key: item for key, item in self._arrivals.items() if now_s - item.at_s <= _KEEP_S}
        pools = aggregate(list(self._arrivals.values()), now_s=now_s, max_age_s=self._max_age_s)
        return Snapshot(pools, frozenset(self._proven), self.wanted)


class ResourceMonitor:
    """One per application. When it is down, selectors go on with figures that grow old, and with their own counts."""

    def __init__(self, deployments: Mapping[str, str], max_age_s: float) -> None:
        """`deployments` maps the name of a Serve deployment to its pool."""
        self._deployments = deployments
        self._book = ReportBook(max_age_s=max_age_s)
        self._task: asyncio.Task[None] | None = None

    async def report(self, report: ReplicaReport) -> None:
        """Take a replica's report."""
        self._book.add(report, now_s=time.monotonic())

    async def goodbye(self, replica: str) -> None:
        """Forget a replica that stops in order."""
        self._book.remove(replica)

    async def snapshot(self) -> Snapshot:
        """Return the pools as of now."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._watch_wanted())
        return self._book.snapshot(now_s=time.monotonic())

    async def _watch_wanted(self) -> None:
        while True:
            try:
                app_name = serve.get_replica_context().app_name
                self._book.wanted = await asyncio.to_thread(_living_replicas, app_name, self._deployments)
            except Exception as error:  # Serve's controller may be away, and there is none in-process: unknown
                if self._book.wanted is not None:
                    event("replica_counts_unknown", level="warning", error=error)
                self._book.wanted = None
            await asyncio.sleep(_WANTED_PERIOD_S)


def _living_replicas(app_name: str, deployments: Mapping[str, str]) -> dict[str, int]:
    app = serve.status().applications[app_name]
    return {
        pool: sum(count for state, count in app.deployments[name].replica_states.items() if state in _LIVING)
        for name, pool in deployments.items()
        if name in app.deployments
    }
