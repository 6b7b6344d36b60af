"""Wordings of one relation brought to one order: "people on A get B" and "get B from A" as "A causes B".

Items go in, items come out. Pure.
"""

from collections.abc import Sequence
from typing import Final

from medray.inference.response_cache.equivalence.items import Item

_DRUGS: Final = ("drug", "drug_class")
_ILLS: Final = ("finding", "lab")
_GOT: Final = frozenset({"get", "develop", "have", "experience", "suffer", "give"})
_PEOPLE: Final = frozenset({
    "people", "person", "patient", "someone", "somebody", "anyone", "anybody", "individual", "user", "you", "we", "one",
    "i", "those", "folk", "everyone",
})  # fmt: skip
_TAKING: Final = frozenset({"on", "take", "use", "receive", "give", "have"})
_HEADS: Final = frozenset({"disease", "procedure", "problem"})
"""Nouns that say nothing where the question names what they stand for ("is asthma a genetic disease")."""


def worded(items: list[Item]) -> list[Item]:
    """Return the items in their plain order."""
    form = items[-1].key
    found = _got_on(_got_from(items))
    return _drunk(_without_heads(found) if form != "open" else found)


def _got_from(items: list[Item]) -> list[Item]:
    """Read "can one get B from A" as "can A cause B"; A is not where somebody got it ("from dogs" is a source)."""
    for at in range(1, len(items) - 2):
        ill, source, agent = items[at], items[at + 1], items[at + 2]
        got = bool(_GOT & set(ill.before)) or items[at - 1].key == "may_have"
        if got and ill.type in _ILLS and source == Item("relation", "from", source.before):
            if agent.type not in ("drug", "drug_class", "finding") or agent.before:
                continue
            rest = [item for item in items[:at] if item.key not in ("may_have", "safe")]
            cause = Item("ask", "cause", ())
            return [*rest, agent._replace(before=("can",)), cause, ill._replace(before=()), *items[at + 3 :]]
    return items


def _got_on(items: list[Item]) -> list[Item]:
    """Read "do people on A get B" as "does A cause B"."""
    for at in range(len(items) - 2):
        if items[at + 1].key == "cause" and items[at + 2].type in _ILLS and _on(items[at]):
            return [*items[:at], items[at]._replace(before=("do",)), *items[at + 1 :]]
    if any(item.key == "cause" for item in items):
        return items
    for at in range(len(items) - 1):
        agent, ill = items[at], items[at + 1]
        words = set(agent.before)
        if ill.type in _ILLS and _on(agent):
            if not (_GOT & set(ill.before)) or not ({"do"} & words or _asks_why(items[:at])):
                continue
            cause = Item("ask", "cause", ())
            return [*items[:at], agent._replace(before=("do",)), cause, ill._replace(before=()), *items[at + 2 :]]
    return items


def _on(item: Item) -> bool:
    words = set(item.before)
    return item.type in _DRUGS and bool(words & _PEOPLE) and bool(words & {"on", "take", "use", "with"})


def _asks_why(items: Sequence[Item]) -> bool:
    return bool(items) and items[-1].key == "why"


def holds_people(item: Item) -> bool:
    """Tell `people on A`: who takes one medicine may take another with it."""
    words = set(item.before)
    return item.type in _DRUGS and ("on" in words or (bool(words & _PEOPLE) and bool(words & _TAKING)))


def _without_heads(items: list[Item]) -> list[Item]:
    """Leave out the noun of what something is said to be: "is it a hereditary condition"."""
    last = len(items) - 2
    if last < 2 or items[last] != Item("word", items[last].key, ()) or items[last].key not in _HEADS:
        return items
    named = [item for item in items[: last - 1] if item.type in ("finding", "drug")]
    said = items[last - 1]
    if not named or said.type in ("finding", "lab", "drug", "drug_class"):
        return items
    return [*items[:last], items[-1]]


def _drunk(items: list[Item]) -> list[Item]:
    """Read `drink` without anything drunk as drinking alcohol, beside a medicine."""
    for at, item in enumerate(items[:-1]):
        follows = items[at + 1]
        alone = {"on", "with", "while", "if", "when"} & set(follows.before) or follows.type in ("relation", "end")
        if item.key == "drink" and item.type == "word" and alone and any(other.type in _DRUGS for other in items):
            if any(other.key == "alcohol" for other in items):
                return items
            return [*items[:at], Item("drug", "alcohol", item.before), *items[at + 1 :]]
    return items


__all__ = ["holds_people", "worded"]
