"""What is asked of one item and what came of it: orders, prompts and requests before the model, outcomes after it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, Final, Literal, TypeAlias

from medray.evaluation.loglikelihood_requests import PromptEncoder, Request, window
from medray.evaluation.prompts import Method, Prompt, Style, build_prompt, shows_options
from medray.evaluation.schema import Item, Outcome
from medray.evaluation.shuffle import orders

Normalise: TypeAlias = Literal["none", "bytes", "characters"]
Order: TypeAlias = tuple[int, ...]

NOT_FINITE: Final = "NotFinite"


@dataclass(frozen=True)
class Asking:
    """How every item is asked: part of the scorer's config."""

    style: Style
    method: Method
    repeats: int
    seed: int
    normalise: Normalise


@dataclass(frozen=True)
class Plan:
    """The prompts of one item, one for each order that the model can tell apart, and the requests of each prompt."""

    item: Item
    orders: tuple[Order, ...]
    prompts: tuple[Prompt, ...]
    parts: tuple[tuple[Request, ...], ...]
    cut_tokens: int

    @property
    def requests(self) -> tuple[Request, ...]:
        """All requests, as one group: they begin alike."""
        return tuple(chain.from_iterable(self.parts))


def plan(item: Item, shots: Sequence[Item], asking: Asking, encoder: PromptEncoder, max_length: int) -> Plan:
    """Plan an item. Raises ValueError when it cannot be scored within the model's positions."""
    seen = _orders(item, asking)
    prompts = tuple(build_prompt(item, order, style=asking.style, method=asking.method, shots=shots) for order in seen)
    wholes = [encoder.encode(prompt) for prompt in prompts]
    parts = tuple(tuple(window(whole, max_length)) for whole in wholes)
    cut = max(len(whole.context) - len(part.context) for whole, own in zip(wholes, parts, strict=True) for part in own)
    return Plan(item, seen, prompts, parts, cut)


def outcomes(planned: Plan, scores: Sequence[Sequence[float]], seconds: float, asking: Asking) -> list[Outcome]:
    """Return the outcomes of an item from the log-likelihoods of its requests. `seconds` are those of the item."""
    found = iter(scores)
    made = []
    for repeat, (order, prompt, parts) in enumerate(zip(planned.orders, planned.prompts, planned.parts, strict=True)):
        values = [value for _ in parts for value in next(found)]
        made.append(_outcome(planned, repeat, order, prompt, values, asking.normalise))
    return [replace(outcome, seconds=seconds / asking.repeats) for outcome in _repeated(made, asking.repeats)]


def failures(item: Item, error: str, asking: Asking) -> list[Outcome]:
    """Return the outcomes of an item that could not be scored: wrong, with the error's type."""
    own = [_failure(item, repeat, order, error) for repeat, order in enumerate(_orders(item, asking))]
    return _repeated(own, asking.repeats)


def _orders(item: Item, asking: Asking) -> tuple[Order, ...]:
    """Return the orders that make a difference to what the model reads."""
    repeats = asking.repeats if shows_options(item, asking.method) else 1
    return tuple(orders(item.id, len(item.options), repeats, asking.seed))


def _repeated(made: list[Outcome], repeats: int) -> list[Outcome]:
    """Where the order makes no difference, the one outcome is that of every repeat."""
    return made if len(made) == repeats else [replace(made[0], repeat=repeat) for repeat in range(repeats)]


def _outcome(
    planned: Plan, repeat: int, order: Order, prompt: Prompt, values: Sequence[float], normalise: Normalise
) -> Outcome:
    item = planned.item
    if not all(map(math.isfinite, values)):
        return _failure(item, repeat, order, NOT_FINITE)
    tokens = sum(len(answer) for part in planned.parts[repeat] for answer in part.answers)
    figures = _figures(item, prompt, order, values, tokens)
    if planned.cut_tokens:
        figures["cut_tokens"] = float(planned.cut_tokens)
    best = _best(prompt, values, normalise) if item.options else None
    return Outcome(
        **_who(item),
        repeat=repeat,
        order=order,
        prompt_sha256=prompt.sha256,
        status="ok",
        letter="" if best is None else prompt.labels[best],
        chosen=None if best is None else order[best],
        correct=None if best is None else order[best] == item.answer_index,
        tokens=tokens,
        scores=figures,
    )


def _best(prompt: Prompt, values: Sequence[float], normalise: Normalise) -> int:
    """Return the place shown of the best answer, the first of equal ones."""
    scaled = [value / _length(answer, normalise) for value, answer in zip(values, prompt.answers, strict=True)]
    return max(range(len(scaled)), key=lambda place: scaled[place])


def _length(answer: str, normalise: Normalise) -> int:
    if normalise == "none":
        return 1
    return len(answer.encode() if normalise == "bytes" else answer)


def _figures(item: Item, prompt: Prompt, order: Order, values: Sequence[float], tokens: int) -> dict[str, float]:
    """Return `loglikelihood/0`... by the item's own places; of an open answer, with its means per byte and token."""
    if not item.options:
        (value,) = values
        size = _length(prompt.answers[0], "bytes")
        return {
            "loglikelihood": value,
            "loglikelihood_per_byte": value / size,
            "loglikelihood_per_token": value / tokens,
        }
    named = zip(order, values, prompt.answers, strict=True)
    figures: dict[str, float] = {}
    for place, value, answer in sorted(named):
        figures[f"loglikelihood/{place}"] = value
        figures[f"loglikelihood_per_byte/{place}"] = value / _length(answer, "bytes")
    return figures


def _failure(item: Item, repeat: int, order: Order, error: str) -> Outcome:
    return Outcome(
        **_who(item),
        repeat=repeat,
        order=order,
        prompt_sha256="",
        status="failed",
        correct=False if item.options else None,
        error=error,
    )


def _who(item: Item) -> Mapping[str, Any]:
    return {"item_id": item.id, "task": item.task, "stratum": item.stratum, "category": item.category}
