"""What is never cached nor served from the cache, whatever its similarity (pure, deterministic).

Emergencies, questions about a person, anything but a plain single-turn request, and text that these English rules
cannot judge. Where a rule is in doubt it refuses: a refusal costs a computation, a wrong serving could cost more.
Reasons are constants and never quote the question.
"""

import re
from dataclasses import dataclass
from typing import Final

from medray.inference.response_cache.personal import personal_reason
from medray.knowledge import classify


@dataclass(frozen=True, slots=True)
class RequestShape:
    """What of a request lies outside its question: only the plain shape is cached."""

    turns: int = 1  # messages of user and assistant
    own_system: bool = False  # the client brought a system message
    tools: bool = False
    n: int = 1
    other: bool = False  # anything else that changes the answer (response format, logit bias, stop texts ...)


PLAIN: Final = RequestShape()


@dataclass(frozen=True, slots=True)
class Screening:
    """The question's class and, if it must stay out of the cache, why."""

    category: str
    refusal: str | None


# Signs of danger in plain speech, beyond the classifier's lexicon; `classify` misses some (its report says how many).
_ACUTE: Final = re.compile(
    r"\b(?:(?:can'?t|cannot|can not|unable to|not|stopped|struggling to|hard to)"
    r" (?:breathe?|breathing|wake|move|swallow)\b"
    r"|chok(?:e|es|ed|ing)\b|unconscious|unresponsive|collaps(?:e|ed|ing)|passed out|faint(?:ed|ing)"
    r"|turn(?:ed|ing|s)? blue"
    r"|won'?t (?:wake|stop)|will not (?:wake|stop)|overdos\w*|poison\w*|swallowed|drank bleach|suicid\w*"
    r"|self[- ]harm\w*"
    r"|(?:kill|hurt|harm|end|cut)(?:ing)? (?:my|him|her|your|them|one)sel\w+|end (?:my|his|her|their|your) life"
    r"|want to die"
    r"|(?:heavy|severe|uncontrolled|massive|heavily) bleed\w*|bleed\w* (?:heavily|a lot|out)|gushing"
    r"|cough\w* (?:up )?blood"
    r"|vomit\w* (?:up )?blood|chest (?:pain|hurt\w*|pressure|tight\w*)|crushing|worst headache"
    r"|face (?:is )?droop\w*|slurred|seizing|having a (?:seizure|stroke|heart attack)"
    r"|(?:seizure|fit) (?:right )?now|throat (?:is )?(?:closing|swelling)|anaphyla\w*|emergency"
    r"|(?:call|dial|ring) (?:911|999|112)|ambulance|dying)\b",
    re.IGNORECASE,
)
_WORD: Final = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")
_FOREIGN_LETTER: Final = re.compile(r"[^\W\d_]")
# Enough English to be judged by rules written for English.
_ENGLISH: Final = frozenset(
    re.findall(
        r"\w+",
        "a an and any are as at be by can could do does during for from give have how i if in into is it of on or "
        "should than that the there these this to used what when where which while who why will with without would you "
        "your after before between cause causes symptoms treat about not",
    )
)
_JUDGED_FROM_WORDS: Final = 4


def screen(question: str, shape: RequestShape = PLAIN, *, max_characters: int = 2_000) -> Screening:
    """Return the class and the reason against caching, if any."""
    reason = _shape_reason(shape) or _text_reason(question, max_characters)
    if reason is not None:
        return Screening("general", reason)
    found = classify(question)
    if found.category == "emergency" or found.scores["emergency"] > 0 or _ACUTE.search(_plain(question)):
        return Screening("emergency", "emergency")
    return Screening(found.category, personal_reason(question))


def _shape_reason(shape: RequestShape) -> str | None:
    checks = (
        (shape.turns != 1, "conversation"),
        (shape.own_system, "own_system_message"),
        (shape.tools, "tools"),
        (shape.n != 1, "several_answers"),
        (shape.other, "special_request"),
    )
    return next((reason for wrong, reason in checks if wrong), None)


def _text_reason(question: str, max_characters: int) -> str | None:
    if len(question) > max_characters:
        return "too_long"
    words = [word.casefold() for word in _WORD.findall(_plain(question))]
    if not words:
        return "no_words"
    if any(ord(letter) > 0x24F and not _is_greek(letter) for letter in _FOREIGN_LETTER.findall(question)):
        return "language"
    if len(words) >= _JUDGED_FROM_WORDS and not any(word in _ENGLISH for word in words):
        return "language"
    return None


def _is_greek(letter: str) -> bool:
    """Greek letters are names in medicine (α-blocker, β2)."""
    return 0x370 <= ord(letter) <= 0x3FF


def _plain(question: str) -> str:
    return question.replace("’", "'").replace("‘", "'")
