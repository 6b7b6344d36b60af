"""How the quickstart talks to what it started: waits until it is ready, asks, and asks the teacher for comparison."""

import asyncio
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx

from medray.config import dump_yaml, parse_yaml
from medray.errors import EngineError
from medray.knowledge import build_messages, classify


@dataclass(frozen=True)
class Answer:
    """One served answer and what the headers said about it."""

    question: str
    text: str
    category: str
    mode: str
    engine: str
    artifact: str
    seconds: float

    def as_row(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def free_port() -> int:
    """Return a port that is free on the loopback now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_ready(url: str, server: subprocess.Popen[bytes], timeout_s: float) -> float:
    """Wait until every pool has generated a real token; return the seconds it took. Raises EngineError."""
    started = time.monotonic()
    with httpx.Client(timeout=10.0) as client:
        while time.monotonic() - started < timeout_s:
            if server.poll() is not None:
                raise EngineError(f"the server ended with exit code {server.returncode} before it was ready")
            if _is_ready(client, url):
                return time.monotonic() - started
            time.sleep(0.5)
    raise EngineError(f"the server was not ready within {timeout_s:.0f} s")


def write_serve_config(template: Path, target: Path, models: Mapping[str, Path], port: int) -> list[str]:
    """Write a Serve config like the template with our models (by mode) and port; return the pools' names."""
    config = parse_yaml(template.read_text(encoding="utf-8"))
    config["http_options"]["port"] = port
    pools = config["applications"][0]["args"]["pools"]
    for pool in pools:
        pool["engine"]["model"] = str(models[pool["engine"]["mode"]])
    target.write_text(dump_yaml(config), encoding="utf-8")
    return [pool["name"] for pool in pools]


def _is_ready(client: httpx.Client, url: str) -> bool:
    try:
        return client.get(f"{url}/readyz").status_code == 200
    except httpx.TransportError:
        return False  # not listening yet


def ask(url: str, question: str, model: str, max_tokens: int) -> Answer:
    """Ask the served system one question. Raises EngineError on anything but an answer."""
    body = {"model": model, "messages": [{"role": "user", "content": question}], "max_tokens": max_tokens}
    started = time.monotonic()
    reply = httpx.post(f"{url}/v1/chat/completions", json=body, timeout=300.0)
    seconds = time.monotonic() - started
    if reply.status_code != 200:
        raise EngineError(f"the server answered {reply.status_code} to a question")
    headers = {name: reply.headers[f"x-medray-{name}"] for name in ("category", "mode", "engine", "artifact")}
    text = reply.json()["choices"][0]["message"]["content"]
    return Answer(question=question, text=text, seconds=round(seconds, 2), **headers)


def teacher_answers(teacher: str, questions: Sequence[str], max_tokens: int) -> list[str]:
    """Let the unpruned teacher answer the same prompts, in this process."""
    from medray.inference.factory import EngineConfig, build_engine

    engine = build_engine(EngineConfig(model=teacher, dtype="float32"))
    return asyncio.run(_answer_all(engine, questions, max_tokens))


async def _answer_all(engine: Any, questions: Sequence[str], max_tokens: int) -> list[str]:
    from medray.inference.engine import GenerationRequest, Message

    answers = []
    try:
        for index, question in enumerate(questions):
            turns = build_messages(question, classify(question).category)
            messages = tuple(Message(turn["role"], turn["content"]) for turn in turns)
            request = GenerationRequest(f"teacher-{index}", messages, max_tokens)
            answers.append("".join([delta.text async for delta in engine.generate(request)]))
    finally:
        await engine.aclose()
    return answers
