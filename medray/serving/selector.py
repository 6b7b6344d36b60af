"""The EngineSelector: the application's ingress. Wires handles, monitor and HTTP; all logic is in the Endpoint.

One hop: requests go from here straight to the chosen pool's replicas. No `from __future__ import annotations`: Serve
reads signatures at run time.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI

from medray.serving.board import SnapshotBoard
from medray.serving.config import ServingArgs
from medray.serving.endpoint import Endpoint
from medray.serving.handles import HandlePool
from medray.serving.plan import PoolPlan
from medray.serving.readiness import PoolReadiness
from medray.serving.routes import create_http
from medray.serving.snapshot import Snapshot


class EngineSelector:
    """Ingress over pools. `pools` are the handles of `plans`, in the same order."""

    # Serve awaits it.
    async def __init__(  # type: ignore[misc]
        self, args: ServingArgs, plans: Sequence[PoolPlan], monitor: Any, *pools: Any
    ) -> None:
        self._monitor = monitor
        self._board = SnapshotBoard(self._fetch, period_s=args.monitoring.push_interval_s)
        clients = {plan.name: HandlePool(handle) for plan, handle in zip(plans, pools, strict=True)}
        self._endpoint = Endpoint(args, plans, clients, self._board)
        await self._board.refresh()
        self._task = asyncio.create_task(self._board.follow())

    def __serve_build_asgi_app__(self) -> FastAPI:
        """Called by Serve after the constructor: the web application of this replica."""
        return create_http(self._endpoint)

    async def ready(self) -> list[PoolReadiness]:
        """What `/readyz` answers, for callers with a handle."""
        return self._endpoint.ready()

    async def _fetch(self) -> Snapshot:
        snapshot: Snapshot = await self._monitor.snapshot.remote()
        return snapshot
