"""Who acts on whom: acting words with what stands on their two sides, turned round in the passive.

Items go in, short keys come out (`cause:stress>asthma`). A word that acts on one named thing only says whether that
thing acts ("what does stress cause") or is acted on, which is the rule and is left out. Pure.
"""

from collections.abc import Sequence
from typing import Final

from medray.inference.response_cache.equivalence.clauses import ACTORS, arguments, clause_of, side
from medray.inference.response_cache.equivalence.items import Item
from medray.knowledge.entities.spelling import known_verbs

_ACTING_ASKS: Final = frozenset({
    "cause", "side_effect_of", "prevention", "better_than", "transmission", "symptoms", "complications", "risk_factors",
})  # fmt: skip
_ACTING: Final = frozenset({"increase", "decrease", "worsen", "improve", "switch", "replace", "lead to", "because of"})
_CAUSING: Final = frozenset(
    {
        "cause",
        "increase",
        "decrease",
        "worsen",
        "improve",
        "lead to",
        "affect",
        "infect",
        "transmit",
        "pass",
        "catch",
        "damage",
        "harm",
        "block",
        "inhibit",
        "replace",
    }
)
"""What acts on one thing or comes of one thing: both are asked."""
_CAUSED_BY: Final = frozenset({"side_effect_of", "because of"})
_AGENTLESS: Final = frozenset({
    "appear", "become", "begin", "bleed", "breathe", "come", "depend", "die", "differ", "drive", "eat", "exercise",
    "fail", "faint", "feel", "flare", "float", "fly", "form", "function", "grow", "happen", "heal", "hear", "hurt",
    "itch", "last", "live", "look", "need", "occur", "persist", "progress", "react", "recover", "recur", "remain",
    "require", "rest", "resolve", "return", "reverse", "run", "see", "sleep", "smoke", "sneeze", "snore", "spread",
    "stand", "start", "stay", "stick", "suffer", "sweat", "swell", "swim", "test", "tingle", "travel", "urinate",
    "vomit", "wait", "wake", "walk", "work", "screen", "scratch", "change", "experience", "care", "check", "drop",
})  # fmt: skip
"""Verbs of states and of what people do: what stands beside them is no patient."""
_STANDS_FOR: Final = frozenset({"symptoms", "complications", "risk_factors"})
"""Nouns: "A is a symptom of B" is no passive."""
_ABLE: Final = frozenset({"do", "can", "could", "may", "might", "will", "would"})


def actions(items: Sequence[Item]) -> list[str]:
    """Say of each acting word who acts and on whom."""
    found = {_action(items, at) for at, item in enumerate(items) if _acts(item)}
    return sorted(found - {""})


def has_agent(items: Sequence[Item]) -> bool:
    """Tell whether an acting word has things on both sides: "can A raise B" asks no leave."""
    return any(all(key.partition(":")[2].split(">")) for key in actions(items))


def _acts(item: Item) -> bool:
    if item.type == "ask":
        return item.key in _ACTING_ASKS
    return (item.type in ("direction", "relation") and item.key in _ACTING) or is_verb(item)


def is_verb(item: Item) -> bool:
    """Tell whether an item is a verb that acts on something."""
    return item.type == "word" and item.key in known_verbs() and item.key not in _AGENTLESS


def is_read(item: Item) -> bool:
    """Tell whether an item is what a clause says: a known verb, or something asked."""
    if item.type == "ask":
        return item.key not in ("may_have", "safe")
    return item.type in ("direction", "relation", "negation") or (item.type == "word" and item.key in known_verbs())


def _action(items: Sequence[Item], at: int) -> str:
    item = items[at]
    before, after, by = arguments(items, at)
    name = item.key
    made = next((place for place, other in enumerate(before) if "make" in other.before), None)
    if item.type == "direction" and not after and made is not None:
        before, after = before[:made], before[made:]  # "does A make B worse"
    if name in _CAUSED_BY:
        name, before, after = "cause", after, before
    elif name == "affect" and _on(items, at):
        after_of = _on(items, at)
        before, after = [other for other in before + after if other not in after_of], after_of
    elif by:
        before, after = by, before + after
    elif name not in _STANDS_FOR and _is_passive(items, at):
        before, after = [], before + after
    before = [other for other in before if other not in after]
    agent, patient = side(before), side(after)
    if agent and patient:
        return f"{name}:{agent}>{patient}"
    return f"{name}:{agent}>" if agent and name in _CAUSING and (by or _able(items, at)) else ""


def _on(items: Sequence[Item], at: int) -> list[Item]:
    """Return what an effect is on: "effect of A on B"."""
    _, past = clause_of(items, at)
    first = next((place for place in range(at + 1, past) if "on" in items[place].before), past)
    return [item for item in items[first:past] if item.type in ACTORS]


def _able(items: Sequence[Item], at: int) -> bool:
    """Tell `what does X cause` from `X causes`, a noun."""
    first, _ = clause_of(items, at)
    return any(_ABLE & set(other.before) for other in items[first : at + 1])


def _is_passive(items: Sequence[Item], at: int) -> bool:
    """Tell `can be removed` and `is X removed` from `causes`, `is a cause of` and `is used to remove`."""
    follows = items[at + 1].before if at + 1 < len(items) else ()
    purpose = at > 0 and (items[at - 1].type, items[at - 1].key) == ("relation", "to")  # "used to remove"
    if "of" in follows or purpose:
        return False
    if "be" in items[at].before:
        return True
    first, _ = clause_of(items, at)
    after_ask = at > 0 and items[at - 1].type == "ask"  # "is it safe to crush": the ask holds the `to`
    return not after_ask and any("be" in item.before for item in items[first:at])
