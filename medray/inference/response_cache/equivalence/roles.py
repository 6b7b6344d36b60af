"""Who does what to whom: what negations and directions bind to, and whether order matters.

Items go in, short keys come out (`stop>warfarin`, `cause:stress>asthma`). Order is kept among things of one kind,
unless they merely stand side by side ("A and B", or "A with B" in a question of interaction). Around a word that
acts, what stands before it and what after it are kept apart, turned round in the passive. Pure.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from medray.inference.response_cache.equivalence.items import Item
from medray.inference.response_cache.equivalence.schema import Keys
from medray.knowledge.entities import BREAK
from medray.knowledge.entities.spelling import known_verbs

_DRUGS: Final = ("drug", "drug_class")
_FINDINGS: Final = ("finding", "lab")
_MATTERS: Final = (*_FINDINGS, "word", "route", "form")
_PEOPLE: Final = ("population",)
_VALUES: Final = ("dose", "number", "duration")
_ATTRIBUTES: Final = (*_VALUES, "frequency", "route", "form", "time", "laterality", "type", "direction", "negation")
_THINGS: Final = (*_DRUGS, *_FINDINGS, "word", "form", "route", "time", *_VALUES, *_PEOPLE)
_ACTORS: Final = (*_DRUGS, *_FINDINGS, "word", "form", "route", "time")

_SIDE_BY_SIDE: Final = frozenset(
    {"interaction", "difference", "better", "safe", "unsafe", "side_effects", "definition", "treatment", "risks"}
)
_ACTING_ASKS: Final = frozenset({"cause", "side_effect_of", "prevention", "better_than", "transmission"})
_ASKED_AS: Final = {"side_effect_of": "cause"}
_ACTING: Final = frozenset({"increase", "decrease", "worsen", "improve", "switch", "replace", "lead to"})
_NEEDS_TWO: Final = frozenset({"transmission", "prevention"})
"""Acting words whose one thing is always what is acted on, wherever it stands."""
_VERBS: Final = frozenset({"start", "stop", "continue", "restart", "increase", "decrease", "double", "half"})
_UNBOUND: Final = frozenset({"maximum", "minimum", "first", "last", "normal", "only"})
_NEAR: Final = frozenset({"for", "with", "have", "if", "get", "suffer", "when", "by", "in"})
_CARRIERS: Final = frozenset({"type", "direction", "laterality", "population"})
_TAKEN_FOR: Final = frozenset({"dose", "course", "frequency", "how_to_take", "duration", "treatment", "efficacy"})


def bindings(items: Sequence[Item], kind: str) -> list[str]:
    """Return each item of `kind` with the thing it binds to: the next one, or the one before a passive verb."""
    single = len({item.key for item in items if item.type in _DRUGS}) < 2
    found: list[str] = []
    for at, item in enumerate(items):
        if item.type == kind:
            target = "" if single and item.key in _UNBOUND else _target(items, at)
            key = f"{item.key}>{target}" if target else item.key
            if key not in found:
                found.append(key)
    return found


def _target(items: Sequence[Item], at: int) -> str:
    item = items[at]
    drugs = {other.key for other in items if other.type in _DRUGS}
    if item.key in _VERBS and len(drugs) == 1:
        return drugs.pop()
    ahead = ""
    for other in items[at + 1 :]:
        if BREAK in other.before:
            break
        if other.type in _THINGS:
            ahead = other.key
            break
    behind = next((other.key for other in reversed(items[:at]) if other.type in _THINGS), "")
    passive = item.key in _VERBS and "be" in item.before
    return (behind or ahead) if passive else (ahead or behind)


def roles(asks: Sequence[str], items: Sequence[Item]) -> Keys:
    """Return the roles that a question gives its elements; `items` still hold the asks, in their places."""
    content = [item for item in items if item.type not in ("ask", "end")]
    found = _relations(content)
    found += [f"from:{b.key}" for a, b in pairwise(content) if a.type == "relation" and a.key == "from"]
    acting = bool(found) or any(item.type == "negation" or item.key in _ACTING | _VERBS for item in content)
    acting = acting or any(item.type == "direction" and item.key in ("before", "after") for item in content)
    free = not acting and set(asks) <= _SIDE_BY_SIDE
    found += _order("drugs", [item for item in content if item.type in _DRUGS], content, free=free)
    found += _order("values", [item for item in content if item.type in _VALUES], content, free=False)
    settings = _settings(asks, items)
    if has_agent(items, asks):
        settings = [(item, role) for item, role in settings if role != "from" and _stands_in(item)]
    else:
        core = [item for item, role in settings if not role and not _is_verb(item)]
        found += _order("matters", core, content, free=False)
    found += sorted(f"{role}:{item.key}" for item, role in settings if role)
    found += _actions(items, asks)
    found += _layout(content)
    found += _people(content)
    found += _alternatives(asks, content)
    return tuple(found)


def _relations(content: Sequence[Item]) -> list[str]:
    """Words that give their neighbours different roles; `to` does so only beside a word of change."""
    keys = [item.key for item in content if item.type == "relation"]
    moved = bool({"from", "switch", "replace"} & set(keys))
    found = [f"relation:{key}" for key in sorted(keys) if key not in ("to", "from") or moved]
    if found and (moved or "instead of" in keys or "than" in keys or "then" in keys):
        found.append(f"moved:{'>'.join(item.key for item in content if item.type in _THINGS)}")
    return found


def _order(name: str, kept: Sequence[Item], content: Sequence[Item], *, free: bool) -> list[str]:
    places = [at for at, item in enumerate(content) if any(item is other for other in kept)]
    if len(places) < 2:
        return []
    keys = [content[at].key for at in places]
    joined = {"and", "or"}
    listed = all(second == first + 1 and joined & set(content[second].before) for first, second in pairwise(places))
    if free or (listed and name != "values"):
        keys = sorted(set(keys))
    return [f"{name}:{'>'.join(keys)}"]


def _layout(content: Sequence[Item]) -> list[str]:
    """With two medicines or two findings, each dose, time or severity belongs to one: keep the order of everything."""
    if not any(item.type in _ATTRIBUTES for item in content):
        return []
    several = any(len({item.key for item in content if item.type in types}) > 1 for types in (_DRUGS, _FINDINGS))
    if not several:
        return []
    kept = (*_DRUGS, *_FINDINGS, *_ATTRIBUTES)
    return [f"layout:{'>'.join(item.key for item in content if item.type in kept)}"]


def _people(content: Sequence[Item]) -> list[str]:
    """With two groups of people, what stands beside each matters: keep the order of everything."""
    people = {item.key for item in content if item.type in _PEOPLE and not item.key.startswith("age ")}
    if len(people) < 2:
        return []
    kept = (*_PEOPLE, *_DRUGS, *_FINDINGS, "word", "negation", "pronoun")
    return [f"people:{'>'.join(item.key for item in content if item.type in kept)}"]


def _actions(items: Sequence[Item], asks: Sequence[str]) -> list[str]:
    """Say of each acting word what stands before it and what after it."""
    found: list[str] = []
    for at, item in enumerate(items):
        acts = item.type == "ask" and item.key in _ACTING_ASKS and _ASKED_AS.get(item.key, item.key) in asks
        acts = acts or (item.type in ("direction", "relation") and item.key in _ACTING) or _is_verb(item)
        if not acts:
            continue
        before, after = _side(items[:at]), _side(items[at + 1 :])
        name = item.key
        if name in _NEEDS_TWO and not (before and after):
            continue
        if name == "side_effect_of":
            name, before, after = "cause", after, before
        elif _is_passive(items, at):
            named = "by" in (items[at + 1].before if at + 1 < len(items) else ())
            others = [other for place, other in enumerate(items) if place != at]
            before, after = (after, before) if named else ("", _side(others))
        if before or after:
            found.append(f"{name}:{before}>{after}")
    return sorted(found)


def has_agent(items: Sequence[Item], asks: Sequence[str] = tuple(_ACTING_ASKS)) -> bool:
    """Tell whether an acting word has things on both sides: "can A raise B" asks no leave."""
    sides = (key.partition(":")[2].partition(">") for key in _actions(items, asks))
    return any(before and after for before, _, after in sides)


def _side(items: Sequence[Item]) -> str:
    """Return the actors of one side in order, those joined by `and` or `or` sorted."""
    runs: list[list[str]] = []
    for at, item in enumerate(items):
        if item.type not in _ACTORS:
            continue
        joined = runs and {"and", "or"} & set(item.before) and items[at - 1].type in _ACTORS
        if joined:
            runs[-1].append(item.key)
        else:
            runs.append([item.key])
    return "+".join("&".join(sorted(set(run))) for run in runs)


def _is_passive(items: Sequence[Item], at: int) -> bool:
    """Tell `is caused by`, `can be removed` from `causes`, `is a cause of` and `is used to remove`."""
    follows = items[at + 1].before if at + 1 < len(items) else ()
    if "by" in follows:
        return True
    if "of" in follows or "to" in items[at].before:
        return False
    if "be" in items[at].before:
        return True
    after_ask = at > 0 and items[at - 1].type == "ask"  # "is it safe to crush": the ask holds the `to`
    return not after_ask and any("be" in item.before for item in items[:at])


def _settings(asks: Sequence[str], items: Sequence[Item]) -> list[tuple[Item, str]]:
    """Return each finding and word with its role: what something is for, what goes with it, where it comes from.

    One thing alone has no role, nor has what a medicine is plainly taken for ("dose of A for B", "dose of A in B").
    """
    matters = [item for item in items if item.type in _MATTERS]
    medicine = any(item.type in _DRUGS for item in items)
    taken_for = bool(_TAKEN_FOR & set(asks))
    if len(matters) < 2 and (taken_for or not medicine):
        return [(item, "") for item in matters]
    found: list[tuple[Item, str]] = []
    carried: tuple[str, ...] = ()
    seen = previous_asks = False
    for item in items:
        seen = seen or item.type in _DRUGS
        words = (*carried, *item.before)
        if item.type in _MATTERS:
            found.append(
                (item, _role(item, words, "" if previous_asks or taken_for else "for", seen if medicine else None))
            )
        carried = words if item.type in _CARRIERS else ()
        previous_asks = item.type == "ask"
    return found


def _stands_in(item: Item) -> bool:
    """Tell whether a preposition puts the item beside what acts, rather than into it."""
    return bool({"for", "with", "in"} & set(item.before))


def _role(item: Item, words: Sequence[str], purpose: str, after_medicine: bool | None) -> str:
    near = next((word for word in reversed(words) if word in _NEAR), "")
    if near == "for" or (near == "in" and not purpose):
        return purpose
    if near:
        return "from" if near in ("by", "from") else "with"
    if item.type not in _FINDINGS or after_medicine is None:
        return ""
    return "after" if after_medicine else "with"


def _is_verb(item: Item) -> bool:
    return item.type == "word" and item.key in known_verbs()


def _alternatives(asks: Sequence[str], content: Sequence[Item]) -> list[str]:
    """`A or B` differs from `A and B` unless the question compares them."""
    if {"better", "difference"} & set(asks):
        return []
    return [
        f"or:{second.key}"
        for first, second in pairwise(content)
        if "or" in second.before and first.type in _THINGS and second.type in _THINGS
    ]
