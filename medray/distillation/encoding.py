"""Lessons to token ids: the prompt through the model's own chat template, then the answer and the end token.

`EncodedLessons` is a handful of flat arrays, so that Ray's object store shares one copy among the workers of a node.
It holds no text. Rows that do not fit the window follow a stated policy and are counted.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from medray.artifacts import hash_bytes
from medray.errors import ModelError
from medray.knowledge.prompts import Message, render

_MIN_ANSWER_TOKENS = 8  # a prompt that leaves less than this has no answer worth learning


class LessonText(Protocol):
    """What the encoder needs of a lesson."""

    @property
    def id(self) -> str: ...  # noqa: D102
    @property
    def system(self) -> str: ...  # noqa: D102
    @property
    def user(self) -> str: ...  # noqa: D102
    @property
    def target(self) -> str: ...  # noqa: D102


@dataclass(frozen=True)
class EncodedLessons:
    """Token ids of all rows end to end. Row i is `tokens[starts[i]:starts[i + 1]]`, prompt first."""

    tokens: NDArray[np.int32]
    starts: NDArray[np.int64]
    prompt_lengths: NDArray[np.int32]
    ids: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def lengths(self) -> NDArray[np.int32]:
        """Tokens of each row, prompt and answer."""
        return np.diff(self.starts).astype(np.int32)

    @property
    def answer_tokens(self) -> NDArray[np.int32]:
        """Answer tokens of each row: what the loss counts."""
        return self.lengths - self.prompt_lengths

    def row(self, index: int) -> NDArray[np.int32]:
        """Return the token ids of one row."""
        return self.tokens[self.starts[index] : self.starts[index + 1]]

    def fingerprint(self) -> str:
        """Return a hash of everything that training can see of the data."""
        arrays = (self.tokens, self.starts, self.prompt_lengths)
        return hash_bytes(*(array.tobytes() for array in arrays), "\n".join(self.ids).encode())


@dataclass
class EncodingCounts:
    """What happened to the rows: `kept` includes `truncated`."""

    kept: int = 0
    truncated: int = 0
    dropped_long_answer: int = 0
    dropped_long_prompt: int = 0

    def as_dict(self) -> dict[str, int]:
        """Return the counts by name, for a summary."""
        return asdict(self)


def encode(
    lessons: Sequence[LessonText], tokenizer: Any, *, max_tokens: int, too_long: Literal["truncate", "drop"]
) -> tuple[EncodedLessons, EncodingCounts]:
    """Encode lessons into rows of at most `max_tokens`. Raises ModelError when the chat template refuses.

    A prompt that leaves no room drops the row. An answer that does not fit is cut from the right without an end
    token (the student must not learn to stop there), or drops the row, as `too_long` says.
    """
    prompts = _encode_prompts(lessons, tokenizer)
    answers = _encode_answers(lessons, tokenizer)
    counts = EncodingCounts()
    rows: list[NDArray[np.int32]] = []
    prompt_lengths: list[int] = []
    ids: list[str] = []
    for lesson, prompt, answer in zip(lessons, prompts, answers, strict=True):
        room = max_tokens - len(prompt)
        if room < min(_MIN_ANSWER_TOKENS, len(answer)):
            counts.dropped_long_prompt += 1
            continue
        if len(answer) > room and too_long == "drop":
            counts.dropped_long_answer += 1
            continue
        counts.kept += 1
        counts.truncated += len(answer) > room
        rows.append(np.asarray(prompt + answer[:room], dtype=np.int32))
        prompt_lengths.append(len(prompt))
        ids.append(lesson.id)
    return _pack(rows, prompt_lengths, ids), counts


def _encode_prompts(lessons: Sequence[LessonText], tokenizer: Any) -> list[list[int]]:
    texts = [render(_messages(lesson), tokenizer) for lesson in lessons]
    return list(tokenizer(texts, add_special_tokens=False).input_ids) if texts else []


def _encode_answers(lessons: Sequence[LessonText], tokenizer: Any) -> list[list[int]]:
    """Encode answers; a control token spelled out in an answer stays text."""
    if tokenizer.eos_token_id is None:
        raise ModelError("expected a tokenizer with an end-of-text token, got none: an answer could not end")
    texts = [lesson.target for lesson in lessons]
    encoded = tokenizer(texts, add_special_tokens=False, split_special_tokens=True).input_ids if texts else []
    return [[*ids, tokenizer.eos_token_id] for ids in encoded]


def _messages(lesson: LessonText) -> list[Message]:
    user: Message = {"role": "user", "content": lesson.user}
    return [{"role": "system", "content": lesson.system}, user] if lesson.system else [user]


def _pack(rows: list[NDArray[np.int32]], prompt_lengths: list[int], ids: list[str]) -> EncodedLessons:
    starts = np.zeros(len(rows) + 1, dtype=np.int64)
    np.cumsum([len(row) for row in rows], out=starts[1:])
    tokens = np.concatenate(rows) if rows else np.zeros(0, dtype=np.int32)
    return EncodedLessons(tokens, starts, np.asarray(prompt_lengths, dtype=np.int32), tuple(ids))
