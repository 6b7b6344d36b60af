"""Row-level cleaning: one form for all text, and bounds on what is kept. Pure; knows no other row."""

from dataclasses import replace

from medray.data.config import LengthBounds
from medray.data.example import Example, Reason, Reject
from medray.data.text import group_key, normalise, one_line


def normalised(example: Example) -> Example:
    """Return the example with its texts normalised and its group folded."""
    options = tuple(one_line(option) for option in example.options)
    question = normalise(example.question)
    answer = normalise(example.answer) if example.answer_index is None else options[example.answer_index]
    return replace(
        example,
        group=group_key(example.group) or group_key(question),
        question=question,
        answer=answer,
        options=options,
        meta={key: normalise(value) for key, value in example.meta.items()},
    )


def clean(example: Example, bounds: LengthBounds) -> Example | Reject:
    """Return the normalised example, or the reason why it is dropped."""
    kept = normalised(example)
    reason = _refusal(kept, bounds)
    return Reject(kept.source, kept.position, reason) if reason else kept


def _refusal(example: Example, bounds: LengthBounds) -> Reason | None:
    question_chars, answer_chars = len(example.question), len(example.answer)
    checks = (
        (not question_chars, Reason.EMPTY_QUESTION),
        (not answer_chars, Reason.EMPTY_ANSWER),
        (not all(example.options), Reason.BAD_OPTIONS),
        (question_chars < bounds.min_question_chars, Reason.QUESTION_TOO_SHORT),
        (question_chars > bounds.max_question_chars, Reason.QUESTION_TOO_LONG),
        (example.kind == "qa" and answer_chars < bounds.min_answer_chars, Reason.ANSWER_TOO_SHORT),
        (max([answer_chars, *map(len, example.options)]) > bounds.max_answer_chars, Reason.ANSWER_TOO_LONG),
    )
    return next((reason for failed, reason in checks if failed), None)
