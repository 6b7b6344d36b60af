"""The medical concepts of a text with their polarity: what coverage and entity F1 compare.

A concept is a type and a canonical form, so synonyms are one. It is affirmed, negated, or both in different places.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias

from medray.knowledge.entities import EntityType, Lexicon, Polarity, Span, extract

Concept: TypeAlias = tuple[EntityType, str]
Concepts: TypeAlias = Mapping[Concept, frozenset[Polarity]]

CORE: Final[frozenset[EntityType]] = frozenset({
    "drug", "drug_class", "dose", "lab", "number", "route", "form", "frequency", "duration", "population", "finding",
    "contraindication", "diagnostic_criterion",
})  # fmt: skip
"""Types that count as knowledge; words of role, side and time do not, nor numbers without a unit."""

TREATMENT: Final[frozenset[EntityType]] = frozenset({
    "drug", "drug_class", "dose", "route", "form", "frequency", "duration", "contraindication",
})  # fmt: skip
"""Types that say how to treat."""


def concepts(text: str, lexicon: Lexicon | None = None, types: frozenset[EntityType] = CORE) -> Concepts:
    """Return the concepts of a text."""
    return of_spans(extract(text, lexicon).spans, types)


def of_spans(spans: Iterable[Span], types: frozenset[EntityType] = CORE) -> Concepts:
    """Return the concepts of spans."""
    found: dict[Concept, set[Polarity]] = defaultdict(set)
    for span in spans:
        if span.type in types and not span.normal.replace(".", "").isdecimal():
            found[span.type, span.normal].add(span.polarity)
    return {concept: frozenset(polarities) for concept, polarities in found.items()}


def beyond(own: Concepts, question: Concepts) -> Concepts:
    """Return the concepts that the question does not hold with the same polarity: repeating it earns nothing."""
    return {concept: kept for concept, kept in own.items() if not kept <= question.get(concept, frozenset())}


def shared(one: Concepts, other: Concepts) -> frozenset[Concept]:
    """Return the concepts that both hold with a common polarity."""
    return frozenset(concept for concept, kept in one.items() if kept & other.get(concept, frozenset()))
