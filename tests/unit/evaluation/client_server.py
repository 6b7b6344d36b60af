"""Real HTTP servers for the tests of the client: a scripted endpoint, and medray's own over its fake engine."""

import importlib.util
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from medray.inference.engines.fake import FakeEngine


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """Serve an app on a free port of this machine; gives its URL."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="critical", ws="none"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(timeout=10)


def completion(text: str, **message: Any) -> dict[str, Any]:
    return {
        "choices": [{"message": {"role": "assistant", "content": text, **message}, "finish_reason": "stop"}],
        "usage": {"completion_tokens": len(text.split())},
    }


@dataclass
class Script:
    """An endpoint that answers by `answer`, after the responses of `first`, and remembers what it was asked."""

    answer: Callable[[dict[str, Any]], Any] = lambda body: completion("Answer: A")
    first: list[Response] = field(default_factory=list)
    delay_s: float = 0.0
    bodies: list[dict[str, Any]] = field(default_factory=list)
    times_s: list[float] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    running: int = 0
    most_running: int = 0

    def app(self) -> FastAPI:
        app = FastAPI()

        @app.get("/v1/models")
        async def models() -> Any:
            return {"data": [{"id": "served-here"}]}

        @app.post("/v1/chat/completions")
        async def chat(request: Request) -> Any:
            return await self._chat(request)

        return app

    async def _chat(self, request: Request) -> Any:
        import asyncio

        body = await request.json()
        self.bodies.append(body)
        self.times_s.append(time.monotonic())
        self.keys.append(request.headers.get("authorization"))
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            if self.first:
                return self.first.pop(0)
            await asyncio.sleep(self.delay_s)
            made = self.answer(body)
            return made if isinstance(made, Response) else JSONResponse(made)
        finally:
            self.running -= 1


def own_app(answer: Any = None) -> FastAPI:
    """medray's HTTP surface and dispatcher over fake engines, without Ray."""
    from medray.serving.routes import create_http

    fakes = _serving_fakes()
    pools = {name: fakes.EnginePoolClient() for name in ("left", "right")}
    for pool in pools.values():
        pool.engine = FakeEngine(answer=answer)
    return create_http(fakes.make_endpoint(pools))


def _serving_fakes() -> Any:
    path = Path(__file__).parents[1] / "serving" / "serving_fakes.py"
    spec = importlib.util.spec_from_file_location("evaluation_serving_fakes", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
