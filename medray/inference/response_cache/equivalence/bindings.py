"""What negations, directions and types bind to: `high` to potassium, `not` to smoking, `before` to the meal.

Items go in, short keys come out (`before>surgery`). Pure.
"""

from collections.abc import Sequence
from typing import Final

from medray.inference.response_cache.equivalence.clauses import DRUGS, FINDINGS, PEOPLE, THINGS, clause_of, is_condition
from medray.inference.response_cache.equivalence.items import Item

VERBS: Final = frozenset({"start", "stop", "continue", "restart", "increase", "decrease", "double", "half"})
_PREPOSITIONS: Final = frozenset({"before", "after", "during", "until", "since"})
_HOSTS: Final = (*DRUGS, *FINDINGS)


def bindings(items: Sequence[Item], kind: str) -> list[str]:
    """Return each item of `kind` with the thing it binds to: the next one, or the one before a passive verb.

    Where the question holds one thing only that it could bind to, the thing is left out: word order is free then.
    """
    free = kind in ("direction", "type") and _one_host(items, (*_HOSTS, *PEOPLE) if kind == "type" else _HOSTS)
    found: list[str] = []
    for at, item in enumerate(items):
        if item.type == kind:
            target = "" if free and item.key not in _PREPOSITIONS else _target(items, at)
            key = f"{item.key}>{target}" if target else item.key
            if key not in found:
                found.append(key)
    return found


def _one_host(items: Sequence[Item], types: Sequence[str]) -> bool:
    hosts = {item.key for item in items if item.type in types and (item.type not in FINDINGS or is_condition(item))}
    values = {item.key for item in items if item.type in ("dose", "number", "duration", "frequency")}
    return len(hosts) < 2 and len(values) < 2


def _target(items: Sequence[Item], at: int) -> str:
    item = items[at]
    drugs = {other.key for other in items if other.type in DRUGS}
    if item.key in VERBS and len(drugs) == 1:
        return drugs.pop()
    _, past = clause_of(items, at)
    ahead = next((other.key for other in items[at + 1 : past] if other.type in THINGS), "")
    behind = next((other.key for other in reversed(items[:at]) if other.type in THINGS), "")
    passive = item.key in VERBS and "be" in item.before
    return (behind or ahead) if passive else (ahead or behind)
