"""What an extraction is made of: the entity types, a unit of text, and the extraction. Plain data."""

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, TypeAlias, get_args

EntityType: TypeAlias = Literal[
    "drug",
    "drug_class",
    "dose",
    "number",
    "lab",
    "route",
    "form",
    "frequency",
    "duration",
    "population",
    "contraindication",
    "diagnostic_criterion",
    "finding",
    "negation",
    "laterality",
    "time",
    "type",
    "direction",
    "relation",
    "ask",
]
"""Types that an extraction reports; `relation` and `negation` are the words that carry roles and polarity."""

ENTITY_TYPES: Final[tuple[EntityType, ...]] = get_args(EntityType)

UnitType: TypeAlias = EntityType | Literal["unit", "word", "break"]
"""A unit of a parsed text: an entity, a unit of measure left alone, any other word, or a break between clauses."""

Polarity: TypeAlias = Literal["affirmed", "negated"]


class Unit(NamedTuple):
    """A piece of text[start:end] that is read as one thing; `normal` is its canonical form."""

    type: UnitType
    normal: str
    start: int
    end: int


class Span(NamedTuple):
    """An entity: text[start:end] as written, its canonical form and whether a negation reaches it."""

    start: int
    end: int
    type: EntityType
    surface: str
    normal: str
    polarity: Polarity = "affirmed"


@dataclass(frozen=True, slots=True)
class Extraction:
    """The entities of one text, in order, not overlapping."""

    spans: tuple[Span, ...]

    def of(self, *types: EntityType) -> tuple[Span, ...]:
        """Return the spans of the given types."""
        return tuple(span for span in self.spans if span.type in types)

    def normals(self, *types: EntityType) -> tuple[str, ...]:
        """Return the canonical forms of the given types, in order."""
        return tuple(span.normal for span in self.of(*types))
