"""The extraction: a text in, its clinical entities out, each with its canonical form and polarity.

One parse (lexicons, quantities) and one pass for negation: a negator reaches the entities after it, up to a break, a
contrasting word or eight tokens. It knows no syntax beyond that. Pure, deterministic, safe in threads, without torch.
"""

from collections.abc import Sequence
from typing import Final

from medray.knowledge.entities.lexicon import Lexicon
from medray.knowledge.entities.parsing import parse
from medray.knowledge.entities.schema import ENTITY_TYPES, Extraction, Span, Unit

_ENDS_NEGATION: Final = frozenset({"but", "although", "however", "though", "yet", "because", "unless", "still"})
_REACH: Final = 8
_REPORTED: Final = frozenset(ENTITY_TYPES)


def extract(text: str, lexicon: Lexicon | None = None) -> Extraction:
    """Return the entities of `text` in order, with offsets into it."""
    return Extraction(tuple(_spans(text, parse(text, lexicon))))


def _spans(text: str, units: Sequence[Unit]) -> list[Span]:
    spans: list[Span] = []
    left = 0
    for unit in units:
        if unit.type == "break" or unit.normal in _ENDS_NEGATION:
            left = 0
        elif unit.type == "negation":
            left = _REACH
        if unit.type in _REPORTED and unit.normal:
            polarity = "negated" if left and unit.type != "negation" else "affirmed"
            spans.append(Span(unit.start, unit.end, unit.type, text[unit.start : unit.end], unit.normal, polarity))  # type: ignore[arg-type]
        left = max(0, left - 1)
    return spans
