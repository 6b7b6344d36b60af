"""Who does what to whom: what negations and directions bind to, and whether order matters.

Items go in, short keys come out (`stop>warfarin`, `order:a>b`). Order is kept among things of one kind, unless they
merely stand side by side ("A and B", "A with B" in a question of interaction); a question with an acting word (cause,
affect, before, from ... to) keeps the order of everything it acts on. Pure.
"""

from collections.abc import Sequence
from typing import Final

from medray.inference.response_cache.equivalence.items import Item
from medray.inference.response_cache.equivalence.schema import Keys

_THINGS: Final = (
    "drug",
    "drug_class",
    "finding",
    "lab",
    "dose",
    "time",
    "word",
    "route",
    "form",
    "number",
    "duration",
    "population",
)
_DRUGS: Final = ("drug", "drug_class")
_FINDINGS: Final = ("finding", "lab")
_SIDE_BY_SIDE: Final = frozenset(
    {"interaction", "difference", "better", "safe", "unsafe", "side_effects", "definition"}
)
_ACTING_ASKS: Final = frozenset({"cause", "prevention", "side_effects", "risks", "complications"})
_ACTING_WORDS: Final = frozenset(
    {"affect", "trigger", "damage", "block", "interfere", "spread", "transmit", "pass", "produce", "precede"}
)
_PASSIVE: Final = frozenset({"be"})
_ACTING_DIRECTIONS: Final = frozenset(
    {"increase", "decrease", "worsen", "improve", "start", "stop", "continue", "restart", "before", "after", "during"}
)
_VERBS: Final = frozenset({"start", "stop", "continue", "restart", "increase", "decrease", "double", "half"})
_PURPOSE: Final = frozenset({"for"})
_BESIDE: Final = frozenset({"with", "have", "if", "get", "suffer", "when"})
_ORIGIN: Final = frozenset({"by", "from"})


def bindings(items: Sequence[Item], kind: str) -> list[str]:
    """Return each item of `kind` with the thing it binds to: the next one, or the one before a passive verb."""
    found: list[str] = []
    for at, item in enumerate(items):
        if item.type != kind:
            continue
        target = _target(items, at)
        found.append(f"{item.key}>{target}" if target else item.key)
    return found


def _target(items: Sequence[Item], at: int) -> str:
    item = items[at]
    drugs = {other.key for other in items if other.type in _DRUGS}
    if item.key in _VERBS and len(drugs) == 1:
        return drugs.pop()
    passive = item.key in _VERBS and any(word in _PASSIVE for word in item.before)
    ahead = next((other.key for other in items[at + 1 :] if other.type in _THINGS), "")
    behind = next((other.key for other in reversed(items[:at]) if other.type in _THINGS), "")
    return (behind or ahead) if passive else (ahead or behind)


def roles(asks: Sequence[str], items: Sequence[Item]) -> Keys:
    """Return the roles that a question gives its elements."""
    found: list[str] = []
    relations = [item.key for item in items if item.type == "relation"]
    moved = any(key in ("from", "switch", "replace") for key in relations)
    directions = {item.key for item in items if item.type == "direction"}
    relations = [key for key in relations if moved or key != "to"]
    found += [f"relation:{key}" for key in sorted(relations)]
    negated = any(item.type == "negation" for item in items)
    acting = relations or negated or directions & _ACTING_DIRECTIONS
    side_by_side = not acting and set(asks) <= _SIDE_BY_SIDE
    for name, types in (
        ("drugs", _DRUGS),
        ("findings", _FINDINGS),
        ("words", ("word",)),
        ("values", ("dose", "number", "duration")),
    ):
        found += _order(name, [item for item in items if item.type in types], side_by_side and name == "drugs")
    found += _people(items)
    found += _acting(asks, items, directions)
    found += _finding_roles(items)
    found += _alternatives(asks, items)
    return tuple(found)


def _order(name: str, items: Sequence[Item], free: bool) -> list[str]:
    keys = [item.key for item in items]
    if len(keys) < 2:
        return []
    listed = all("and" in item.before or "or" in item.before for item in items[1:])
    if free or (listed and name != "values"):
        keys = sorted(keys)
    return [f"{name}:{'>'.join(keys)}"]


def _people(items: Sequence[Item]) -> list[str]:
    """With two groups of people, what stands beside each matters: keep the order of everything."""
    people = [item for item in items if item.type == "population" and not item.key.startswith("age ")]
    if len(people) < 2:
        return []
    kept = [item.key for item in items if item.type in ("population", *_DRUGS, *_FINDINGS, "word", "negation")]
    return [f"people:{'>'.join(kept)}"]


def _acting(asks: Sequence[str], items: Sequence[Item], directions: set[str]) -> list[str]:
    """Keep the order of everything around a word that acts, turned round in the passive ("caused by")."""
    words = {item.key for item in items if item.type == "word"}
    if not (
        _ACTING_ASKS & set(asks) or _ACTING_WORDS & words or directions & {"increase", "decrease", "worsen", "improve"}
    ):
        return []
    kept = [item for item in items if item.type in (*_DRUGS, *_FINDINGS, "word", "population")]
    kept = [item for item in kept if item.key not in _ACTING_WORDS]
    if len(kept) < 2:
        return []
    by = next((at for at, item in enumerate(kept) if at and {"by", "from"} & set(item.before)), 0)
    return [f"acts:{'>'.join(item.key for item in (*kept[by:], *kept[:by]))}"]


def _finding_roles(items: Sequence[Item]) -> list[str]:
    """Beside a drug, say whether a finding is what it is for, what the person has, or what it comes from."""
    if not any(item.type in _DRUGS for item in items):
        return []
    found: list[str] = []
    carried: tuple[str, ...] = ()
    for item in items:
        if item.type in _FINDINGS:
            words = set(item.before) | set(carried)
            role = "for" if words & _PURPOSE else "with" if words & _BESIDE else "from" if words & _ORIGIN else ""
            if role:
                found.append(f"{role}:{item.key}")
        carried = item.before if item.type in ("type", "direction", "laterality", "population") else ()
    return sorted(found)


def _alternatives(asks: Sequence[str], items: Sequence[Item]) -> list[str]:
    """`A or B` differs from `A and B` unless the question compares them."""
    if {"better", "difference"} & set(asks):
        return []
    return [
        f"or:{second.key}"
        for first, second in zip(items, items[1:], strict=False)
        if "or" in second.before and first.type == second.type and first.type in (*_DRUGS, *_FINDINGS)
    ]
