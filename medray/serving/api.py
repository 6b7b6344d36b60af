"""What clients may send: the OpenAI chat completions request, checked.

Bytes go in, a `ChatRequest` or a RequestError comes out. As with OpenAI, unknown fields are ignored; known ones that
this endpoint cannot honour are refused by name. Messages of errors name fields and rules and never quote the input.
"""

from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from medray.errors import RequestError
from medray.serving.config import Limits

_INT64: Final = 2**63
Text = Annotated[str, Field(max_length=2_000_000)]
Stop = Annotated[str, Field(min_length=1, max_length=200)]

# Fields that would change the answer if they were honoured, and the values that ask for nothing.
_UNSUPPORTED: Final[dict[str, tuple[Any, ...]]] = {
    "tools": (None, []),
    "tool_choice": (None, "none", "auto"),
    "functions": (None, []),
    "function_call": (None, "none", "auto"),
    "logprobs": (None, False),
    "top_logprobs": (None, 0),
    "logit_bias": (None, {}),
    "response_format": (None, {"type": "text"}),
    "audio": (None,),
    "modalities": (None, ["text"]),
    "presence_penalty": (None, 0),
    "frequency_penalty": (None, 0),
    "web_search_options": (None,),
}


class _Part(BaseModel):
    """A model of the request: strict types, unknown fields ignored, no NaN."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True, allow_inf_nan=False, hide_input_in_errors=True)


class TextPart(_Part):
    """A piece of content; only text is understood."""

    type: Literal["text"]
    text: Text


class ChatMessage(_Part):
    """One turn."""

    role: Literal["system", "user", "assistant"]
    content: Text | tuple[TextPart, ...]

    @property
    def text(self) -> str:
        """The content as one text."""
        return self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)


class StreamOptions(_Part):
    """Options of a stream."""

    include_usage: bool = False


class ChatRequest(_Part):
    """The body of POST /v1/chat/completions."""

    model: Annotated[str, Field(min_length=1, max_length=200)]
    messages: Annotated[tuple[ChatMessage, ...], Field(min_length=1)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0.0, le=2.0)] | None = None
    top_p: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    stop: Stop | Annotated[tuple[Stop, ...], Field(max_length=4)] | None = None
    seed: Annotated[int, Field(ge=-_INT64, lt=_INT64)] | None = None
    n: Literal[1] | None = None

    @model_validator(mode="after")
    def _has_a_question(self) -> Self:
        users = [message for message in self.messages if message.role == "user"]
        if not users or not users[-1].text.strip():
            raise ValueError("expected a last user message with text in it")
        if self.stream_options is not None and not self.stream:
            raise ValueError("stream_options is only for stream=true")
        return self

    @property
    def stops(self) -> tuple[str, ...]:
        """The stop texts."""
        if self.stop is None:
            return ()
        return (self.stop,) if isinstance(self.stop, str) else self.stop

    @property
    def wants_usage(self) -> bool:
        """Whether a stream shall end with a usage chunk."""
        return self.stream_options is not None and self.stream_options.include_usage

    def answer_limit(self, limits: Limits) -> int:
        """Return the most new tokens. Raises RequestError above the server's limit."""
        asked = self.max_completion_tokens if self.max_completion_tokens is not None else self.max_tokens
        if asked is not None and asked > limits.max_tokens:
            raise RequestError(
                f"max_tokens: expected at most {limits.max_tokens} here: ask for fewer",
                param="max_tokens",
                code="invalid_value",
            )
        return asked if asked is not None else limits.max_tokens_default


def parse_chat(body: bytes, limits: Limits) -> ChatRequest:
    """Check the body of a chat request. Raises RequestError (400)."""
    try:
        request = ChatRequest.model_validate_json(body)
    except ValidationError as error:
        raise _refusal(error) from None
    if len(request.messages) > limits.max_messages:
        raise RequestError(f"messages: expected at most {limits.max_messages}", param="messages", code="invalid_value")
    _refuse_unsupported(body)
    return request


class _Known(BaseModel):
    """The body again, with only the fields that may be unsupported."""

    model_config = ConfigDict(extra="allow", hide_input_in_errors=True)


def _refuse_unsupported(body: bytes) -> None:
    given = _Known.model_validate_json(body).model_extra or {}
    for name, harmless in _UNSUPPORTED.items():
        if name in given and not any(given[name] == value for value in harmless):
            raise RequestError(
                f"{name} is not supported by this endpoint: leave it out", param=name, code="unsupported_parameter"
            )


def _refusal(error: ValidationError) -> RequestError:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    if first["type"] == "json_invalid":
        return RequestError("the body is not valid JSON (UTF-8)", code="invalid_json")
    where = _location(first["loc"])
    if first["type"] in ("model_type", "model_attributes_type") and not where:
        return RequestError("expected a JSON object as the body", code="invalid_json")
    what = _RULES.get(first["type"], first["msg"].removeprefix("Value error, "))
    return RequestError(f"{where or 'messages'}: {what}", param=where or "messages", code="invalid_value")


# Pydantic's own words for these speak of Python types or repeat what was expected in code.
_RULES: Final = {
    "missing": "this field is required",
    "literal_error": "this value is not one that is supported",
    "tuple_type": "expected a list",
    "model_type": "expected an object",
}


def _location(parts: tuple[int | str, ...]) -> str:
    """Render a field's place as `messages[0].content`, without the names of union branches."""
    fields = {*ChatRequest.model_fields, *ChatMessage.model_fields, *TextPart.model_fields, *StreamOptions.model_fields}
    text = ""
    for part in parts:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part in fields:
            text += f".{part}" if text else part
    return text
