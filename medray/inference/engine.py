"""The Engine protocol: the one seam between serving and whatever generates tokens.

A request goes in as chat messages (the engine renders its model's own template), deltas come out as they are made, the
last one with a finish reason and usage. What an engine cannot do stands in its `Capabilities`; asking for it raises
RequestError before any work. Engines know nothing of classes, pools, Ray or HTTP.
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

Mode = Literal["adapter", "merged"]
FinishReason = Literal["stop", "length", "deadline", "cancelled"]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """What to generate and how. `temperature` 0 is greedy; `deadline_s` counts from the call of `generate`."""

    request_id: str
    messages: tuple[Message, ...]
    max_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    seed: int | None = None
    adapter: str | None = None  # None: the engine's only adapter, or none
    deadline_s: float | None = None


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of answer. `tokens` is how many new tokens it holds; the last delta alone has `finish_reason`."""

    text: str
    tokens: int
    finish_reason: FinishReason | None = None
    prompt_tokens: int = 0


@dataclass(frozen=True, slots=True)
class EngineStats:
    """Live figures of one engine. Ages and rates are None until there is something to measure."""

    alive: bool
    running: int
    queued: int
    slots: int  # requests that make progress at once
    tokens_per_s: float | None  # per running request, recent
    ttft_s: float | None  # recent median time to first token, queueing included
    seconds_since_token: float | None  # age of the last really generated token
    memory_bytes: int
    kv_cache_share: float | None = None  # used share in [0, 1], where the engine can tell


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an engine can do. `precision` and `kernels` say what runs and why, in a few words for people."""

    engine: str
    modes: frozenset[Mode]
    max_context_tokens: int
    precision: str
    kernels: str
    multi_adapter: bool = False
    continuous_batching: bool = False
    seeds: bool = True
    logprobs: bool = False


@runtime_checkable
class Engine(Protocol):
    """What serving, evaluation and corpus building talk to."""

    @property
    def capabilities(self) -> Capabilities:
        """What this engine can do."""
        ...

    def generate(self, request: GenerationRequest) -> AsyncGenerator[Delta]:
        """Yield deltas; closing the iterator cancels and frees the slot within one step.

        Raises, from the iterator, RequestError before any work for what cannot be done (over-long prompt, unknown
        adapter), EngineError when generation fails. A prompt alone must fit the window; `max_tokens` is limited to the
        room it leaves.
        """
        ...

    def stats(self) -> EngineStats:
        """Return live figures; cheap, never blocks."""
        ...

    async def aclose(self) -> None:
        """Stop, cancel what runs, free memory. Calling it twice is fine."""
        ...
