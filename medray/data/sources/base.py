"""The reader protocol, and what readers share: units of work, raw rows, checked fields.

A reader turns a file into units (a row group, a byte range, a bundle of documents) that can be read anywhere, a unit
into raw rows, and a raw row into an `Example`. A bad row is a `RowError` inside a reader and a `Reject` outside it; a
damaged file is a `DataError`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from medray.data.example import Example, Reason, Reject
from medray.data.sources.files import File
from medray.errors import DataError

HEAD_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Unit:
    """A piece of a corpus that one task reads.

    `locations` are opened, `sources` are their names in examples and rejects. `start` and `stop` are bytes or row
    groups as the reader means them; `first` is the position of the first row.
    """

    reader: str
    locations: tuple[str, ...]
    sources: tuple[str, ...]
    start: int = 0
    stop: int = 0
    first: int = 1


@dataclass(frozen=True, slots=True)
class Row:
    """A raw row: its place and its fields as the file gave them."""

    source: str
    position: int
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Head:
    """What detection looks at: a file and its first bytes."""

    file: File
    start: bytes


class RowError(Exception):
    """One row cannot be used. Never leaves the package."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason


class Reader(Protocol):
    """One corpus format."""

    name: str
    format: str
    question_key: str

    def recognises(self, head: Head) -> bool:
        """Tell from the first bytes whether a file is of this format."""

    def units(self, file: File, source: str, *, questions_only: bool) -> list[Unit]:
        """Cut a file into units. Raises DataError when the file as a whole cannot be used."""

    def rows(self, unit: Unit) -> Iterator[Row | Reject]:
        """Yield the rows of a unit in order. Raises DataError when the file is damaged."""

    def example(self, row: Row) -> Example:
        """Turn a row into an example. Raises RowError."""


def text_field(data: Mapping[str, Any], *keys: str) -> str:
    """Return the text under the first key present; null is empty. Raises RowError."""
    for key in keys:
        if key in data:
            return checked_text(data[key])
    raise RowError(Reason.MISSING_FIELD)


def checked_text(value: Any) -> str:
    """Return a value that must be text or null. Raises RowError; lone surrogates from JSON escapes are refused."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise RowError(Reason.NOT_TEXT)
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise RowError(Reason.NOT_UTF8) from None
    return value


def checked_options(value: Any) -> tuple[str, ...]:
    """Return two or more non-empty options. Raises RowError."""
    if not isinstance(value, Sequence) or isinstance(value, str | bytes) or not 2 <= len(value) <= 26:
        raise RowError(Reason.BAD_OPTIONS)
    options = tuple(checked_text(option) for option in value)
    if not all(option.strip() for option in options):
        raise RowError(Reason.BAD_OPTIONS)
    return options


def checked_index(value: Any, options: Sequence[str]) -> int:
    """Return the place of the correct option, from 0. Raises RowError when there is no key or it points nowhere."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < len(options):
        raise RowError(Reason.NO_KEY)
    return value


def meta_of(data: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, str]:
    """Return the corpus's own small fields that are non-empty text: our name -> text, from our name -> their key."""
    found = {name: data.get(key) for name, key in names.items()}
    return {name: checked_text(value) for name, value in found.items() if isinstance(value, str) and value.strip()}


def question_and_answer(row: Row, *, question: str, answer: str, focus: str, meta: Mapping[str, str]) -> Example:
    """Build a question-answer example; the focus, where there is one, is the group."""
    return Example(
        id=f"{row.source}#{row.position}",
        source=row.source,
        position=row.position,
        kind="qa",
        group=focus if focus.strip() else question,
        question=question,
        answer=answer,
        meta=meta,
    )


def exam(
    row: Row, *, question: str, options: tuple[str, ...], index: int, focus: str, meta: Mapping[str, str]
) -> Example:
    """Build an exam example; the focus, where there is one, is the group."""
    return Example(
        id=f"{row.source}#{row.position}",
        source=row.source,
        position=row.position,
        kind="exam",
        group=focus if focus.strip() else question,
        question=question,
        answer=options[index],
        options=options,
        answer_index=index,
        meta=meta,
    )


def damaged(source: str, expected: str, got: str) -> DataError:
    """Return the one error for a file that is not what it seemed."""
    return DataError(f"{source}: expected {expected}, got {got}: download or write the file again")
