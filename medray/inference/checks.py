"""What every engine refuses before any work, in the words of the HTTP surface.

Each function raises RequestError with the OpenAI `code` and `param`; messages name fields and numbers, never text.
"""

import math
from collections.abc import Collection

from medray.errors import RequestError
from medray.inference.engine import GenerationRequest

MAX_STOPS = 16


def check_request(request: GenerationRequest, adapters: Collection[str]) -> None:
    """Check all that needs no tokenizer. Raises RequestError."""
    if not request.messages:
        raise _refuse("messages", "at least one message", "none")
    if request.max_tokens < 1:
        raise _refuse("max_tokens", "at least 1", str(request.max_tokens))
    if not (math.isfinite(request.temperature) and request.temperature >= 0):
        raise _refuse("temperature", "a finite number, 0 or more", str(request.temperature))
    if not 0 < request.top_p <= 1:
        raise _refuse("top_p", "more than 0, at most 1", str(request.top_p))
    if not all(request.stop) or len(request.stop) > MAX_STOPS:
        raise _refuse("stop", f"at most {MAX_STOPS} strings, none empty", f"{len(request.stop)} strings")
    if request.deadline_s is not None and not request.deadline_s > 0:
        raise _refuse("deadline_s", "more than 0", str(request.deadline_s))
    if request.adapter is not None and request.adapter not in adapters:
        raise RequestError(
            f"adapter: expected one of {sorted(adapters)}, got another name",
            status=404,
            code="model_not_found",
            param="model",
        )


def room_for_answer(prompt_tokens: int, max_tokens: int, max_context_tokens: int) -> int:
    """Return how many tokens the answer may have: `max_tokens`, or what the window leaves if that is less.

    Raises RequestError if the prompt alone fills the window.
    """
    room = max_context_tokens - prompt_tokens
    if room < 1:
        raise RequestError(
            f"messages: expected fewer than {max_context_tokens} tokens (the context window), got {prompt_tokens}: "
            "shorten the prompt",
            status=400,
            code="context_length_exceeded",
            param="messages",
        )
    return min(max_tokens, room)


def _refuse(param: str, expected: str, got: str) -> RequestError:
    return RequestError(f"{param}: expected {expected}, got {got}", status=400, code="invalid_value", param=param)
