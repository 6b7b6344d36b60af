"""The seam to the clinical-equivalence rules: what the cache needs of them, and their production side.

A profile is computed once per question; a look-up compares profiles and re-reads no text. Terms are the question's
words in canonical form (synonyms resolved), for similarity only: nothing is ever served because terms agree.
"""

from collections.abc import Sequence
from typing import Any, Final, Protocol

from medray.inference.response_cache.equivalence import Profile, compare, profile
from medray.inference.response_cache.equivalence.schema import Keys
from medray.knowledge.entities import Extraction, extract

_ELEMENTS: Final = tuple(name for name in Profile._fields if name not in ("question", "role"))
_AUDITED: Final = ("drug", "dose", "direction", "route", "frequency")
_PROFILE_BYTES: Final = 300
_TUPLE_BYTES: Final = 64
_TEXT_BYTES: Final = 60


class Equivalence(Protocol):
    """Decides whether the answer to one question may serve another. Pure and thread-safe."""

    def profile(self, text: str) -> Any:
        """Return the decisive elements of a question."""
        ...

    def compare(self, a: Any, b: Any) -> Sequence[str]:
        """Return the reasons against equivalence of two profiles; none means equivalent."""
        ...

    def terms(self, text: str, profile: Any) -> frozenset[str]:
        """Return the question's canonical terms."""
        ...

    def size_bytes(self, profile: Any) -> int:
        """Estimate, on the high side, what a profile takes in memory."""
        ...

    def conflicts(self, a: str, b: str) -> Sequence[str]:
        """Return where two answers to one question differ in entities, doses, negation or direction of advice."""
        ...


class ClinicalRules:
    """The rules of `response_cache.equivalence`, and what the audit asks of two answers."""

    def profile(self, text: str) -> Profile:
        """Return the decisive elements of a question."""
        return profile(text)

    def compare(self, a: Profile, b: Profile) -> Sequence[str]:
        """Return the reasons against equivalence, each "kind: description", none with a word of a question."""
        return [str(reason) for reason in compare(a, b)]

    def terms(self, text: str, profile: Profile) -> frozenset[str]:
        """Return all elements but what is asked and in which role; none at all if nothing was recognised."""
        elements = frozenset(key for name in _ELEMENTS for key in getattr(profile, name))
        return elements | {f"?{key}" for key in profile.question} if elements else frozenset()

    def size_bytes(self, profile: Profile) -> int:
        """Estimate what a profile takes in memory."""
        return _PROFILE_BYTES + sum(_TUPLE_BYTES + sum(_TEXT_BYTES + len(key) for key in keys) for keys in profile)

    def conflicts(self, a: str, b: str) -> Sequence[str]:
        """Return the kinds in which two answers contradict each other.

        One may say more than the other. Contradiction: each names medicines, doses or directions that the other does
        not, or one denies what the other affirms.
        """
        first, second = profile(a), profile(b)
        found = [name for name in _AUDITED if _each_has_more(getattr(first, name), getattr(second, name))]
        return found + (["negation"] if _denies(extract(a), extract(b)) else [])


def _each_has_more(a: Keys, b: Keys) -> bool:
    return bool(set(a) - set(b)) and bool(set(b) - set(a))


def _denies(a: Extraction, b: Extraction) -> bool:
    """Tell whether something that both name is always negated in one and never in the other."""
    first, second = _polarities(a), _polarities(b)
    return any(first[name].isdisjoint(second[name]) for name in first.keys() & second.keys())


def _polarities(extraction: Extraction) -> dict[tuple[str, str], set[str]]:
    found: dict[tuple[str, str], set[str]] = {}
    for span in extraction.of("drug", "drug_class", "finding", "population", "route"):
        found.setdefault((span.type, span.normal), set()).add(span.polarity)
    return found
