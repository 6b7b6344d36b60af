"""What is kept of an answer, and what a look-up gives back.

Texts stand in fields that never show in a representation, so a logged entry, hit or answer shows figures only.
"""

import json
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from medray.errors import InputError
from medray.inference.engine import FinishReason

Tier = Literal["memory", "disk"]
MatchKind = Literal["exact", "semantic"]
_FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Answer:
    """A generated answer. Only complete ones (`finish_reason` "stop") are kept. Token counts may be unknown (0)."""

    text: str = field(repr=False)
    finish_reason: FinishReason = "stop"
    tokens: int = 0
    prompt_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """A stored answer with the question it was given to. Times are seconds since the epoch."""

    key: bytes = field(repr=False)
    scope: bytes = field(repr=False)
    question: str = field(repr=False)
    answer: Answer
    artifact: str
    model: str
    category: str
    created_s: float
    expires_s: float

    def pack(self) -> bytes:
        """Return the entry's content as bytes; key, scope and expiry travel beside it."""
        fields = [
            _FORMAT,
            self.question,
            self.answer.text,
            self.answer.tokens,
            self.answer.prompt_tokens,
            self.artifact,
            self.model,
            self.category,
            self.created_s,
        ]
        return json.dumps(fields, separators=(",", ":")).encode("ascii")  # escapes keep lone surrogates whole


def unpack(data: bytes, *, key: bytes, scope: bytes, expires_s: float) -> Entry:
    """Rebuild an entry from its authenticated bytes. Raises InputError if another version wrote them."""
    fields: list[Any] = json.loads(data)
    if fields[0] != _FORMAT:
        raise InputError(f"cache entry: expected format {_FORMAT}, got {fields[0]}")
    _, question, text, tokens, prompt_tokens, artifact, model, category, created_s = fields
    answer = Answer(text, "stop", tokens, prompt_tokens)
    return Entry(key, scope, question, answer, artifact, model, category, created_s, expires_s)


@dataclass(frozen=True, slots=True)
class Hit:
    """A served answer: its text, where it came from, how near its question was (1 for exact) and how old it is."""

    answer: str = field(repr=False)
    tier: Tier
    kind: MatchKind
    similarity: float
    age_s: float
    artifact: str
    category: str
    tokens: int = 0
    prompt_tokens: int = 0
