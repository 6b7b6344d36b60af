"""What the ingress does with a request between HTTP and the pools: check, classify, decide, open the answer.

Plain asyncio over the dispatcher's protocols and a snapshot board: no Ray, no web framework. All state is the open
answers' count; what a request says is never kept or logged.
"""

import re
import time
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from medray.errors import RequestError
from medray.inference.engine import GenerationRequest
from medray.knowledge import Classification
from medray.log import event
from medray.serving import replies
from medray.serving.api import ChatRequest, parse_chat
from medray.serving.board import SnapshotBoard
from medray.serving.config import ServingArgs
from medray.serving.decision import Need, Policy, Scored, Target, rank
from medray.serving.dispatch import Dispatcher, OpenAnswer, PoolClient
from medray.serving.plan import PoolPlan
from medray.serving.prompting import compose
from medray.serving.readiness import Expected, PoolReadiness, readiness
from medray.serving.snapshot import with_local_load

_UNPRINTABLE = re.compile(r"[^\x21-\x7e]")


@dataclass(frozen=True, slots=True)
class Opened:
    """An answer that has begun: its stream, what is common to its parts, and the headers that describe it."""

    request: ChatRequest
    answer: replies.Answer
    stream: OpenAnswer
    headers: Mapping[str, str]

    def close(self) -> None:
        """Stop generating what nobody will read."""
        self.stream.close()


class Endpoint:
    """The application behind the HTTP routes."""

    def __init__(
        self, args: ServingArgs, plans: Sequence[PoolPlan], pools: Mapping[str, PoolClient], board: SnapshotBoard
    ) -> None:
        self._args = args
        self._plans = {plan.name: plan for plan in plans}
        self._board = board
        self._dispatcher = Dispatcher(pools, first_token_timeout_s=args.limits.first_token_timeout_s)
        self._policy = policy_of(args)
        self._created_s = int(time.time())

    @property
    def max_body_bytes(self) -> int:
        """The largest body that is read."""
        return self._args.limits.max_body_bytes

    async def open(self, body: bytes) -> Opened:
        """Begin an answer. Raises RequestError, PoolsUnavailable or TimeoutError; always close what it returns."""
        request = parse_chat(body, self._args.limits)
        plans = self._plans_for(request.model)
        found, messages = compose(request.messages)
        ranked = self._rank(found, request, plans)
        generation = GenerationRequest(
            request_id=f"chatcmpl-{uuid.uuid4().hex}",
            messages=messages,
            max_tokens=request.answer_limit(self._args.limits),
            temperature=request.temperature or 0.0,
            top_p=1.0 if request.top_p is None else request.top_p,
            stop=request.stops,
            seed=request.seed,
            deadline_s=self._args.limits.request_timeout_s,
        )
        stream = await self._dispatcher.open([item.pool for item in ranked], generation)
        opened = self._describe(request, generation.request_id, found, ranked, stream)
        event("answer_opened", category=found.category, pool=stream.pool, pools=len(ranked))
        return opened

    def models(self) -> list[dict[str, Any]]:
        """Return the model objects: the one that chooses a pool, and one per pool."""
        snapshot = self._board.current()
        pools = []
        for plan in self._plans.values():
            figures = snapshot.pools.get(plan.name)
            told = {"precision": figures.precision, "kernels": figures.kernels} if figures else {}
            pools.append({**_about_pool(plan), **told})
        name = self._args.model_name
        whole = {**self._model(name), "medray": {"pools": pools}}
        return [whole, *({**self._model(f"{name}:{pool['pool']}"), "medray": {"pools": [pool]}} for pool in pools)]

    def ready(self) -> list[PoolReadiness]:
        """Judge every pool by the latest snapshot."""
        expected = [
            Expected(plan.name, plan.fingerprint, plan.config.replicas.min == 0) for plan in self._plans.values()
        ]
        monitoring = self._args.monitoring
        return readiness(
            expected,
            self._board.current(),
            report_max_age_s=monitoring.snapshot_max_age_s,
            token_max_age_s=monitoring.token_max_age_s,
        )

    def _plans_for(self, model: str) -> list[PoolPlan]:
        """Return the pools that a model id may use."""
        if model == self._args.model_name:
            return list(self._plans.values())
        name, _, pool = model.rpartition(":")
        if name == self._args.model_name and pool in self._plans:
            return [self._plans[pool]]
        raise RequestError(
            f"model: expected '{self._args.model_name}' or another id of GET /v1/models, got an unknown one",
            status=404,
            code="model_not_found",
            param="model",
        )

    def _rank(self, found: Classification, request: ChatRequest, plans: Sequence[PoolPlan]) -> list[Scored]:
        typical = self._args.targets_by_class()[found.category].answer_tokens
        need = Need(found.category, min(typical, request.answer_limit(self._args.limits)))
        in_flight = self._dispatcher.in_flight
        snapshot = with_local_load(self._board.current(), in_flight)
        return rank(need, [plan.candidate() for plan in plans], snapshot, self._policy, in_flight=in_flight)

    def _describe(
        self, request: ChatRequest, answer_id: str, found: Classification, ranked: Sequence[Scored], stream: OpenAnswer
    ) -> Opened:
        plan = self._plans[stream.pool]
        about = {
            "category": found.category,
            "confidence": round(found.confidence, 4),
            **_about_pool(plan),
            "decision": [_terms(item) for item in ranked],
        }
        headers = {
            "x-medray-category": found.category,
            "x-medray-mode": plan.mode,
            "x-medray-engine": plan.engine.engine,
            "x-medray-artifact": plan.artifact,
            "x-medray-decision": ";".join(_short(item) for item in ranked),
            **({"x-medray-fallback": "true"} if plan.fallback else {}),
        }
        printable = {name: _UNPRINTABLE.sub("_", value) for name, value in headers.items()}
        return Opened(request, replies.Answer(answer_id, int(time.time()), request.model, about), stream, printable)

    def _model(self, name: str) -> dict[str, Any]:
        return {"id": name, "object": "model", "created": self._created_s, "owned_by": "medray"}


async def whole(opened: Opened) -> dict[str, Any]:
    """Return the finished answer. Raises EngineError or TimeoutError when it fails on the way."""
    tally, texts = replies.Tally(), []
    async for delta in opened.stream.deltas():
        tally.add(delta)
        texts.append(delta.text)
    _refuse_empty_by_deadline(tally)
    return replies.completion(opened.answer, "".join(texts), tally)


async def events(opened: Opened) -> AsyncIterator[str]:
    """Yield the answer as server-sent events; a failure on the way is an error event that ends it."""
    tally = replies.Tally()
    yield replies.sse(replies.first_chunk(opened.answer))
    try:
        async for delta in opened.stream.deltas():
            tally.add(delta)
            if delta.text:
                yield replies.sse(replies.chunk(opened.answer, {"content": delta.text}))
        _refuse_empty_by_deadline(tally)
    except Exception as error:  # headers are out: the stream is the only place left to say it
        event("answer_failed", level="warning", pool=opened.stream.pool, error=error)
        yield replies.sse(replies.error_body(error))
    else:
        yield replies.sse(replies.chunk(opened.answer, {}, replies.finish(tally.finish_reason)))
        if opened.request.wants_usage:
            yield replies.sse(replies.usage_chunk(opened.answer, tally))
    yield replies.DONE


def policy_of(args: ServingArgs) -> Policy:
    """Return the decision's policy as configured."""
    targets = {
        category: Target(found.ttft_s, found.total_s, found.tokens_per_s)
        for category, found in args.targets_by_class().items()
    }
    weights = args.weights
    return Policy(weights.performance, weights.fit, weights.cost, targets, args.monitoring.snapshot_max_age_s)


def _refuse_empty_by_deadline(tally: replies.Tally) -> None:
    """An answer whose time ended before its first token is a failure, not an empty answer."""
    if tally.finish_reason == "deadline" and tally.completion_tokens == 0:
        raise TimeoutError


def _about_pool(plan: PoolPlan) -> dict[str, Any]:
    return {
        "pool": plan.name,
        "mode": plan.mode,
        "engine": plan.engine.engine,
        "artifact": plan.artifact,
        "fallback": plan.fallback,
    }


def _terms(item: Scored) -> dict[str, Any]:
    return {
        "pool": item.pool,
        "D": round(item.score, 4),
        "P": round(item.performance, 4),
        "F": round(item.fit, 4),
        "C": round(item.cost, 4),
        "known": item.known,
    }


def _short(item: Scored) -> str:
    known = "" if item.known else ",unknown"
    return f"{item.pool}:D={item.score:.3f},P={item.performance:.3f},F={item.fit:.3f},C={item.cost:.3f}{known}"
