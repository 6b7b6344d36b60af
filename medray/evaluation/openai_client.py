"""A client of OpenAI-compatible endpoints for long runs: bounded waits, retries that respect the server, no leaks.

429, 502, 503, 504 and broken connections are tried again; when the server says when to come back, all requests of the
client wait until then. What every request would meet alike (a wrong key, an unknown model, nothing listening) is a
ConfigError, so that a run ends at once. The key comes from an environment variable and goes into one header; neither
it nor any text of a request or answer stands in an error.
"""

import asyncio
import os
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

import httpx

from medray.errors import ConfigError, EngineError, RequestError
from medray.evaluation.generation_config import EndpointConfig, SamplingConfig
from medray.inference.engine import Message

_BUSY: Final = frozenset({429, 502, 503, 504})
_SAME_FOR_ALL: Final = {
    401: "the key was refused: set the environment variable {key}",
    403: "the key may not use this model: check it and the model's name",
    404: "no such path or model there: check the URL and endpoint.served_model",
}
_REDIRECTS: Final = range(300, 400)


@dataclass(frozen=True, slots=True)
class Completion:
    """One answer. `reasoning` is what the endpoint kept apart; `seconds` those of the attempt that succeeded."""

    text: str
    reasoning: str
    tokens: int
    finish_reason: str
    seconds: float


def chat_url(url: str) -> str:
    """Return the base URL (ending in /v1 unless a path was given). Raises ConfigError."""
    try:
        parsed = httpx.URL(url.strip())
    except httpx.InvalidURL:
        raise ConfigError("expected a URL like https://host/v1, got one that cannot be read") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ConfigError("expected a URL that begins with http:// or https://, got another")
    if parsed.userinfo or parsed.query or parsed.fragment:
        raise ConfigError("expected a URL without credentials, query or fragment: keys come from the environment")
    path = parsed.path.rstrip("/").removesuffix("/chat/completions")
    return str(parsed.copy_with(path=path or "/v1"))


class ChatClient:
    """One endpoint. To be used from one event loop; `aclose` when done."""

    def __init__(self, url: str, config: EndpointConfig | None = None) -> None:
        self._config = config or EndpointConfig()
        self._base = chat_url(url)
        key = os.environ.get(self._config.key_variable, "").strip()
        self._http = httpx.AsyncClient(
            timeout=self._config.timeout_s,
            headers={"authorization": f"Bearer {key}"} if key else {},
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=64),
        )
        self._model = self._config.served_model
        self._naming = asyncio.Lock()
        self._reached = False
        self._not_before_s = 0.0  # of time.monotonic, for all requests

    async def complete(self, messages: Sequence[Message], sampling: SamplingConfig) -> Completion:
        """Ask once, with retries. Raises ConfigError, RequestError (the request was refused) or EngineError."""
        turns = [{"role": message.role, "content": message.content} for message in messages]
        body: dict[str, Any] = {
            "model": await self._name(),
            "messages": turns,
            **_options(sampling, self._config.limit_field),
        }
        response, seconds = await self._send("POST", "/chat/completions", body)
        return _completion(_data(response), seconds)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _name(self) -> str:
        async with self._naming:
            if not self._model:
                response, _ = await self._send("GET", "/models", None)
                listed = _data(response).get("data")
                first = listed[0] if isinstance(listed, list) and listed else {}
                self._model = str(first.get("id") or "") if isinstance(first, dict) else ""
                if not self._model:
                    raise ConfigError("the endpoint lists no model: set endpoint.served_model")
            return self._model

    async def _send(self, method: str, path: str, body: Mapping[str, Any] | None) -> tuple[httpx.Response, float]:
        """Return the response and the seconds of the attempt that brought it."""
        for attempt in range(self._config.retries + 1):
            if attempt:
                await self._pause(attempt - 1)
            await self._wait()
            started_s = time.monotonic()
            try:
                response = await self._http.request(method, f"{self._base}{path}", json=body)
            except httpx.ReadTimeout:
                # Asking again would only take as long again.
                raise EngineError(f"no answer within endpoint.timeout_s ({self._config.timeout_s:g} s)") from None
            except httpx.TransportError as error:
                problem = f"the connection failed ({type(error).__name__})"
                continue
            self._reached = True
            if response.status_code not in _BUSY:
                return self._accepted(response), time.monotonic() - started_s
            problem = f"status {response.status_code}"
            self._hold(response)
        if not self._reached:
            raise ConfigError(f"cannot reach the endpoint: {problem}; check the URL and that it is up")
        raise EngineError(f"the endpoint did not answer in {self._config.retries + 1} attempts: {problem}")

    async def _wait(self) -> None:
        while (left_s := self._not_before_s - time.monotonic()) > 0:
            await asyncio.sleep(left_s)

    def _hold(self, response: httpx.Response) -> None:
        """Keep every request until the time the server named. Raises EngineError when that is too far away."""
        told_s = retry_after_s(response.headers.get("retry-after"), datetime.now(UTC))
        if told_s is None:
            return
        if told_s > self._config.wait_max_s:
            raise EngineError(
                f"the endpoint asks to come back in {told_s:.0f} s, more than endpoint.wait_max_s "
                f"({self._config.wait_max_s:g}): run again later"
            )
        self._not_before_s = max(self._not_before_s, time.monotonic() + told_s)

    async def _pause(self, attempt: int) -> None:
        """Wait before the next attempt unless the server named a time; longer each time, never all at once."""
        if self._not_before_s > time.monotonic():
            return
        longest_s = min(self._config.wait_max_s, self._config.pause_s * 2.0**attempt)
        await asyncio.sleep(longest_s * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load, no secret

    def _accepted(self, response: httpx.Response) -> httpx.Response:
        status = response.status_code
        if status in _SAME_FOR_ALL:
            hint = _SAME_FOR_ALL[status].format(key=self._config.key_variable)
            raise ConfigError(f"the endpoint answered with status {status}: {hint}")
        if status in _REDIRECTS:
            raise ConfigError(f"the endpoint redirects (status {status}): give the URL that it redirects to")
        if status >= 500:
            raise EngineError(f"the endpoint failed with status {status}")
        if status >= 400:
            raise RequestError(f"the endpoint refused the request with status {status}", status=status)
        return response


def retry_after_s(value: str | None, now: datetime) -> float | None:
    """Return the seconds of a Retry-After header: a number or a date (RFC 9110). None where there is none to read."""
    if value is None:
        return None
    try:
        return max(0.0, float(value)) if float(value) < float("inf") else None
    except ValueError:
        pass
    try:
        when = parsedate_to_datetime(value)
    except (ValueError, TypeError):
        return None
    return max(0.0, ((when if when.tzinfo else when.replace(tzinfo=UTC)) - now).total_seconds())


def _options(sampling: SamplingConfig, limit_field: str) -> dict[str, Any]:
    """Return the fields that differ from the API's defaults: some endpoints refuse fields they need not know."""
    options: dict[str, Any] = {limit_field: sampling.max_tokens}
    if sampling.temperature != 1:
        options["temperature"] = sampling.temperature
    if sampling.temperature > 0:
        options["seed"] = sampling.seed
    if sampling.top_p < 1:
        options["top_p"] = sampling.top_p
    if sampling.stop:
        options["stop"] = list(sampling.stop)
    return options


def _data(response: httpx.Response) -> dict[str, Any]:
    try:
        data = response.json()
    except ValueError:
        data = None
    if not isinstance(data, dict):
        raise EngineError("expected a JSON object from the endpoint, got something else: is it OpenAI-compatible?")
    return data


def _completion(data: Mapping[str, Any], seconds: float) -> Completion:
    try:
        choice = data["choices"][0]
        message = choice["message"]
        text, reasoning = message.get("content") or "", message.get("reasoning_content") or message.get("reasoning")
        tokens = (data.get("usage") or {}).get("completion_tokens") or 0
        return Completion(str(text), str(reasoning or ""), int(tokens), str(choice.get("finish_reason")), seconds)
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        raise EngineError(
            f"expected a chat completion from the endpoint, got another ({type(error).__name__})"
        ) from None
