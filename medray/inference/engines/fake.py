"""An engine without a model, for tests and dry runs: same answers every time, real timing, real statistics.

The answer is a pure function of messages, adapter and seed, and says of itself that no model wrote it. Its tokens are
four bytes each, so they cut characters in two as real tokens do. Deltas, stop strings, deadlines, cancellation and
counts go through the same code as in real engines.
"""

import asyncio
import hashlib
import math
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass

from pydantic import Field

from medray.config import Config
from medray.errors import EngineError
from medray.inference.assembly import AnswerAssembler
from medray.inference.checks import check_request, room_for_answer
from medray.inference.engine import Capabilities, Delta, EngineStats, GenerationRequest, Message, Mode
from medray.inference.meter import Meter, Ticket
from medray.inference.progress import Progress

_BYTES_PER_TOKEN = 4
_WORDS = ("água", "café", "37 °C", "≥ 2", "naïve", "日本", "dose", "rest", "water", "walk", "sleep", "air", "🙂", "and")

Answer = Callable[[tuple[Message, ...], str | None, int], str]


class FakeConfig(Config):
    """How the fake behaves. Its prompt tokens are words, its answer tokens four bytes."""

    ttft_s: float = Field(default=0.0, ge=0)
    token_delay_s: float = Field(default=0.0, ge=0)
    slots: int = Field(default=4, ge=1)
    max_context_tokens: int = Field(default=4096, ge=2)
    answer_words: int = Field(default=24, ge=1)
    fail_at_token: int | None = Field(default=None, ge=1)  # this token raises instead of appearing
    failures: int | None = Field(default=None, ge=1)  # how many requests fail so; None: every one
    adapters: tuple[str, ...] = ()
    memory_bytes: int = Field(default=0, ge=0)


def fake_answer(messages: tuple[Message, ...], adapter: str | None, seed: int, *, words: int = 24) -> str:
    """Return the answer: words picked by a hash. No word comes from the messages."""
    turns = "\x1f".join(f"{message.role}\x1e{message.content}" for message in messages)
    key = f"{seed}\x1f{adapter}\x1f{turns}".encode()
    picks = hashlib.shake_256(key).digest(words)
    return "No model wrote this: " + " ".join(_WORDS[pick % len(_WORDS)] for pick in picks) + "."


@dataclass(eq=False, slots=True)
class _Run:
    """One request on its way through the fake."""

    request: GenerationRequest
    pieces: list[bytes]
    progress: Progress
    deadline_at_s: float | None
    ticket: Ticket
    failing: bool = False


class FakeEngine:
    """Engine that follows `FakeConfig`. `answer` replaces the text; it is used from one event loop."""

    def __init__(
        self, config: FakeConfig | None = None, *, mode: Mode = "merged", answer: Answer | None = None
    ) -> None:
        self._config = config or FakeConfig()
        self._answer = answer
        self._mode: Mode = mode
        self._slots = asyncio.Semaphore(self._config.slots)
        self._meter = Meter(self._config.slots)
        self._failures_left = self._config.failures
        self._closed = False

    @property
    def capabilities(self) -> Capabilities:
        """What this engine can do."""
        return Capabilities(
            engine="fake",
            modes=frozenset({self._mode}),
            max_context_tokens=self._config.max_context_tokens,
            precision="no weights",
            kernels="no model: answers are made up from a hash",
            multi_adapter=len(self._config.adapters) > 1,
            continuous_batching=True,
        )

    def generate(self, request: GenerationRequest) -> AsyncGenerator[Delta, None]:
        """Yield deltas; see the protocol. Refusals come with the first step of the iterator."""
        return self._stream(request, time.monotonic())

    def stats(self) -> EngineStats:
        """Return live figures; they are measured, not made up."""
        return self._meter.stats(alive=not self._closed, memory_bytes=self._config.memory_bytes)

    async def aclose(self) -> None:
        """Cancel what runs at its next token."""
        self._closed = True

    async def _stream(self, request: GenerationRequest, called_at_s: float) -> AsyncGenerator[Delta, None]:
        if self._closed:
            raise EngineError("the fake engine is closed: start another one")
        run = self._accept(request, called_at_s)
        try:
            if await self._wait_for_slot(run):
                async for delta in self._tokens(run):
                    yield delta
        finally:
            self._release(run)
        yield run.progress.last()

    def _accept(self, request: GenerationRequest, called_at_s: float) -> _Run:
        check_request(request, self._config.adapters)
        prompt_tokens = sum(1 + len(message.content.split()) for message in request.messages)
        limit = room_for_answer(prompt_tokens, request.max_tokens, self._config.max_context_tokens)
        pieces = self._pieces(request)
        deadline_at_s = None if request.deadline_s is None else called_at_s + request.deadline_s
        progress = Progress(
            self._assembler(request, pieces),
            prompt_tokens=prompt_tokens,
            max_tokens=limit,
            end_ids={len(pieces)},
            deadline_at_s=deadline_at_s,
        )
        return _Run(request, pieces, progress, deadline_at_s, self._meter.enter())

    def _pieces(self, request: GenerationRequest) -> list[bytes]:
        seed = (request.seed or 0) if request.temperature > 0 else 0
        adapter = request.adapter or (self._config.adapters[0] if self._config.adapters else None)
        if self._answer is not None:
            text = self._answer(request.messages, adapter, seed)
        else:
            text = fake_answer(request.messages, adapter, seed, words=self._config.answer_words)
        data = text.encode()
        return [data[start : start + _BYTES_PER_TOKEN] for start in range(0, len(data), _BYTES_PER_TOKEN)]

    def _assembler(self, request: GenerationRequest, pieces: list[bytes]) -> AnswerAssembler:
        def decode(ids: list[int]) -> str:
            return b"".join(pieces[index] for index in ids).decode("utf-8", errors="replace")

        return AnswerAssembler(decode, request.stop)

    async def _wait_for_slot(self, run: _Run) -> bool:
        """Take a slot; false if the deadline or the end of the engine came first."""
        try:
            async with asyncio.timeout(_remaining_s(run.deadline_at_s)):
                await self._slots.acquire()
        except TimeoutError:
            return not run.progress.interrupt(now_s=math.inf, cancelled=False)
        self._meter.start(run.ticket)
        run.failing = self._take_failure()
        await self._pause(self._config.ttft_s, run)
        return not run.progress.interrupt(now_s=time.monotonic(), cancelled=self._closed)

    async def _tokens(self, run: _Run) -> AsyncGenerator[Delta, None]:
        for token_id in range(len(run.pieces) + 1):  # the last one is the end token
            await self._pause(self._config.token_delay_s if token_id else 0.0, run)
            if run.failing and token_id + 1 == self._config.fail_at_token:
                raise EngineError(f"the fake engine failed at token {token_id + 1}, as configured")
            self._meter.token(run.ticket)
            delta = run.progress.step(token_id, now_s=time.monotonic(), cancelled=self._closed)
            if delta is not None:
                yield delta
            if run.progress.finish_reason is not None:
                return

    async def _pause(self, delay_s: float, run: _Run) -> None:
        """Take as long as a model would, but no longer than the deadline."""
        remaining_s = _remaining_s(run.deadline_at_s)
        await asyncio.sleep(delay_s if remaining_s is None else max(0.0, min(delay_s, remaining_s)))

    def _take_failure(self) -> bool:
        if self._config.fail_at_token is None or self._failures_left == 0:
            return False
        if self._failures_left is not None:
            self._failures_left -= 1
        return True

    def _release(self, run: _Run) -> None:
        if run.ticket.started:
            self._slots.release()
        self._meter.leave(run.ticket)


def _remaining_s(deadline_at_s: float | None) -> float | None:
    return None if deadline_at_s is None else deadline_at_s - time.monotonic()
