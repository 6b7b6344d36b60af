"""Rows whose tokens are marked where medical terms and numbers stand, in the question and in the answer.

A row is a lesson encoded exactly as for training; the marks come from character offsets of the same encoding. The
system prompt is not marked: it is the same in every row. Text stays in here.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final, Literal

from medray.compression.rows import Row
from medray.distillation.encoding import LessonText
from medray.distillation.encoding import encode as encode_lessons
from medray.errors import DataError, ModelError
from medray.knowledge.entities import EntityType, extract
from medray.knowledge.prompts import Message, render

Kind = Literal["term", "number"]
KINDS: Final[tuple[Kind, ...]] = ("term", "number")
_NUMBERS: Final[frozenset[EntityType]] = frozenset({"dose", "number", "frequency", "duration"})
_TERMS: Final[frozenset[EntityType]] = frozenset(
    {"drug", "drug_class", "lab", "route", "form", "population", "contraindication", "diagnostic_criterion", "finding"}
)


@dataclass(frozen=True)
class Marked:
    """A row and, for each of its tokens, whether it is part of a term or a number."""

    row: Row
    marks: tuple[Kind | None, ...]

    @property
    def targets(self) -> tuple[int, ...]:
        """The positions of marked answer tokens: what loss and KL are measured on."""
        return tuple(at for at in range(self.row.answer_start, len(self.marks)) if self.marks[at])


def mark(lessons: Sequence[LessonText], tokenizer: Any, *, rows: int, max_tokens: int, seed: int) -> list[Marked]:
    """Draw `rows` lessons, the same for a seed, and mark those that fit and whose answers hold a term or a number.

    Raises DataError when none does, ModelError for a tokenizer without character offsets.
    """
    chosen = list(lessons)
    Random(seed).shuffle(chosen)  # noqa: S311 - a sample, not a secret
    found: list[Marked] = []
    for lesson in chosen:
        if len(found) == rows:
            break
        found += [one for one in _marked(lesson, tokenizer, max_tokens) if one.targets]
    if not found:
        raise DataError(
            f"expected lessons with medical terms or numbers in their answers within {max_tokens} tokens, got none of "
            f"{len(chosen)}: raise max_tokens or give more data"
        )
    return found


def _marked(lesson: LessonText, tokenizer: Any, max_tokens: int) -> Iterator[Marked]:
    encoded, _ = encode_lessons([lesson], tokenizer, max_tokens=max_tokens, too_long="truncate")
    if not len(encoded):
        return
    ids, start = tuple(encoded.row(0).tolist()), int(encoded.prompt_lengths[0])
    prompt, asked = _prompt(lesson, tokenizer)
    marks = _marks(prompt, ids[:start], tokenizer, *asked, split_special_tokens=False)
    answer = lesson.target
    marks += _marks(answer, ids[start:], tokenizer, 0, len(answer), split_special_tokens=True)
    yield Marked(Row(ids, start), tuple(marks))


def _prompt(lesson: LessonText, tokenizer: Any) -> tuple[str, tuple[int, int]]:
    """Return the rendered prompt and where the question stands in it; nowhere when the template changed it."""
    user: Message = {"role": "user", "content": lesson.user}
    messages: list[Message] = [{"role": "system", "content": lesson.system}, user] if lesson.system else [user]
    text = render(messages, tokenizer)
    question = lesson.user.strip()
    at = text.rfind(question)
    return text, (at, at + len(question)) if at >= 0 else (0, 0)


def _marks(
    text: str, ids: Sequence[int], tokenizer: Any, first: int, last: int, *, split_special_tokens: bool
) -> list[Kind | None]:
    """Mark the tokens of text[first:last]; `ids` encodes the text, possibly cut, possibly with an end token."""
    try:
        encoding = tokenizer(
            text, add_special_tokens=False, return_offsets_mapping=True, split_special_tokens=split_special_tokens
        )
    except NotImplementedError:
        raise ModelError("expected a fast tokenizer, which knows character offsets, got a slow one") from None
    offsets = encoding.offset_mapping[: len(ids)]
    if list(encoding.input_ids[: len(ids)]) != list(ids[: len(offsets)]) or len(ids) - len(offsets) > 1:
        raise ModelError("expected the tokenizer to encode a row as it was encoded for training, got other tokens")
    kinds = _characters(text[first:last])
    marks: list[Kind | None] = [_kind(kinds[max(a - first, 0) : max(b - first, 0)]) for a, b in offsets]
    return marks + [None] * (len(ids) - len(offsets))


def _characters(text: str) -> list[Kind | None]:
    kinds: list[Kind | None] = [None] * len(text)
    for span in extract(text).spans:
        kind: Kind | None = "number" if span.type in _NUMBERS else "term" if span.type in _TERMS else None
        if kind:
            kinds[span.start : span.end] = [kind] * (span.end - span.start)
    return kinds


def _kind(characters: Sequence[Kind | None]) -> Kind | None:
    """A token is marked when any of its characters is; numbers come first."""
    return next((kind for kind in reversed(KINDS) if kind in characters), None)
