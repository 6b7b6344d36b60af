"""What a task's name means: by which rules a row becomes an item. A name that says nothing is judged by the row."""

import re
from dataclasses import dataclass
from typing import Final, Literal

from medray.data.example import Example

Shape = Literal["exam", "decision", "open"]

DECISIONS: Final = ("yes", "no", "maybe")
_NO_CONTEXT: Final = "no_context"


@dataclass(frozen=True, slots=True)
class Family:
    """Rules shared by tasks whose names begin alike: the shape of rows and the field results are told apart by."""

    name: str
    shape: Shape
    stratum: str = ""


FAMILIES: Final = {
    family.name: family
    for family in (
        Family("medqa", "exam", "step"),
        Family("medmcqa", "exam", "subject"),
        Family("mmlu", "exam", "subject"),
        Family("pubmedqa", "decision"),
        Family("medquad", "open", "qtype"),
    )
}
_OWN: Final = {
    "exam": Family("exam", "exam", "subject"),
    "decision": FAMILIES["pubmedqa"],
    "open": Family("open", "open"),
}


def family_of(task: str, example: Example) -> Family:
    """Return the family of a task: by the first word of its name, else by the shape of a row."""
    named = FAMILIES.get(re.split("_", task, maxsplit=1)[0])
    return named or _OWN[shape_of(example)]


def shape_of(example: Example) -> Shape:
    """Return what a row can be asked as."""
    if example.options:
        return "exam"
    return "decision" if example.meta.get("decision") else "open"


def shows_context(task: str) -> bool:
    """Tell whether a task shows the passage that a question is about: all do but those named `..._no_context`."""
    return not task.endswith(f"_{_NO_CONTEXT}")
