"""Clauses and phrases of a question: which things stand in one clause, and which only in an adjunct of it.

Items go in, lists of items come out. An adjunct is what a preposition hangs on ("for two weeks", "in asthma"); it does
not act and is not acted on. Pure.
"""

from collections.abc import Sequence
from typing import Final

from medray.inference.response_cache.equivalence.items import Item
from medray.inference.response_cache.equivalence.vocabulary import vocabulary
from medray.knowledge.entities import BREAK

DRUGS: Final = ("drug", "drug_class")
FINDINGS: Final = ("finding", "lab")
PEOPLE: Final = ("population",)
VALUES: Final = ("dose", "number", "duration")
ACTORS: Final = (*DRUGS, *FINDINGS, "word", "form", "route", "time")
THINGS: Final = (*DRUGS, *FINDINGS, "word", "form", "route", "time", *VALUES, *PEOPLE)

_DISEASE_ENDINGS: Final = (
    "itis", "osis", "asis", "emia", "oma", "pathy", "algia", "uria", "penia", "plegia", "rrhea", "sclerosis", "trophy",
    "ectasia", "plasia", "cele", "lysis", "toxicity", "phobia", "mania", "paresis", "megaly", "pnea", "edema",
)  # fmt: skip
"""Endings by which a word that no lexicon holds is still read as a condition."""
_ADJUNCT: Final = frozenset(
    {"for", "with", "in", "on", "at", "from", "into", "about", "while", "if", "when", "as", "than"}
)
OPENS_ADJUNCT: Final = frozenset({
    *(("direction", word) for word in ("before", "after", "during", "until", "since")),
    ("negation", "without"), ("negation", "except"),
})  # fmt: skip
_QUALITIES: Final = frozenset({
    "common", "main", "young", "younger", "old", "older", "new", "correct", "clean", "regular", "long term", "usual",
})  # fmt: skip
"""Words that say how a thing is and never act."""
_INSIDE: Final = frozenset({"", "of", "and", "or"})
"""Words that go on with the phrase they stand in."""
_PRONOUNS: Final = frozenset({"it", "they", "that", "them", "one", "we", "you"})


def is_condition(item: Item) -> bool:
    """Tell whether an item names what someone has, be it one that only its ending gives away."""
    if item.type == "finding":
        return item.key not in vocabulary().procedures
    return item.type == "lab" or (item.type == "word" and len(item.key) > 6 and item.key.endswith(_DISEASE_ENDINGS))


def clause_of(items: Sequence[Item], at: int) -> tuple[int, int]:
    """Return the range of items of the clause that `at` stands in."""
    first = at
    while first > 0 and BREAK not in items[first].before:
        first -= 1
    past = at + 1
    while past < len(items) and BREAK not in items[past].before:
        past += 1
    return first, past


def arguments(items: Sequence[Item], at: int) -> tuple[list[Item], list[Item], list[Item]]:
    """Return what stands before an acting word, what after it, and what `by` names; adjuncts left out."""
    first, past = clause_of(items, at)
    before, by = without_adjuncts(items[first:at])
    after, named = without_adjuncts(items[at + 1 : past])
    topic = [item for item in items[:first] if item.type in ACTORS]
    if not before and first and _PRONOUNS & set(items[at].before):
        before = topic
    return before, after, by + named


def without_adjuncts(items: Sequence[Item]) -> tuple[list[Item], list[Item]]:
    """Return the actors outside adjuncts, and those after `by`."""
    plain: list[Item] = []
    agents: list[Item] = []
    place: list[Item] | None = plain
    for item in items:
        words = set(item.before)
        if "by" in words:
            place = agents
        elif words & _ADJUNCT or (item.type, item.key) in OPENS_ADJUNCT or item.type == "relation":
            place = None
        elif words - _INSIDE:
            place = plain
        if (
            place is not None
            and item.key not in _QUALITIES
            and (item.type in ACTORS or (item.type in PEOPLE and place is agents))
        ):
            place.append(item)
    return plain, agents


def side(items: Sequence[Item]) -> str:
    """Return the names of one side, sorted."""
    return "+".join(sorted({item.key for item in items}))
