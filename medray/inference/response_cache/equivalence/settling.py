"""What the content of a question says about what it asks: "what is the normal potassium" asks for a range.

The kinds asked and the content go in, the settled kinds come out. Each rule is one function; they run in order. Pure.
"""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, TypeAlias

from medray.inference.response_cache.equivalence.items import Item

_LENGTHS: Final = frozenset({"how_long", "course", "lasting"})
_MOMENTS: Final = frozenset({"when", "how_long", "wait"})
_PLAIN: Final = frozenset({"definition", "which", "how"})


class _Content(NamedTuple):
    types: frozenset[str]
    keys: frozenset[str]
    size: int


_Rule: TypeAlias = Callable[[frozenset[str], _Content], frozenset[str]]


def settled(asks: set[str], content: Sequence[Item]) -> set[str]:
    """Return the kinds asked once the content is considered."""
    known = _Content(frozenset(item.type for item in content), frozenset(item.key for item in content), len(content))
    found = frozenset(asks)
    for rule in _RULES:
        found = rule(found, known)
    return set(found)


def _amount(asks: frozenset[str], content: _Content) -> frozenset[str]:
    """Read "how much can I take in a day" as the most; without a period, as the dose."""
    if "dose_can" in asks:
        asks = asks - {"dose_can"} | ({"dose", "maximum"} if "frequency" in content.types else {"dose"})
    if "maximum" in content.keys and "drug" in content.types and asks <= _MOST:
        return frozenset({"dose", "maximum"})
    return asks


_MOST: Final = frozenset({"safe", "definition", "dose", "which", "maximum"})


def _effect(asks: frozenset[str], content: _Content) -> frozenset[str]:
    return frozenset({"how"}) if asks and asks <= _PLAIN and "affect" in content.keys else asks


def _moment(asks: frozenset[str], content: _Content) -> frozenset[str]:
    """Read "when can one drive after surgery" as "how long after surgery"."""
    if "duration" in asks:
        medicine = bool(content.types & {"drug", "drug_class"})
        asks = asks - {"duration"} | {"course" if medicine and "finding" in content.types else "lasting"}
    if "treatment" in asks and asks & _LENGTHS:
        return asks - _LENGTHS - {"treatment"} | {"course"}
    if asks & _MOMENTS and "after" in content.keys and "recovery" not in asks:
        return asks - _MOMENTS - {"safe", "what_happens"} | {"wait"}
    if asks == {"how_long"} and "period" in content.keys:
        return frozenset({"which"})
    if "contagious" in asks and asks & _LENGTHS:
        return asks - _LENGTHS | {"how_long"}
    return asks


def _purpose(asks: frozenset[str], content: _Content) -> frozenset[str]:
    """Tell what a medicine treats from what treats a finding."""
    medicine = bool(content.types & {"drug", "drug_class"})
    if "treatment" in asks and asks <= {"treatment", "which"} and medicine and "finding" not in content.types:
        return frozenset({"indication"})
    if asks in ({"indication"}, {"indication", "which"}) and "finding" in content.types and "drug" not in content.types:
        return asks - {"indication"} | {"treatment"}
    return asks


def _plain(asks: frozenset[str], content: _Content) -> frozenset[str]:
    """Tell what something is from what a property of it is."""
    if asks <= {"definition", "which"} and "lab" in content.types and "normal" in content.keys:
        return frozenset({"normal_range"})
    if asks == {"definition"} and content.size > 1 and "word" in content.types:
        return frozenset({"which"})
    return asks


_RULES: Final[tuple[_Rule, ...]] = (_amount, _effect, _moment, _purpose, _plain)
