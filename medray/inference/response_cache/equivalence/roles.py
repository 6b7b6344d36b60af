"""Which part each thing has where two of a kind stand in one question: then order or a preposition tells them apart.

Items go in, short keys come out (`drugs:warfarin>aspirin`, `context:asthma`). A question with one medicine, one finding
and any other words needs none of these: its words alone say what it is. Pure.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from medray.inference.response_cache.equivalence.actions import actions, is_read
from medray.inference.response_cache.equivalence.bindings import VERBS
from medray.inference.response_cache.equivalence.clauses import (
    DRUGS,
    FINDINGS,
    OPENS_ADJUNCT,
    PEOPLE,
    THINGS,
    VALUES,
    is_condition,
    without_adjuncts,
)
from medray.inference.response_cache.equivalence.items import Item
from medray.inference.response_cache.equivalence.schema import Keys
from medray.inference.response_cache.equivalence.vocabulary import vocabulary
from medray.knowledge.entities.spelling import known_verbs

_ATTRIBUTES: Final = (*VALUES, "frequency", "route", "form", "time", "laterality", "type", "direction", "negation")
_SIDE_BY_SIDE: Final = frozenset({
    "interaction", "difference", "better", "safe", "unsafe", "side_effects", "definition", "treatment", "risks",
})  # fmt: skip
_ACTING: Final = frozenset({"increase", "decrease", "worsen", "improve", "switch", "replace", "lead to"})
_CONTEXT: Final = frozenset({"with", "in", "while", "during", "who", "whose"})
_STATES: Final = frozenset({
    "pregnant", "breastfeeding", "postpartum", "first trimester", "second trimester", "third trimester",
    "trying to conceive",
})  # fmt: skip
_ALLOWED: Final = frozenset({"safe", "unsafe", "should", "interaction", "risks"})
_SPREADS: Final = frozenset({"spread", "pass", "transmit", "move", "radiate", "metastasize", "travel"})
_PARTICIPLE: Final = ("ed", "en", "wn", "ught")
_OPEN: Final = frozenset({"polar", "which", "safe", "how", "why", "when", "who", "where"})
_ABLE: Final = frozenset({"do", "can", "could", "may", "might", "will", "would", "should"})
_COMPARING: Final = frozenset({"difference", "better"})
_GIVING: Final = frozenset({"recovery", "efficacy", "prevention", "protect"})
_JOINED: Final = frozenset({"and", "or"})


def roles(asks: Sequence[str], items: Sequence[Item]) -> Keys:
    """Return the roles that a question gives its elements; `items` still hold the asks, in their places."""
    content = [item for item in items if item.type not in ("ask", "end")]
    moved = _moved(content)
    done = _told(asks, items)
    found = moved + _sources(asks, content)
    free = not moved and _side_by_side(asks, content) and not _acting(content)
    found += _order("drugs", [item for item in content if item.type in DRUGS], content, free=free)
    found += _order("values", [item for item in content if item.type in VALUES], content, free=False)
    found += _conditions(content, acted=bool(done), free=_compares(asks))
    found += _purpose(asks, items)
    found += _unread(asks, items)
    found += done
    found += _layout(content)
    found += _people(content)
    found += _sides(content)
    found += _alternatives(asks, content)
    found += _letters(content)
    return tuple(found)


def _compares(asks: Sequence[str]) -> bool:
    return bool(_COMPARING & set(asks)) and set(asks) <= _COMPARING | {"polar"}


def _told(asks: Sequence[str], items: Sequence[Item]) -> list[str]:
    """Return who acts, without what only repeats the question ("which effects can A cause", "what puts at risk")."""
    left_out = () if items[-1].key != "open" else ("symptoms:", "complications:", "risk_factors:")
    told = [key for key in actions(items) if not key.startswith(left_out or ("\0",))]
    return [key for key in told if "cause" in asks or not (key.startswith("cause:") and key.endswith(">"))]


def _side_by_side(asks: Sequence[str], content: Sequence[Item]) -> bool:
    """Tell questions about medicines together from those in which one does something to the other.

    A word that stands between two medicines may be a verb that no list holds ("blunts the effect of").
    """
    places = [at for at, item in enumerate(content) if item.type in DRUGS]
    between = content[places[0] : places[-1]] if places else []
    settled = set(asks) - {"polar", "which"}
    return bool(settled) and settled <= _SIDE_BY_SIDE and not any(item.type == "word" for item in between)


def _acting(content: Sequence[Item]) -> bool:
    return any(
        item.type == "negation" or item.key in _ACTING | VERBS or (item.type == "direction" and item.key in _EVENTS)
        for item in content
    )


_EVENTS: Final = frozenset({"before", "after"})


def _moved(content: Sequence[Item]) -> list[str]:
    """Words that give their neighbours different roles; `to` does so only beside a word of change."""
    keys = [item.key for item in content if item.type == "relation"]
    spreads = "to" in keys and bool(_SPREADS & {item.key for item in content})
    goes = "from" in keys and "to" in keys[keys.index("from") :]
    change = {"switch", "replace"} & set(keys) or goes or spreads
    found = [
        f"relation:{key}"
        for key in sorted(keys)
        if key not in ("to", "from", "because of") or (change and key != "because of")
    ]
    if change or {"instead of", "than", "then"} & set(keys):
        found.append(f"moved:{'>'.join(item.key for item in content if item.type in THINGS)}")
    return found


def _sources(asks: Sequence[str], content: Sequence[Item]) -> list[str]:
    """Say where something comes from, unless the question is about what good comes of it."""
    if _GIVING & set(asks):
        return []
    named = [f"from:{b.key}" for a, b in pairwise(content) if a.type == "relation" and a.key == "from"]
    unread = [
        f"by:{b.key}"
        for a, b in pairwise(content)
        if "by" in b.before and a.type == "word" and a.key.endswith(_PARTICIPLE) and a.key not in known_verbs()
    ]
    return named + unread


def _order(name: str, kept: Sequence[Item], content: Sequence[Item], *, free: bool) -> list[str]:
    places = [at for at, item in enumerate(content) if any(item is other for other in kept)]
    if len({item.key for item in kept}) < 2:
        return []
    keys = [content[at].key for at in places]
    listed = all(second == first + 1 and _JOINED & set(content[second].before) for first, second in pairwise(places))
    if free or (listed and name != "values"):
        keys = sorted(set(keys))
    return [f"{name}:{'>'.join(keys)}"]


def _conditions(content: Sequence[Item], *, acted: bool, free: bool) -> list[str]:
    """Say of several conditions which one is the setting of the other: by preposition, else by order."""
    labels: dict[str, bool] = {}
    inside = False
    for item in content:
        words = set(item.before)
        if not (words <= _JOINED | {""} and item.type != "word"):
            inside = bool(words & _CONTEXT) or ("have" in words and bool(words & {"if", "that", "when"}))
        elif item.type == "relation":
            inside = False
        if is_condition(item):
            labels.setdefault(item.key, inside)
    if len(labels) < 2 or acted:
        return []
    measured = {item.key for item in content if item.type == "lab"}
    felt = [key for key in labels if key in vocabulary().symptoms or key in measured]
    if len(labels) == 2 and len(felt) == 1:
        (ill,) = labels.keys() - set(felt)
        return [f"context:{felt[0]}"] if labels[felt[0]] and not labels[ill] else []
    if len(set(labels.values())) == 2 and not free:
        return [f"context:{key}" for key in sorted(labels) if labels[key]]
    return _order("conditions", [item for item in content if is_condition(item)], content, free=free)


def _unread(asks: Sequence[str], items: Sequence[Item]) -> list[str]:
    """Keep the order of what stands in a clause whose verb no list holds: "does stress frobnicate asthma"."""
    if set(asks) - _OPEN or any(is_read(item) for item in items):
        return []
    words = {word for item in items for word in item.before}
    if not words & _ABLE or "make" in words:
        return []
    plain, agents = without_adjuncts(items)
    needed = 1 if items[-1].key == "open" else 2  # "does it hurt" has nobody else to hurt
    keys = [item.key for item in plain]
    return [f"clause:{'>'.join(keys)}"] if len(set(keys)) > needed and not agents else []


def _purpose(asks: Sequence[str], items: Sequence[Item]) -> list[str]:
    """Tell what a medicine may be taken for from what someone has who may take it."""
    if not (_ALLOWED & set(asks) and any(item.type in DRUGS for item in items)):
        return []
    ills = [item for item in items if is_condition(item)]
    taken_for = {f"for:{item.key}" for item in ills if item.before[-1:] == ("for",)}
    got = {f"get:{item.key}" for item in ills if "get" in item.before}
    got |= {f"get:{b.key}" for a, b in pairwise(items) if (a.type, a.key) == ("ask", "may_have") and is_condition(b)}
    return sorted(taken_for | got)


def _layout(content: Sequence[Item]) -> list[str]:
    """With two medicines or two findings, each dose, time or severity belongs to one: keep the order of everything."""
    content = [item for item in content if (item.type, item.key) not in OPENS_ADJUNCT]  # they name what follows them
    if not any(item.type in _ATTRIBUTES for item in content):
        return []
    found = {item.key for item in content if item.type in FINDINGS and is_condition(item)}
    several = len(found) > 1 or len({item.key for item in content if item.type in DRUGS}) > 1
    if not several:
        return []
    kept = (*DRUGS, *FINDINGS, *_ATTRIBUTES)
    return [f"layout:{'>'.join(item.key for item in content if item.type in kept)}"]


def _people(content: Sequence[Item]) -> list[str]:
    """With two groups of people, what stands beside each matters: keep the order of everything."""
    people = {item.key for item in content if item.type in PEOPLE and not item.key.startswith("age ")} - _STATES
    if len(people) < 2:
        return []
    kept = (*PEOPLE, *DRUGS, *FINDINGS, "word", "negation", "pronoun", "direction", "type")
    return [f"people:{'>'.join(item.key for item in content if item.type in kept)}"]


def _sides(content: Sequence[Item]) -> list[str]:
    """With two sides, what is on which matters: keep the order of everything."""
    if len({item.key for item in content if item.type == "laterality"}) < 2:
        return []
    return [f"sides:{'>'.join(item.key for item in content if item.type in (*THINGS, 'laterality'))}"]


def _letters(content: Sequence[Item]) -> list[str]:
    """A group named by a letter or two belongs to what it stands beside: donor O, patient AB."""
    named = [at for at, item in enumerate(content) if item.type == "word" and len(item.key) < 3]
    if len(named) < 2:
        return []
    return [f"letters:{'>'.join(content[place].key for at in named for place in (at, at + 1) if place < len(content))}"]


def _alternatives(asks: Sequence[str], content: Sequence[Item]) -> list[str]:
    """`A or B` differs from `A and B` unless the question compares them."""
    if {"better", "difference"} & set(asks):
        return []
    return [
        f"or:{second.key}"
        for first, second in pairwise(content)
        if "or" in second.before and first.type in THINGS and second.type in THINGS
    ]
