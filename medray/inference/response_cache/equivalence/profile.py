"""The profile of a question: items sorted into the elements that decide, and the roles between them.

`profile(question)` is computed once per question and stored; comparing two profiles needs no text. Pure, deterministic.
The rules are about language (who acts, what a negation or a direction binds to), none is about a pair of questions.
"""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Final

from medray.inference.response_cache.equivalence.asking import asked
from medray.inference.response_cache.equivalence.bindings import bindings
from medray.inference.response_cache.equivalence.items import Item, items_of
from medray.inference.response_cache.equivalence.roles import roles
from medray.inference.response_cache.equivalence.schema import Keys, Profile
from medray.inference.response_cache.equivalence.wording import worded
from medray.knowledge.entities import Lexicon

_CHILD_MONTHS: Final = 216
_WOMEN: Final = frozenset(
    {
        "pregnant",
        "breastfeeding",
        "postpartum",
        "first trimester",
        "second trimester",
        "third trimester",
        "trying to conceive",
    }
)
_TRIMESTERS: Final = frozenset({"first trimester", "second trimester", "third trimester"})


def profile(question: str, lexicon: Lexicon | None = None) -> Profile:
    """Return the decisive elements of a question."""
    items = worded(items_of(question, lexicon))
    asks, items = asked(_without_periods(items))
    content = [item for item in items if item.type not in ("ask", "end")]
    return Profile(
        question=_sorted(asks),
        drug=_sorted(_keys(content, "drug", "drug_class")),
        finding=_sorted(_keys(content, "finding", "lab")),
        dose=_sorted(_keys(content, "dose")),
        number=_sorted(_keys(content, "number")),
        negation=_sorted(bindings(content, "negation")),
        direction=_sorted(
            key
            for key in bindings(content, "direction")
            if not ((key == "maximum" and "maximum" in asks) or (asks == ["recovery"] and key.startswith("after>")))
        ),
        population=_population(content),
        route=_sorted(_keys(content, "route")),
        form=_sorted(_keys(content, "form")),
        frequency=_sorted(_keys(content, "frequency")),
        duration=_sorted(_keys(content, "duration")),
        laterality=_sorted(_keys(content, "laterality")),
        time=_sorted(_keys(content, "time")),
        type=_sorted(bindings(content, "type")),
        unaccounted=_sorted(_words(content)),
        role=roles(asks, items),
    )


def _sorted(keys: Iterable[str]) -> Keys:
    return tuple(sorted(keys))


def _keys(items: Sequence[Item], *types: str) -> list[str]:
    return [item.key for item in items if item.type in types]


def _words(items: Sequence[Item]) -> list[str]:
    """Content words; `medicine` says nothing beside a named one."""
    named = any(item.type in ("drug", "drug_class") for item in items)
    plain = [item.key for item in items if item.type in ("word", "unit", "contraindication", "diagnostic_criterion")]
    return [key for key in plain if not (named and key == "medicine")]


def _without_periods(items: Sequence[Item]) -> list[Item]:
    """Leave out `during` before a state ("while breastfeeding"): the state says it."""
    return [
        item
        for item, follows in zip(items, [*items[1:], None], strict=True)
        if not (item.key == "during" and follows and follows.type == "population")
    ]


def _population(items: Sequence[Item]) -> Keys:
    """Groups, without what another of them implies: a pregnant woman is a woman, a 3-year-old child a child."""
    found = _keys(items, "population")
    pronouns = _keys(items, "pronoun")
    named = set(found)
    implied: set[str] = set()
    if named & _WOMEN:
        implied |= {"female", "mother"}
    if named & _TRIMESTERS:
        implied.add("pregnant")
    for key in found:
        if key.startswith("age ") and ".." not in key:
            implied.add("child" if _is_child(key) else "adult")
    if not named - implied or implied:
        named |= {key for key in pronouns if key not in implied}
    else:
        named |= {key for key in pronouns if key not in named}
    return tuple(sorted(named - implied))


def _is_child(age: str) -> bool:
    value = age.removeprefix("age ")
    if value.endswith("mo"):
        return Fraction(value[:-2]) < _CHILD_MONTHS
    return True
