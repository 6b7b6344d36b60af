"""Who writes the answers: an engine loaded here, or an endpoint behind a URL. One protocol, no items, no metrics."""

import time
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol
from uuid import uuid4

from medray.evaluation.generation_config import GenerationConfig, SamplingConfig
from medray.evaluation.openai_client import ChatClient
from medray.inference.engine import Engine, GenerationRequest, Message


@dataclass(frozen=True, slots=True)
class Reply:
    """What was written. `seconds` are from when a slot was free; `first_s` to the first token, where it is seen."""

    text: str
    tokens: int
    seconds: float
    cut_off: bool
    first_s: float | None = None


class Answerer(Protocol):
    """Answers conversations; used from one event loop."""

    async def answer(self, messages: Sequence[Message], sampling: SamplingConfig) -> Reply:
        """Write an answer. Raises MedrayError."""
        ...

    async def aclose(self) -> None:
        """Free what it holds."""
        ...


class EngineAnswerer:
    """An engine in this process."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def answer(self, messages: Sequence[Message], sampling: SamplingConfig) -> Reply:
        """Collect the engine's deltas."""
        started_s = time.perf_counter()
        pieces, tokens, first_s, finish = [], 0, None, None
        # Closed at once when the asking is cancelled: the slot is freed with the generator.
        async with aclosing(self._engine.generate(_request(messages, sampling))) as deltas:
            async for delta in deltas:
                if delta.tokens and first_s is None:
                    first_s = time.perf_counter() - started_s
                pieces.append(delta.text)
                tokens += delta.tokens
                finish = delta.finish_reason or finish
        seconds = time.perf_counter() - started_s
        return Reply("".join(pieces), tokens, seconds, cut_off=finish != "stop", first_s=first_s)

    async def aclose(self) -> None:
        """Stop the engine."""
        await self._engine.aclose()


class EndpointAnswerer:
    """An OpenAI-compatible endpoint. Reasoning that it keeps apart comes back in `<think>` marks, as if written."""

    def __init__(self, client: ChatClient) -> None:
        self._client = client

    async def answer(self, messages: Sequence[Message], sampling: SamplingConfig) -> Reply:
        """Ask the endpoint."""
        made = await self._client.complete(messages, sampling)
        text = f"<think>{made.reasoning}</think>\n{made.text}" if made.reasoning else made.text
        return Reply(text, made.tokens, made.seconds, cut_off=made.finish_reason == "length")

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def is_url(model: str) -> bool:
    """Tell an endpoint from the name of a model."""
    return model.startswith(("http://", "https://"))


def build_answerer(model: str, config: GenerationConfig) -> tuple[Answerer, int]:
    """Return who answers, and how many requests it takes at once. To be called in its event loop; loads weights.

    Raises ConfigError, ModelError, ArtifactError or CapabilityError.
    """
    if is_url(model):
        return EndpointAnswerer(ChatClient(model, config.endpoint)), config.concurrency
    from medray.inference.factory import EngineConfig, build_engine

    engine = build_engine(
        EngineConfig(
            engine=config.engine,
            model=model,
            mode=config.mode,
            dtype=config.dtype,
            device=config.device,
            max_context_tokens=config.max_context_tokens,
        )
    )
    return EngineAnswerer(engine), min(config.concurrency, engine.stats().slots)


def _request(messages: Sequence[Message], sampling: SamplingConfig) -> GenerationRequest:
    return GenerationRequest(
        request_id=uuid4().hex,
        messages=tuple(messages),
        max_tokens=sampling.max_tokens,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        stop=sampling.stop,
        seed=sampling.seed if sampling.temperature > 0 else None,
        deadline_s=sampling.deadline_s,
    )
