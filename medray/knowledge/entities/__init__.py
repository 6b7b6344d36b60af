"""Clinical entities: what a medical text names, with canonical forms, for the distillation loss and the response cache.

`extract(text)` gives spans; `parse(text)` gives every unit, words included; `Lexicon.load(extra=path)` adds a user's
own names. Pure and deterministic; the lexicons are data files, loaded at first use.
"""

from medray.knowledge.entities.asks import Ask, find_asks
from medray.knowledge.entities.extraction import extract
from medray.knowledge.entities.lexicon import Lexicon
from medray.knowledge.entities.parsing import parse, parse_tokens
from medray.knowledge.entities.schema import ENTITY_TYPES, EntityType, Extraction, Polarity, Span, Unit
from medray.knowledge.entities.tokens import BREAK, Token, tokenize

__all__ = [
    "BREAK",
    "ENTITY_TYPES",
    "Ask",
    "EntityType",
    "Extraction",
    "Lexicon",
    "Polarity",
    "Span",
    "Token",
    "Unit",
    "extract",
    "find_asks",
    "parse",
    "parse_tokens",
    "tokenize",
]
