"""Pools and figures for serving tests: the real fake engine behind the dispatcher's protocol, without Ray."""

from collections.abc import AsyncIterator
from typing import Any

from medray.errors import EngineError
from medray.inference.engine import Delta, GenerationRequest
from medray.inference.engines.fake import FakeConfig, FakeEngine
from medray.serving.board import SnapshotBoard
from medray.serving.config import ServingArgs
from medray.serving.endpoint import Endpoint
from medray.serving.plan import plan_pools
from medray.serving.snapshot import PoolFigures, Snapshot

QUESTION = "How many tablets of ibuprofen may I take?"


class EngineStream:
    """An engine's iterator as a PoolStream."""

    def __init__(self, deltas: Any) -> None:
        self._deltas = deltas
        self.cancelled = 0

    def __aiter__(self) -> AsyncIterator[Delta]:
        return self

    async def __anext__(self) -> Delta:
        return await anext(self._deltas)

    def cancel(self) -> None:
        self.cancelled += 1


class EnginePoolClient:
    """A pool in this process; counts the requests it got and keeps its streams."""

    def __init__(self, **options: Any) -> None:
        self.engine = FakeEngine(FakeConfig(**options))
        self.requests: list[GenerationRequest] = []
        self.streams: list[EngineStream] = []

    def stream(self, request: GenerationRequest) -> EngineStream:
        self.requests.append(request)
        self.streams.append(EngineStream(self.engine.generate(request)))
        return self.streams[-1]


class BrokenPoolClient:
    """A pool that raises instead of beginning."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error or EngineError("broken")
        self.calls = 0

    def stream(self, _request: GenerationRequest) -> "EngineStream":
        self.calls += 1

        async def fail() -> AsyncIterator[Delta]:
            raise self.error
            yield Delta("", 0)

        return EngineStream(fail())


def figures(**changes: Any) -> PoolFigures:
    """Figures of a fresh, idle, fast pool."""
    values: dict[str, Any] = {
        "running": 0,
        "queued": 0,
        "slots": 2,
        "places": 5,
        "tokens_per_s": 20.0,
        "ttft_s": 0.2,
        "seconds_since_token": 1.0,
        "memory_share": 0.1,
        "kv_cache_share": None,
        "age_s": 0.0,
        "replicas": 1,
    }
    return PoolFigures(**{**values, **changes})


def serving_args(**changes: Any) -> ServingArgs:
    pools = [
        {"name": "left", "engine": {"engine": "fake", "mode": "adapter"}},
        {"name": "right", "engine": {"engine": "fake", "mode": "merged"}},
    ]
    return ServingArgs.model_validate({"pools": pools, **changes})


def still_board(snapshot: Snapshot) -> SnapshotBoard:
    """A board that shows one snapshot for ever."""

    async def fetch() -> Snapshot:
        return snapshot

    board = SnapshotBoard(fetch, period_s=1.0, clock=lambda: 0.0)
    board._snapshot = snapshot
    return board


def make_endpoint(pools: dict[str, Any], snapshot: Snapshot | None = None, **changes: Any) -> Endpoint:
    args = serving_args(**changes)
    return Endpoint(args, plan_pools(args), pools, still_board(snapshot or Snapshot()))


def chat_body(**changes: Any) -> dict[str, Any]:
    return {"model": "medray", "messages": [{"role": "user", "content": QUESTION}], **changes}
