"""What a corpus row becomes: an `Example`, or a `Reject` that says where and why without repeating any text."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["qa", "exam"]


class Reason(StrEnum):
    """Why a row is not used. Bad rows are damage and count towards `max_reject_share`; the rest are choices."""

    NOT_UTF8 = "not_utf8"
    NOT_JSON = "not_json"
    NOT_AN_OBJECT = "not_an_object"
    LINE_TOO_LONG = "line_too_long"
    MALFORMED_XML = "malformed_xml"
    XML_WITH_DTD = "xml_with_dtd"
    FILE_TOO_LARGE = "file_too_large"
    MISSING_FIELD = "missing_field"
    NOT_TEXT = "not_text"
    BAD_OPTIONS = "bad_options"
    NO_KEY = "no_key"

    EMPTY_QUESTION = "empty_question"
    EMPTY_ANSWER = "empty_answer"
    QUESTION_TOO_SHORT = "question_too_short"
    QUESTION_TOO_LONG = "question_too_long"
    ANSWER_TOO_SHORT = "answer_too_short"
    ANSWER_TOO_LONG = "answer_too_long"
    LEAK = "leak"
    EXACT_DUPLICATE = "exact_duplicate"
    NEAR_DUPLICATE = "near_duplicate"

    @property
    def is_bad(self) -> bool:
        """Whether the row itself is damaged or incomplete, rather than unwanted."""
        return self not in _UNWANTED


_UNWANTED = frozenset(
    {
        Reason.EMPTY_QUESTION,
        Reason.EMPTY_ANSWER,
        Reason.QUESTION_TOO_SHORT,
        Reason.QUESTION_TOO_LONG,
        Reason.ANSWER_TOO_SHORT,
        Reason.ANSWER_TOO_LONG,
        Reason.LEAK,
        Reason.EXACT_DUPLICATE,
        Reason.NEAR_DUPLICATE,
    }
)


@dataclass(frozen=True, slots=True)
class Example:
    """One usable row.

    `source` names the file, `position` the row, line or pair in it, from 1. `group` is what must not stand in two
    splits: the document's focus where there is one, else the question. For an exam `answer` is the text of the correct
    option and `answer_index` its place from 0; for question and answer `options` is empty. `meta` holds the corpus's
    own small fields (qid, url, explanation, ...).
    """

    id: str
    source: str
    position: int
    kind: Kind
    group: str
    question: str
    answer: str
    options: tuple[str, ...] = ()
    answer_index: int | None = None
    meta: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reject:
    """One row that is not used: where it stands and why, never what it says."""

    source: str
    position: int
    reason: Reason
