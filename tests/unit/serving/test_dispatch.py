"""Cancelling: whoever leaves, and whenever, the pool stops and the count returns to zero."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from serving_fakes import BrokenPoolClient, EnginePoolClient, chat_body, make_endpoint

from medray.errors import EngineError, PoolsUnavailable
from medray.inference.engine import GenerationRequest, Message
from medray.serving.dispatch import Dispatcher
from medray.serving.routes import create_http

REQUEST = GenerationRequest("r", (Message("user", "hello"),), max_tokens=8)


def dispatcher(first_token_timeout_s: float = 5.0, **pools: Any) -> Dispatcher:
    return Dispatcher(pools, first_token_timeout_s=first_token_timeout_s)


def test_an_answer_in_full_counts_while_it_is_open():
    async def scenario() -> None:
        pool = EnginePoolClient()
        over = dispatcher(a=pool)
        opened = await over.open(["a"], REQUEST)
        assert over.in_flight["a"] == 1
        tokens = [delta async for delta in opened.deltas()]
        assert tokens[-1].finish_reason == "length"
        opened.close()
        opened.close()
        assert over.in_flight["a"] == 0
        assert pool.streams[0].cancelled == 1

    asyncio.run(scenario())


def test_every_try_gets_what_is_left_of_the_deadline():
    async def scenario() -> None:
        slow, pool = EnginePoolClient(ttft_s=9.0), EnginePoolClient()
        opened = await dispatcher(0.2, a=slow, b=pool).open(["a", "b"], replace(REQUEST, deadline_s=3.0))
        opened.close()
        assert slow.requests[0].deadline_s == pytest.approx(3.0, abs=0.1)
        assert pool.requests[0].deadline_s == pytest.approx(2.8, abs=0.15)

    asyncio.run(scenario())


def test_leaving_before_the_first_token_cancels():
    async def scenario() -> None:
        pool = EnginePoolClient(ttft_s=9.0)
        over = dispatcher(a=pool)
        task = asyncio.create_task(over.open(["a"], REQUEST))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (pool.streams[0].cancelled, over.in_flight["a"]) == (1, 0)

    asyncio.run(scenario())


def test_an_answer_without_an_end_is_a_failure():
    class Cut(EnginePoolClient):
        def stream(self, request: GenerationRequest) -> Any:
            stream = super().stream(request)
            deltas = stream._deltas

            async def two() -> Any:
                for _ in range(2):
                    yield await anext(deltas)

            stream._deltas = two()
            return stream

    async def scenario() -> None:
        opened = await dispatcher(a=Cut()).open(["a"], REQUEST)
        with pytest.raises(EngineError, match="broke off"):
            _ = [delta async for delta in opened.deltas()]

    asyncio.run(scenario())


def test_no_pool_at_all():
    with pytest.raises(PoolsUnavailable):
        asyncio.run(dispatcher(a=BrokenPoolClient()).open(["a"], REQUEST))


@pytest.mark.parametrize("events_before_leaving", [0, 1, 3])
def test_a_client_that_leaves_a_stream_stops_the_engine(events_before_leaving):
    async def scenario() -> None:
        pool = EnginePoolClient(token_delay_s=0.05, answer_words=200)
        endpoint = make_endpoint({"left": pool, "right": EnginePoolClient()})
        sent: list[Any] = []
        enough = asyncio.Event()
        body = chat_body(stream=True)

        async def send(message: Any) -> None:
            sent.append(message)
            if len(sent) > events_before_leaving:
                enough.set()

        task = asyncio.create_task(call(create_http(endpoint), body, send))
        await enough.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert pool.streams[0].cancelled == 1
        assert sum(endpoint._dispatcher.in_flight.values()) == 0

    asyncio.run(scenario())


async def call(app: Any, body: Any, send: Any) -> None:
    """Run one request through the application, as a server does; the client says nothing more."""
    import json

    raw = json.dumps(body).encode()
    messages = [{"type": "http.request", "body": raw, "more_body": False}]

    async def receive() -> Any:
        if not messages:
            await asyncio.Event().wait()
        return messages.pop()

    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(raw)).encode())]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/v1/chat/completions",
        "raw_path": b"/v1/chat/completions",
        "query_string": b"",
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    await app(scope, receive, send)
