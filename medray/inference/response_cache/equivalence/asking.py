"""What the question asks, settled: which of the kinds found count, and which only repeat another.

Items go in; the kinds asked and the remaining items come out. Pure.
"""

from collections.abc import Sequence
from typing import Final

from medray.inference.response_cache.equivalence.items import Item

_WH: Final = frozenset({"how", "why", "when", "where", "who", "which", "whose"})
_JOINING: Final = frozenset(
    {"with", "and", "plus", "together", "combine", "while on", "added to", "during", "if", "or"}
)
_OPEN: Final = frozenset({"safe", "should", "interaction", "definition", "efficacy"})
_MIX: Final = frozenset({"combine"})
_TAKEN: Final = frozenset({"alcohol", "grapefruit", "caffeine", "cannabis"})
"""Things that one drinks or smokes beside a medicine; the verb says nothing more."""
_ABSORBED: Final[dict[str, frozenset[str]]] = {
    # A kind asked -> kinds that only wrap it ("what should I do if I miss a dose").
    "missed_dose": frozenset({"what_to_do", "what_happens", "dose", "safe"}),
    "definition": frozenset(),
    "interaction": frozenset({"safe", "definition"}),
    "side_effects": frozenset({"definition"}),
}


def asked(items: Sequence[Item]) -> tuple[list[str], list[Item]]:
    """Return the kinds asked and the items that are content."""
    asks = {item.key for item in items if item.type == "ask"}
    content = [item for item in items if item.type != "ask"]
    question_words = {item.key for item in content if item.type == "word" and item.key in _WH}
    if not asks or question_words - {"which", "who"}:
        asks |= question_words
    content = [item for item in content if not (item.type == "word" and item.key in _WH)]
    if len(asks) > 1:
        asks -= {"definition"}
    if len(asks) > 1:
        asks -= {"should"}
    for kind, wrapping in _ABSORBED.items():
        if kind in asks:
            asks -= wrapping
    return _interaction(asks, content)


def _interaction(asks: set[str], content: list[Item]) -> tuple[list[str], list[Item]]:
    """Read "can I take A with B", "combine A and B" and "do A and B interact" as one question."""
    drugs = [item for item in content if item.type in ("drug", "drug_class")]
    mixed = [item for item in content if item.type == "word" and item.key in _MIX]
    if len({item.key for item in drugs}) < 2:
        return sorted(asks), content
    on = [item for item in content if item.type == "relation" and item.key == "while on"]
    joined = bool(on) or any(word in _JOINING for item in drugs[1:] for word in item.before)
    if (mixed or joined) and asks and asks <= _OPEN:
        asks = {"interaction"}
    if mixed and not asks:
        asks = {"interaction"}
    if asks == {"interaction"}:
        content = [item for item in content if item not in mixed and item not in on]
    if any(item.key in _TAKEN for item in drugs):
        content = [item for item in content if not (item.type == "word" and item.key in ("drink", "smoke"))]
    return sorted(asks), content
