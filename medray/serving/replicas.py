"""The pools: one Serve deployment class, deployed once per pool under its own name and options.

A replica loads its engine, generates a real token before it counts as started, then streams answers and reports itself.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from ray import serve
from ray.serve.exceptions import RayServeException

from medray.errors import EngineError, MedrayError
from medray.inference.engine import Delta, Engine, GenerationRequest
from medray.inference.factory import build_engine
from medray.log import event
from medray.serving.config import Monitoring
from medray.serving.keeper import EngineKeeper, Identity
from medray.serving.plan import PoolPlan
from medray.serving.snapshot import ReplicaReport


class EnginePool:
    """One replica. `monitor` is the handle of the ResourceMonitor."""

    # Serve awaits it: loading and the first token happen before the replica counts as started.
    async def __init__(self, plan: PoolPlan, monitoring: Monitoring, monitor: Any) -> None:  # type: ignore[misc]
        self._plan = plan
        self._monitor = monitor
        self._replica = _replica_name(plan)
        self._engine: Engine = await asyncio.to_thread(build_engine, plan.engine)
        identity = Identity(plan.name, self._replica, plan.fingerprint, places(plan))
        self._keeper = EngineKeeper(self._engine, identity, monitoring, self._send)
        await self._keeper.prove()
        self._tasks = [
            asyncio.create_task(self._keeper.keep_reporting()),
            asyncio.create_task(self._keeper.keep_proving()),
        ]
        event("replica_ready", pool=plan.name, artifact=plan.artifact, pid=os.getpid())

    async def generate(self, request: GenerationRequest) -> AsyncIterator[Delta]:
        """Stream the answer. Raises RequestError or EngineError, and nothing whose message could hold text."""
        try:
            async with aclosing(self._engine.generate(request)) as deltas:
                async for delta in deltas:
                    yield delta
        except MedrayError:
            raise
        except Exception as error:  # Serve logs what is raised here, and a library may quote its input
            raise EngineError(f"generation failed ({type(error).__name__})") from None

    async def check_health(self) -> None:
        """Called by Serve; raising replaces the replica."""
        self._keeper.check()

    async def __del__(self) -> None:
        """Called by Serve when the replica stops in order."""
        for task in getattr(self, "_tasks", []):
            task.cancel()
        if hasattr(self, "_engine"):
            await self._engine.aclose()

    async def _send(self, report: ReplicaReport) -> None:
        await self._monitor.report.remote(report)


def places(plan: PoolPlan) -> int:
    """Return how many requests a replica admits: those that run and those that wait in it."""
    slots = plan.engine.fake.slots if plan.engine.engine == "fake" else plan.engine.slots
    return slots + plan.config.queue_places


def pool_options(plan: PoolPlan) -> dict[str, Any]:
    """Return the Serve options of a pool's deployment."""
    config = plan.config
    replicas = config.replicas
    options: dict[str, Any] = {
        "name": plan.deployment,
        "max_ongoing_requests": places(plan),
        "max_queued_requests": config.max_queued_requests,
        "health_check_period_s": 5.0,
        "graceful_shutdown_timeout_s": 20.0,
        "ray_actor_options": {
            "num_cpus": config.num_cpus,
            "num_gpus": config.num_gpus,
            # Ray would set one thread for half a CPU, and matrix products would run on one core.
            "runtime_env": {"env_vars": {"OMP_NUM_THREADS": str(config.threads)}},
        },
    }
    if replicas.min == replicas.max:
        return {**options, "num_replicas": replicas.max}
    autoscaling = {
        "min_replicas": replicas.min,
        # A pool that may sleep starts awake once: its warm-up is the proof that readiness asks for.
        "initial_replicas": max(1, replicas.min),
        "max_replicas": replicas.max,
        "target_ongoing_requests": max(1, places(plan) - config.queue_places),
    }
    return {**options, "autoscaling_config": autoscaling}


def _replica_name(plan: PoolPlan) -> str:
    try:
        return str(serve.get_replica_context().replica_tag)
    except RayServeException:
        return f"{plan.deployment}-{os.getpid()}"  # outside a cluster there is one process
