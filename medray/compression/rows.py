"""The rows that compression is measured on: validation lessons, encoded exactly as they were for training.

Text stays in here: what comes out are token ids.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from medray.distillation.encoding import LessonText
from medray.distillation.encoding import encode as encode_lessons
from medray.errors import DataError


@dataclass(frozen=True)
class Row:
    """Token ids of one lesson, prompt first; the answer starts at `answer_start` (>= 1)."""

    ids: tuple[int, ...]
    answer_start: int

    def cut(self, max_tokens: int) -> "Row":
        """Return the row's first `max_tokens` tokens."""
        return Row(self.ids[:max_tokens], min(self.answer_start, max_tokens))


def draw(lessons: Sequence[LessonText], tokenizer: Any, *, rows: int, max_tokens: int, seed: int) -> list[Row]:
    """Draw `rows` lessons, the same ones for a seed, and encode those that fit. Raises DataError when none does."""
    chosen = list(lessons)
    Random(seed).shuffle(chosen)  # noqa: S311 - a sample, not a secret
    encoded, _ = encode_lessons(chosen[:rows], tokenizer, max_tokens=max_tokens, too_long="truncate")
    if not len(encoded):
        raise DataError(
            f"expected validation lessons whose prompts leave room within {max_tokens} tokens, got none of "
            f"{len(chosen[:rows])}: raise max_tokens or valid_share"
        )
    starts = encoded.prompt_lengths
    return [Row(tuple(encoded.row(i).tolist()), int(starts[i])) for i in range(len(encoded))]


def batches(rows: Sequence[Row], size: int) -> Iterator[list[Row]]:
    """Yield the rows by falling length, so that little is padding; the same batches for the same rows."""
    ordered = sorted(rows, key=lambda row: (-len(row.ids), row.ids))
    for start in range(0, len(ordered), size):
        yield list(ordered[start : start + size])
