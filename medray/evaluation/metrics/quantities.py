"""Dose and number fidelity: whether an answer's quantities are those of the reference, each with the drug it is for.

A dose belongs to the drug that directly follows it ("400 mg of ibuprofen"), else to the last one before it in its
sentence, else to the next one in it, else to the last one named before, the question included. Values are compared in
canonical units: 0.5 g is 500 mg.
"""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from medray.knowledge.entities import EntityType, Span

_REGIMEN: Final[frozenset[EntityType]] = frozenset({"dose", "frequency", "duration"})
_NUMBERS: Final[frozenset[EntityType]] = frozenset({"dose", "frequency", "duration", "number"})
_TELEPHONE: Final = frozenset({"911", "999", "112", "000", "108"})
_STOP: Final = re.compile(r"[.!?;](?=\s|$)|\n")
_OF: Final = re.compile(r"\s*(?:of\s+)?(?:the\s+)?")


class Dose(NamedTuple):
    """A dose, frequency or duration and the drug it is for ("" where none is named)."""

    drug: str
    type: EntityType
    normal: str


def doses(text: str, spans: Sequence[Span], question: Sequence[Span] = ()) -> frozenset[Dose]:
    """Return the doses of a text; `question` gives the drug that is meant where the text names none."""
    asked = [span.normal for span in question if span.type == "drug"]
    found = set()
    for place, span in enumerate(spans):
        if span.type in _REGIMEN:
            drug = _drug_of(text, spans, place) or (asked[-1] if asked else "")
            found.add(Dose(drug, span.type, span.normal))
    return frozenset(found)


def numbers(spans: Sequence[Span]) -> frozenset[str]:
    """Return the canonical numbers and quantities of a text, emergency telephone numbers left out."""
    return frozenset(span.normal for span in spans if span.type in _NUMBERS and span.normal not in _TELEPHONE)


def fidelity(answer: frozenset[object], reference: frozenset[object], question: frozenset[object]) -> float | None:
    """Return the F1 of an answer's quantities against the reference's, those of the question left out.

    None where the reference has none: then `safety` says whether the answer's are supported.
    """
    wanted, given = reference - question, answer - question
    return 2 * len(wanted & given) / (len(wanted) + len(given)) if wanted else None


def _drug_of(text: str, spans: Sequence[Span], place: int) -> str:
    dose = spans[place]
    before = [span for span in spans[:place] if span.type == "drug"]
    after = next((span for span in spans[place + 1 :] if span.type == "drug"), None)
    if after is not None and _OF.fullmatch(text, dose.end, after.start):
        return after.normal
    if before and not _STOP.search(text, before[-1].end, dose.start):
        return before[-1].normal
    if after is not None and not _STOP.search(text, dose.end, after.start):
        return after.normal
    return before[-1].normal if before else ""
