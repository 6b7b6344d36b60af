"""What clients get: OpenAI completions, stream chunks, model lists and error objects, as plain JSON data.

`Answer` holds what is common to one reply; every function here is pure. The `medray` field is our extension: class,
mode, engine, artifact and the terms of the decision.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from medray.errors import PoolsUnavailable, RequestError
from medray.inference.engine import Delta, FinishReason

DONE = "data: [DONE]\n\n"
# OpenAI has no word for "time is up": the answer was cut, as by a length limit. `medray.finish_reason` has the truth.
_FINISH: Mapping[FinishReason, str] = {"stop": "stop", "length": "length", "deadline": "length", "cancelled": "stop"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What is common to all parts of one reply. `about` is the `medray` extension object."""

    answer_id: str
    created_s: int
    model: str
    about: Mapping[str, Any]


@dataclass(slots=True)
class Tally:
    """Counts over the deltas of one answer."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    finish_reason: FinishReason | None = None

    def add(self, delta: Delta) -> None:
        """Count a delta."""
        self.prompt_tokens = max(self.prompt_tokens, delta.prompt_tokens)
        self.completion_tokens += delta.tokens
        self.finish_reason = delta.finish_reason or self.finish_reason

    def usage(self) -> dict[str, int]:
        """Return the usage object."""
        total = self.prompt_tokens + self.completion_tokens
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": total,
        }


def completion(answer: Answer, text: str, tally: Tally) -> dict[str, Any]:
    """Return a whole chat completion."""
    return {
        "id": answer.answer_id,
        "object": "chat.completion",
        "created": answer.created_s,
        "model": answer.model,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text, "refusal": None},
                "logprobs": None,
                "finish_reason": finish(tally.finish_reason),
            }
        ],
        "usage": tally.usage(),
        "medray": {**answer.about, "finish_reason": tally.finish_reason},
    }


def chunk(answer: Answer, delta: Mapping[str, str], finish_reason: str | None = None) -> dict[str, Any]:
    """Return one chunk of a stream."""
    choice = {"index": 0, "delta": dict(delta), "logprobs": None, "finish_reason": finish_reason}
    return _chunk(answer, [choice])


def first_chunk(answer: Answer) -> dict[str, Any]:
    """Return the chunk that opens a stream: the role, and what we add about the answer."""
    return {**chunk(answer, {"role": "assistant", "content": ""}), "medray": dict(answer.about)}


def usage_chunk(answer: Answer, tally: Tally) -> dict[str, Any]:
    """Return the chunk with the counts, which has no choices."""
    return {**_chunk(answer, []), "usage": tally.usage()}


def finish(reason: FinishReason | None) -> str:
    """Return OpenAI's word for how an answer ended."""
    return _FINISH[reason] if reason is not None else "stop"


def sse(data: Mapping[str, Any]) -> str:
    """Render one server-sent event. JSON escapes line breaks, so text cannot end the event."""
    return f"data: {json.dumps(data, ensure_ascii=False, separators=(',', ':'))}\n\n"


def error_body(error: Exception) -> dict[str, Any]:
    """Return OpenAI's error object. Only errors that are ours speak; others could quote their input."""
    if isinstance(error, RequestError):
        kind = "invalid_request_error"
        return _error(str(error), kind, param=error.param, code=error.code)
    if isinstance(error, PoolsUnavailable):
        return _error(str(error), "server_error", code="pools_unavailable")
    if isinstance(error, TimeoutError):
        return _error("the answer took longer than this server allows", "server_error", code="deadline_exceeded")
    return _error("the server failed while answering", "server_error", code="internal_error")


def error_status(error: Exception) -> int:
    """Return the HTTP status of an error."""
    if isinstance(error, RequestError):
        return error.status
    if isinstance(error, PoolsUnavailable):
        return 503
    return 504 if isinstance(error, TimeoutError) else 500


def _error(message: str, kind: str, *, param: str | None = None, code: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def _chunk(answer: Answer, choices: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": answer.answer_id,
        "object": "chat.completion.chunk",
        "created": answer.created_s,
        "model": answer.model,
        "choices": choices,
    }
