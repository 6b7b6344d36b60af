"""A question as a list of items: what is left once courtesy and grammar are gone.

Text goes in; items (type, canonical key) come out in order, each with the little words that stood before it, which say
its role: `for asthma`, `with asthma`, `from asthma`. `A of B` is read as `B A`. Pure.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from medray.inference.response_cache.equivalence.vocabulary import vocabulary, without_courtesy
from medray.knowledge.entities import BREAK, Lexicon, Unit, parse_tokens, tokenize

QUESTION_WORDS: Final = frozenset({"how", "why", "when", "where", "who", "what", "which", "whose"})
_AUXILIARIES: Final = frozenset(
    {"be", "do", "can", "could", "should", "would", "will", "may", "might", "must", "have", "shall"}
)
_LEAVE: Final = frozenset({"can", "may", "could"})
_RELATIVE: Final = frozenset({"when", "which", "who", "what", "whose"})
"""Asking at the start of a clause, mere joints inside one."""
_NOUNS: Final = frozenset({"word", "drug", "drug_class", "finding", "lab", "dose", "number", "form"})
_PRONOUNS: Final = {"he": "male", "him": "male", "his": "male", "she": "female", "her": "female"}


class Item(NamedTuple):
    """One element of a question; `before` are the grammar words since the previous item."""

    type: str
    key: str
    before: tuple[str, ...]


def items_of(question: str, lexicon: Lexicon | None = None) -> list[Item]:
    """Return the items of a question, in order."""
    tokens = without_courtesy(tokenize(question))
    units = parse_tokens(tokens, lexicon)
    form = _form([token.normal for token in tokens])
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
            relative = unit.normal in _RELATIVE and bool(items) and not (before and before[-1] == BREAK)
            if relative or (unit.normal in known.grammar and unit.normal not in _PRONOUNS):
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
    items.append(Item("end", form, tuple(before)))
    return _compounds(items)


def _form(words: Sequence[str]) -> str:
    """Return `polar` for a question to answer with yes or no, `may` where it asks leave, `open` for any other."""
    starts = [word for at, word in enumerate(words) if word != BREAK and (not at or words[at - 1] == BREAK)]
    if any(word in QUESTION_WORDS for word in starts):
        return "open"
    leading = next((word for word in starts if word in _AUXILIARIES), "")
    if not leading:
        return "open"
    return "may" if leading in _LEAVE else "polar"


def _compounds(items: list[Item]) -> list[Item]:
    """Put `edema of ankle` in the order of `ankle edema`, so that both read alike."""
    out: list[Item] = []
    for item in items:
        named = bool(out) and item.type in _NOUNS and out[-1].type in _NOUNS
        if named and item.before == ("of",):
            head = out.pop()
            out += [item._replace(before=head.before), head._replace(before=())]
        else:
            out.append(item)
    return out


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
