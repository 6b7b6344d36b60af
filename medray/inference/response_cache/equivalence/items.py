"""A question as a list of items: what is left once courtesy and grammar are gone.

Text goes in; items (type, canonical key) come out in order, each with the little words that stood before it, which say
its role: `for asthma`, `with asthma`, `from asthma`. Pure.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from medray.inference.response_cache.equivalence.vocabulary import vocabulary, without_courtesy
from medray.knowledge.entities import Lexicon, Unit, parse_tokens, tokenize

_PRONOUNS: Final = {"he": "male", "him": "male", "his": "male", "she": "female", "her": "female"}


class Item(NamedTuple):
    """One element of a question; `before` are the grammar words since the previous item."""

    type: str
    key: str
    before: tuple[str, ...]


def items_of(question: str, lexicon: Lexicon | None = None) -> list[Item]:
    """Return the items of a question, in order."""
    units = parse_tokens(without_courtesy(tokenize(question)), lexicon)
    known = vocabulary()
    items: list[Item] = []
    before: list[str] = []
    at = 0
    while at < len(units):
        unit = units[at]
        if unit.type == "break" or (unit.type == "ask" and not unit.normal):
            before.append(unit.normal)
            at += 1
            continue
        if unit.type in ("word", "form", "unit", "direction", "type", "finding", "lab"):
            phrase, past = _synonym(units, at)
            if phrase is not None:
                items.append(Item("word", phrase, tuple(before)))
                before, at = [], past
                continue
        at += 1
        if unit.type in ("word", "unit"):
            if unit.normal in known.grammar and unit.normal not in _PRONOUNS:
                before.append(unit.normal)
                continue
            sex = _PRONOUNS.get(unit.normal)
            items.append(Item("pronoun", sex, tuple(before)) if sex else Item("word", unit.normal, tuple(before)))
        elif unit.type == "ask":
            items.extend(
                Item("direction" if n else "ask", kind, tuple(before)) for n, kind in enumerate(unit.normal.split("+"))
            )
        else:
            items.append(Item(unit.type, unit.normal, tuple(before)))
        before = []
    if before:
        items.append(Item("end", "", tuple(before)))
    return items


def _synonym(units: Sequence[Unit], at: int) -> tuple[str | None, int]:
    """Return the canonical form of the longest phrase of plain words from `at`, and the place past it."""
    known = vocabulary()
    if units[at].type != "word":
        return None, at
    past = at
    while past < len(units) and past - at < known.longest and units[past].type == "word":
        past += 1
    while past > at:
        canonical = known.synonyms.get(" ".join([unit.normal for unit in units[at:past]]))
        if canonical is not None:
            return canonical, past
        past -= 1
    return None, at
