"""What the question asks, settled: which of the kinds found count, and which only repeat another.

Items go in; the kinds asked and the remaining items come out. Pure.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from medray.inference.response_cache.equivalence.actions import has_agent
from medray.inference.response_cache.equivalence.items import QUESTION_WORDS, Item
from medray.inference.response_cache.equivalence.settling import settled
from medray.inference.response_cache.equivalence.vocabulary import vocabulary
from medray.inference.response_cache.equivalence.wording import holds_people

_JOINING: Final = frozenset(
    {"with", "and", "plus", "together", "combine", "while on", "added to", "during", "if", "or"}
)
_OPEN: Final = frozenset({"safe", "interaction"})
_LISTED: Final = frozenset({"better", "interaction", "side_effects", "symptoms", "complications", "cure"})
"""Kinds whose answer is the same list whether one asks for it or whether there is any."""
_EFFECTS: Final = frozenset({"side_effects", "symptoms", "complications"})
_REPEATED: Final = frozenset({
    "prevention", "treatment", "cause", "symptoms", "tests", "inheritance", "risk_factors", "screening", "withdrawal",
})  # fmt: skip
_HOW_COUNTS: Final = frozenset({"cause", "safe", "unsafe", "why", "when", "who", "where"})
_ACTIVITIES: Final = frozenset({
    "drive", "fly", "swim", "exercise", "drink", "eat", "breastfeeding", "donate", "travel", "dive", "work", "smoke",
    "run", "sex", "sport", "walk", "bathe", "shower", "sauna", "fast",
})  # fmt: skip
"""What people ask leave for."""
_MIX: Final = frozenset({"combine"})
_TAKEN: Final = frozenset({"alcohol", "grapefruit", "caffeine", "cannabis", "green tea", "cranberry"})
"""Things that one drinks or smokes beside a medicine; the verb says nothing more."""
_SAME: Final = {"what": "which"}
_ABSORBED: Final[dict[str, frozenset[str]]] = {
    # A kind asked -> kinds that only wrap it ("what should I do if I miss a dose", "tests used for the diagnosis").
    "missed_dose": frozenset({"what_to_do", "what_happens", "dose", "safe", "should"}),
    "interaction": frozenset({"safe", "definition"}),
    "side_effects": frozenset({"definition", "safe", "which"}),
    "prevention": frozenset({"definition", "what_to_do", "indication", "how"}),
    "treatment": frozenset({"definition", "what_to_do", "indication", "how"}),
    "tests": frozenset({"definition", "indication", "how"}),
    "symptoms": frozenset({"definition"}),
    "complications": frozenset({"definition"}),
    "course": frozenset({"treatment"}),
    "monitoring": frozenset({"how", "definition", "which"}),
    "transmission": frozenset({"how"}),
    "mechanism": frozenset({"how"}),
    "storage": frozenset({"how", "best"}),
    "contraindication": frozenset({"safe", "should", "when"}),
    "normal_range": frozenset({"definition"}),
    "frequency": frozenset({"monitoring", "tests"}),
    "wait": frozenset({"dose", "how_long"}),
    "elimination": frozenset({"how_long", "definition"}),
    "lasting": frozenset({"how_long"}),
    "recovery": frozenset({"how_long", "course", "lasting", "wait", "when"}),
    "onset": frozenset({"how_long", "when"}),
    "accuracy": frozenset({"how", "definition"}),
    "severity": frozenset({"how", "definition"}),
    "how_safe": frozenset({"how", "safe"}),
    "addictive": frozenset({"safe"}),
    "contagious": frozenset({"safe"}),
    "overdose": frozenset({"safe", "what_happens"}),
    "how_to_take": frozenset({"best"}),
    "when_to_take": frozenset({"best"}),
    "cause": frozenset({"why", "safe", "how", "definition"}),
    "risk_factors": frozenset({"risks", "definition", "safe"}),
    "best": frozenset({"efficacy", "better", "which", "definition", "normal_range"}),
    "indication": frozenset({"why"}),
}


def asked(items: Sequence[Item]) -> tuple[list[str], list[Item]]:
    """Return the kinds asked, and the items that stay (asks among them, in their places)."""
    asks = {item.key for item in items if item.type == "ask"}
    asks |= {_SAME.get(item.key, item.key) for item in items if item.type == "word" and item.key in QUESTION_WORDS}
    kept = [item for item in items if not (item.type == "word" and item.key in QUESTION_WORDS)]
    content = [item for item in kept if item.type not in ("ask", "end")]
    form = next(item.key for item in items if item.type == "end")
    asks = _unwrapped(asks, items, content, form)
    if _also_what(items):
        asks = asks | {"definition"}
    if not asks and form == "may" and _asks_leave(kept, content):
        asks = {"safe"}
    if "may_have" in asks and len(asks) > 1:
        asks = asks - {"may_have"}
    elif "may_have" in asks:
        asks = asks - {"may_have"} | ({"safe"} if _asks_leave(kept, content) or _undergone(content) else set())
    if (
        not asks - {"which"}
        and form != "open"
        and any(item.key == "because of" for item in content)
        and has_agent(kept)
    ):
        asks = {"cause"}
    if "side_effect_of" in asks:
        asks = asks - {"side_effect_of", "why"} | {"cause"}
    if has_agent(kept) and _as_effect(items):
        asks = asks - {"side_effects", "complications"}
    asks, kept = _interaction(settled(asks, content), kept)
    asks |= _repeated(items)
    if form == "open":
        return sorted(asks or {"which"}), kept
    polar = not (asks and asks <= _LISTED)
    return sorted(asks | {"polar"} if polar else asks), kept


def _unwrapped(asks: set[str], items: Sequence[Item], content: Sequence[Item], form: str) -> set[str]:
    """Drop the kinds that only wrap another: "what is the cause", "how is it treated", "should it be stored"."""
    twofold = {"how", "definition"} <= asks
    for kind, wrapping in _ABSORBED.items():
        if kind in asks:
            asks = asks - wrapping
    if len(content) < 2 and _listed_first(items):
        asks = asks - {"cause"}
    for wrapping_kind in ("definition", "should", "must", "which"):
        if len(asks) > 1:
            asks = asks - {wrapping_kind}
    if len(asks) > 1 and not asks & _HOW_COUNTS and not twofold:
        asks = asks - {"how"}
    return asks - {"should", "must"} if form != "open" else asks


def _also_what(items: Sequence[Item]) -> bool:
    """Tell `what is A and what causes it`, which asks two things, from `what is the cause of A`."""
    found = [item for item in items if item.type == "ask"]
    several = len({item.key for item in found}) > 1 and found[0].key == "definition"
    return several and any("and" in item.before for item in found[1:])


def _undergone(content: Sequence[Item]) -> bool:
    return any(item.type == "finding" and item.key in vocabulary().procedures for item in content)


def _asks_leave(items: Sequence[Item], content: Sequence[Item]) -> bool:
    """Tell "can A be taken" and "can people with B fly" from "can A raise B" and "can B come back"."""
    if has_agent(items):
        return False
    return any(item.type in ("drug", "drug_class", "form") or item.key in _ACTIVITIES for item in content)


def _listed_first(items: Sequence[Item]) -> bool:
    """Tell `which symptoms does it cause` from `what causes the sign`."""
    keys = [item.key for item in items if item.type == "ask"]
    return "cause" in keys and bool(_EFFECTS & set(keys[: keys.index("cause")]))


def _as_effect(items: Sequence[Item]) -> bool:
    """Tell `can A cause B as a side effect` from `what are the complications of B caused by A`."""
    keys = [item.key for item in items if item.type == "ask"]
    return "cause" in keys and not _EFFECTS & set(keys[: keys.index("cause")])


def _repeated(items: Sequence[Item]) -> set[str]:
    """A kind named twice is asked about itself: "how to prevent" is not "how to prevent lowering the risk"."""
    counted = Counter(item.key for item in items if item.type == "ask")
    return {f"{kind} twice" for kind, times in counted.items() if times > 1 and kind in _REPEATED}


def _interaction(asks: set[str], content: list[Item]) -> tuple[set[str], list[Item]]:
    """Read "can I take A with B", "combine A and B" and "do A and B interact" as one question."""
    drugs = [item for item in content if item.type in ("drug", "drug_class")]
    mixed = [item for item in content if item.type == "word" and item.key in _MIX]
    if len({item.key for item in drugs}) < 2:
        return asks, content
    on = [item for item in content if item.type == "relation" and item.key == "while on"]
    joined = (
        bool(on) or any(map(holds_people, drugs)) or any(word in _JOINING for item in drugs[1:] for word in item.before)
    )
    if (mixed or joined) and asks and asks <= _OPEN:
        asks = {"interaction"}
    if mixed and not asks:
        asks = {"interaction"}
    if asks == {"interaction"}:
        content = [item for item in content if item not in mixed and item not in on]
    if any(item.key in _TAKEN for item in drugs):
        content = [item for item in content if not (item.type == "word" and item.key in ("drink", "smoke"))]
    return asks, content
