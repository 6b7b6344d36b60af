"""What a replica does besides answering: prove itself, report its figures, notice when it is stuck.

Works on any Engine and a `send` function; no Ray. Every token it counts was really generated.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from itertools import count

import psutil

from medray.errors import EngineError, MedrayError
from medray.inference.engine import Engine, GenerationRequest, Message
from medray.log import event
from medray.serving.config import Monitoring
from medray.serving.snapshot import ReplicaReport

_PROBE = (Message("user", "Say yes."),)


@dataclass(frozen=True, slots=True)
class Identity:
    """Which replica of which pool this is, what it serves and how many requests it admits."""

    pool: str
    replica: str
    fingerprint: str
    places: int


class EngineKeeper:
    """Watches over one engine."""

    def __init__(
        self,
        engine: Engine,
        identity: Identity,
        monitoring: Monitoring,
        send: Callable[[ReplicaReport], Awaitable[None]],
    ) -> None:
        self._engine = engine
        self._identity = identity
        self._monitoring = monitoring
        self._send = send
        self._probes = count()
        self._silent = False

    async def prove(self) -> None:
        """Generate one token. Raises EngineError when none comes."""
        request = GenerationRequest(
            request_id=f"probe-{self._identity.replica}-{next(self._probes)}",
            messages=_PROBE,
            max_tokens=1,
            deadline_s=self._monitoring.stall_timeout_s,
        )
        async with aclosing(self._engine.generate(request)) as deltas:
            tokens = sum([delta.tokens async for delta in deltas])
        if tokens < 1:
            raise EngineError(f"pool '{self._identity.pool}': the engine started but generated no token")

    def check(self) -> None:
        """Raise EngineError when the engine is dead or stuck, so that Serve replaces the replica."""
        stats = self._engine.stats()
        if not stats.alive:
            raise EngineError(f"pool '{self._identity.pool}': the engine is dead")
        owes = stats.running > 0
        if owes and (stats.seconds_since_token or 0.0) > self._monitoring.stall_timeout_s:
            raise EngineError(f"pool '{self._identity.pool}': no token for {stats.seconds_since_token:.0f} s")

    def report(self) -> ReplicaReport:
        """Return the figures of now."""
        stats, capabilities = self._engine.stats(), self._engine.capabilities
        return ReplicaReport(
            pool=self._identity.pool,
            replica=self._identity.replica,
            fingerprint=self._identity.fingerprint,
            running=stats.running,
            queued=stats.queued,
            slots=stats.slots,
            places=self._identity.places,
            tokens_per_s=stats.tokens_per_s,
            ttft_s=stats.ttft_s,
            seconds_since_token=stats.seconds_since_token,
            memory_share=psutil.virtual_memory().percent / 100.0,
            kv_cache_share=stats.kv_cache_share,
            precision=capabilities.precision,
            kernels=capabilities.kernels,
            max_context_tokens=capabilities.max_context_tokens,
        )

    async def keep_reporting(self) -> None:
        """Push a report every interval for ever; a monitor that is away is no reason to stop."""
        while True:
            try:
                async with asyncio.timeout(max(1.0, 4 * self._monitoring.push_interval_s)):
                    await self._send(self.report())
                self._note(silent=False)
            except Exception as error:  # whatever is wrong with the monitor, answering goes on
                self._note(silent=True, error=error)
            await asyncio.sleep(self._monitoring.push_interval_s)

    async def keep_proving(self) -> None:
        """Generate a token whenever the engine has been idle for an interval, so that readiness means something."""
        while True:
            await asyncio.sleep(self._monitoring.probe_interval_s / 4)
            if self._is_due():
                try:
                    await self.prove()
                except MedrayError as error:
                    event("probe_failed", level="warning", pool=self._identity.pool, error=error)

    def _is_due(self) -> bool:
        stats = self._engine.stats()
        age_s = stats.seconds_since_token
        idle = stats.running + stats.queued == 0
        return idle and (age_s is None or age_s >= self._monitoring.probe_interval_s)

    def _note(self, *, silent: bool, error: Exception | None = None) -> None:
        if silent != self._silent:
            self._silent = silent
            event("monitor_away" if silent else "monitor_back", pool=self._identity.pool, error=error)
