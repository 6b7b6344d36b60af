"""The HTTP surface: routes, headers, body limits and error objects around an Endpoint. FastAPI, no Ray.

Errors are answered here, inside the routes: what escapes to the server would be logged with its message, and a message
of a library could quote its input.
"""

import uuid
from collections.abc import Awaitable, Mapping

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from medray.errors import MedrayError, PoolsUnavailable, RequestError
from medray.log import event
from medray.serving import replies
from medray.serving.endpoint import Endpoint, Opened, events, whole

_REQUEST_ID = "x-request-id"


class AnswerStream(StreamingResponse):
    """A stream that closes its answer however it ends, even when the client left before the first event."""

    def __init__(self, opened: Opened) -> None:
        super().__init__(events(opened), media_type="text/event-stream", headers={**opened.headers, **_NO_BUFFERING})
        self._opened = opened

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._opened.close()


_NO_BUFFERING: Mapping[str, str] = {"cache-control": "no-store", "x-accel-buffering": "no"}


def create_http(endpoint: Endpoint) -> FastAPI:
    """Return the ASGI application."""
    app = FastAPI(title="medray", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_middleware(_NameRequests)

    @app.post("/v1/chat/completions")
    async def chat_completions(request: Request) -> Response:
        return await _guard(_chat(endpoint, request))

    @app.get("/v1/models")
    async def models() -> Response:
        return JSONResponse({"object": "list", "data": endpoint.models()})

    @app.get("/v1/models/{name:path}")
    async def model(name: str) -> Response:
        found = next((item for item in endpoint.models() if item["id"] == name), None)
        missing = RequestError("no such model", status=404, code="model_not_found", param="model")
        return JSONResponse(found) if found is not None else error_response(missing)

    @app.get("/healthz")
    async def healthz() -> Response:
        return JSONResponse({"status": "ok"})

    @app.get("/readyz")
    async def readyz() -> Response:
        pools = endpoint.ready()
        ready = all(pool.ready for pool in pools)
        data = {"ready": ready, "pools": {pool.pool: {"ready": pool.ready, "reason": pool.reason} for pool in pools}}
        return JSONResponse(data, status_code=200 if ready else 503)

    return app


def error_response(error: Exception) -> JSONResponse:
    """Return an error object with its status, and when to come back where that is known."""
    headers = {"retry-after": str(max(1, round(error.retry_after_s)))} if isinstance(error, PoolsUnavailable) else None
    return JSONResponse(replies.error_body(error), status_code=replies.error_status(error), headers=headers)


async def read_body(request: Request, max_body_bytes: int) -> bytes:
    """Read the body, at most so much of it. Raises RequestError (413, 415)."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        # Also keeps web pages from posting here without asking the browser first.
        raise RequestError(
            "expected the header content-type: application/json", status=415, code="invalid_content_type"
        )
    too_large = RequestError(f"the body is larger than {max_body_bytes} bytes", status=413, code="body_too_large")
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > max_body_bytes:
        raise too_large
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > max_body_bytes:
            raise too_large
    return bytes(body)


async def _chat(endpoint: Endpoint, request: Request) -> Response:
    opened = await endpoint.open(await read_body(request, endpoint.max_body_bytes))
    if opened.request.stream:
        return AnswerStream(opened)
    try:
        return JSONResponse(await whole(opened), headers=dict(opened.headers))
    finally:
        opened.close()


async def _guard(answer: Awaitable[Response]) -> Response:
    try:
        return await answer
    except ClientDisconnect:
        return Response(status_code=499)
    except (MedrayError, TimeoutError) as error:
        if not isinstance(error, RequestError):
            event("request_failed", level="warning", error=error)
        return error_response(error)
    except Exception as error:  # see the module's words on errors
        event("request_failed_unexpectedly", level="error", error=error)
        return error_response(error)


async def _http_error(_request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    words = {404: ("no such path", "not_found"), 405: ("this path does not take that method", "method_not_allowed")}
    message, code = words.get(status, ("the request was refused", None))
    return error_response(RequestError(message, status=status, code=code))


class _NameRequests:
    """Name each request in its answer, unless the proxy in front has named it and will say so itself.

    Plain ASGI: Starlette's function middleware would put a task between a client that leaves and the stream it leaves.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[_REQUEST_ID] = uuid.uuid4().hex
            await send(message)

        is_named = scope["type"] != "http" or _REQUEST_ID in Headers(scope=scope)
        await self._app(scope, receive, send if is_named else named)
