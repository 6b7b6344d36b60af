"""Compare two profiles: every element that differs is a reason. Pure, no text, microseconds."""

from typing import Final, cast

from medray.inference.response_cache.equivalence.schema import Keys, Kind, Profile, Reason

_NAMES: Final[dict[str, str]] = {
    "question": "what is asked",
    "drug": "medicines",
    "finding": "findings, conditions or measurements",
    "dose": "doses",
    "number": "numbers",
    "negation": "negations",
    "direction": "directions or comparisons",
    "population": "who it is about",
    "route": "routes",
    "form": "dosage forms",
    "frequency": "frequencies",
    "duration": "durations",
    "laterality": "sides",
    "time": "times",
    "type": "types or severities",
    "unaccounted": "words",
    "role": "roles or order",
}


def compare(first: Profile, second: Profile) -> list[Reason]:
    """Return the reasons against equivalence, empty when there is none. Symmetric."""
    if first == second:
        return []
    reasons: list[Reason] = []
    for field, a, b in zip(Profile._fields, first, second, strict=True):
        if a != b:
            reasons.append(Reason(cast(Kind, field), _detail(field, a, b)))
    return reasons


def _detail(field: str, a: Keys, b: Keys) -> str:
    """Say how they differ in counts: a reason may reach a log, so it never holds a word of a question."""
    here, there = _count(a, b), _count(b, a)
    if not here and not there:
        return f"the {_NAMES[field]} stand in another order"
    only = (min(here, there), max(here, there))
    return f"the {_NAMES[field]} differ ({only[1]} in one question, {only[0]} in the other)"


def _count(a: Keys, b: Keys) -> int:
    """Return how many of `a` are not in `b`, repeated ones counted."""
    if not b:
        return len(a)
    left = list(b)
    more = 0
    for key in a:
        if key in left:
            left.remove(key)
        else:
            more += 1
    return more
