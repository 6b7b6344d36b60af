"""Different questions about medicines in any number, each in two wordings that mean the same (own writing)."""

from functools import cache
from importlib.resources import files
from typing import Final

_ASKS: Final = (
    ("What are the side effects of {}", "What side effects does {} have"),
    ("How does {} work", "What is the mechanism of action of {}"),
    ("What is the maximum daily dose of {}", "What is the highest daily dose of {}"),
    ("What are the contraindications of {}", "What are the contraindications to {}"),
    ("How should {} be stored", "How do you store {}"),
    ("What is {} used for", "What are the uses of {}"),
    ("Does {} interact with warfarin", "Is there an interaction of {} with warfarin"),
    ("Does {} cause headache", "Can {} cause a headache"),
    ("How long does {} take to work", "How long before {} works"),
    ("Is {} safe", "Is it safe to take {}"),
)
_FOR: Final = (
    "",
    " in adults",
    " in children",
    " in pregnancy",
    " in kidney failure",
    " in liver disease",
    " in asthma",
    " in heart failure",
    " in gout",
    " in diabetes",
)


@cache
def _drugs() -> tuple[str, ...]:
    text = files("medray.knowledge.entities").joinpath("data/drug_names.txt").read_text(encoding="utf-8")
    return tuple(line for line in text.splitlines() if line and not line.startswith("#"))


def how_many() -> int:
    """Return how many different questions there are."""
    return len(_drugs()) * len(_ASKS) * len(_FOR)


def question(number: int, wording: int = 0) -> str:
    """Return a question by number, in its first or second wording."""
    rest, drug = divmod(number, len(_drugs()))
    ask, population = divmod(rest, len(_FOR))
    return _ASKS[ask % len(_ASKS)][wording].format(_drugs()[drug]) + _FOR[population] + "?"
