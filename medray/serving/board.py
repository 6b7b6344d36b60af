"""The selector's copy of the latest snapshot, renewed in the background.

A monitor that is down or slow costs no request anything: the copy grows old, and the decision treats old figures as
unknown. What was once proven stays known here, so a restarted monitor cannot make a deployment look unproven.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

from medray.log import event
from medray.serving.snapshot import Snapshot, aged


class SnapshotBoard:
    """Holds one snapshot and its age. `fetch` asks the monitor."""

    def __init__(
        self, fetch: Callable[[], Awaitable[Snapshot]], *, period_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._fetch = fetch
        self._period_s = period_s
        self._clock = clock
        self._snapshot = Snapshot()
        self._at_s = clock()
        self._reachable = True

    def current(self) -> Snapshot:
        """Return the latest snapshot with its ages as of now."""
        return aged(self._snapshot, max(0.0, self._clock() - self._at_s))

    async def refresh(self) -> None:
        """Ask the monitor once, waiting at most a few periods."""
        try:
            async with asyncio.timeout(max(1.0, 4 * self._period_s)):
                snapshot = await self._fetch()
        except Exception as error:  # whatever keeps the monitor silent, figures grow old and we go on
            self._note(reachable=False, error=error)
            return
        self._snapshot = replace(snapshot, proven=snapshot.proven | self._snapshot.proven)
        self._at_s = self._clock()
        self._note(reachable=True)

    async def follow(self) -> None:
        """Refresh for ever."""
        while True:
            await self.refresh()
            await asyncio.sleep(self._period_s)

    def _note(self, *, reachable: bool, error: Exception | None = None) -> None:
        if reachable != self._reachable:
            self._reachable = reachable
            event("monitor_reachable" if reachable else "monitor_silent", error=error)
