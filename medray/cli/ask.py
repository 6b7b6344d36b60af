"""`medray ask`: one question to a running endpoint, and what the endpoint says about its answer."""

import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import click
import httpx

from medray.errors import EngineError, InputError, MedrayError

DEFAULT_URL = "http://127.0.0.1:8000"
WARNING = "demonstration: not medical advice"


@dataclass(slots=True)
class Exchange:
    """What came back: pieces of the answer are passed on as they arrive, the rest is kept here."""

    headers: Mapping[str, str] = field(default_factory=dict)
    first_s: float | None = None
    total_s: float = 0.0


@click.command()
@click.argument("question")
@click.option("--url", default=DEFAULT_URL, show_default=True, help="Where the endpoint listens.")
@click.option("--model", default=None, help="A model id of the endpoint; its first one by default.")
@click.option("--stream/--no-stream", default=True, show_default=True, help="Print the answer as it comes.")
@click.option("--max-tokens", type=click.IntRange(min=1), default=None, help="The longest answer.")
@click.option("--timeout-s", type=float, default=300.0, show_default=True, help="How long to wait.")
def ask(question: str, url: str, model: str | None, stream: bool, max_tokens: int | None, timeout_s: float) -> None:
    """Ask a running endpoint QUESTION and print answer, class, mode, engine, artifact and latency."""
    exchange = Exchange()
    with httpx.Client(base_url=url, timeout=timeout_s, headers=_key()) as client:
        try:
            name = model or first_model(client)
            body: dict[str, Any] = {"model": name, "messages": [{"role": "user", "content": question}]}
            if max_tokens is not None:
                body["max_tokens"] = max_tokens
            pieces = streamed(client, body, exchange) if stream else whole(client, body, exchange)
            for piece in pieces:
                click.echo(piece, nl=False)
        except httpx.ConnectError:
            raise InputError(f"nothing listens at {url}: start it with `make serve` or `medray serve MODEL`") from None
        except httpx.TimeoutException:
            raise EngineError(f"no answer from {url} within {timeout_s:g} s: raise --timeout-s") from None
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise EngineError(f"{url} does not answer as an OpenAI endpoint ({type(error).__name__})") from None
    click.echo(f"\n\n{summary(exchange)}")


def first_model(client: httpx.Client) -> str:
    """Return the id of the endpoint's first model."""
    response = client.get("/v1/models")
    _refuse_failure(response)
    data = response.json().get("data") or []
    if not data:
        raise EngineError("the endpoint lists no model: give --model")
    return str(data[0]["id"])


def whole(client: httpx.Client, body: Mapping[str, Any], exchange: Exchange) -> Iterator[str]:
    """Yield the answer in one piece."""
    started_s = time.monotonic()
    response = client.post("/v1/chat/completions", json=dict(body))
    _refuse_failure(response)
    exchange.headers, exchange.total_s = response.headers, time.monotonic() - started_s
    yield str(response.json()["choices"][0]["message"]["content"])


def streamed(client: httpx.Client, body: Mapping[str, Any], exchange: Exchange) -> Iterator[str]:
    """Yield the answer as it comes. Raises EngineError when it breaks off."""
    started_s = time.monotonic()
    with client.stream("POST", "/v1/chat/completions", json={**body, "stream": True}) as response:
        if response.status_code != 200:
            response.read()
        _refuse_failure(response)
        exchange.headers = response.headers
        for data in _events(response):
            if "error" in data:
                raise EngineError(f"the answer broke off: {_message(data)}")
            text = "".join(choice["delta"].get("content") or "" for choice in data.get("choices", []))
            if text and exchange.first_s is None:
                exchange.first_s = time.monotonic() - started_s
            yield text
    exchange.total_s = time.monotonic() - started_s


def summary(exchange: Exchange) -> str:
    """Return the lines after the answer."""
    told = {name: exchange.headers.get(f"x-medray-{name}", "unknown") for name in _TOLD}
    lines = [f"{name + ':':<10}{value}" for name, value in told.items()]
    if exchange.headers.get("x-medray-fallback"):
        lines.append("fallback: the configured artifact is absent, another model answered")
    first = "" if exchange.first_s is None else f" (first token {exchange.first_s:.2f} s)"
    return "\n".join([*lines, f"{'latency:':<10}{exchange.total_s:.2f} s{first}", WARNING])


_TOLD = ("category", "mode", "engine", "artifact")


def _events(response: httpx.Response) -> Iterator[dict[str, Any]]:
    done = False
    for line in response.iter_lines():
        if line == "data: [DONE]":
            done = True
        elif line.startswith("data:"):
            yield json.loads(line.removeprefix("data:"))
    if not done:
        raise EngineError("the answer broke off: the connection ended early")


def _refuse_failure(response: httpx.Response) -> None:
    if response.status_code < 400:
        return
    problem = _message(response.json() if "json" in response.headers.get("content-type", "") else {})
    kind: type[MedrayError] = InputError if response.status_code < 500 else EngineError
    raise kind(f"the endpoint refused with status {response.status_code}: {problem}")


def _message(data: Mapping[str, Any]) -> str:
    error = data.get("error")
    return str(error.get("message")) if isinstance(error, Mapping) else "no reason given"


def _key() -> dict[str, str]:
    key = os.environ.get("MEDRAY_API_KEY")
    return {"authorization": f"Bearer {key}"} if key else {}
