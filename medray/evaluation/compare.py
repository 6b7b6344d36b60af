"""Two runs item by item: which answers flipped, where, by how much, and whether that is more than noise.

Only items that both runs hold are compared. Tests are paired and adjusted for their number over all tasks and measures
(Holm). What comes out names items by id and holds no text.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from medray.errors import DataError
from medray.evaluation.rows import Row
from medray.evaluation.summary_measures import (
    ACCURACY,
    CONSISTENCY,
    LOWER_IS_BETTER,
    MARGIN,
    NO_VERDICT,
    P_CORRECT,
    PARSED,
    Measures,
    by_item,
    measures,
)
from medray.statistics import Paired, holm, paired_difference

ALPHA: Final = 0.05
GAINED, LOST = "gained", "lost"

Grouped = Mapping[str, Sequence[Row]]


def compare(first: Sequence[Row], second: Sequence[Row], *, level: float = 0.95, seed: int = 0) -> dict[str, Any]:
    """Return the comparison, task by task, as JSON. Raises DataError when the runs share no item."""
    sides = (by_item(first), by_item(second))
    common = [item_id for item_id in sides[0] if item_id in sides[1]]
    if not common:
        raise DataError("expected two runs over the same items, got none in common: evaluate both on the same files")
    figures = (measures(first), measures(second))
    tasks: dict[str, list[str]] = {}
    for item_id in common:
        tasks.setdefault(sides[0][item_id][0].outcome.task, []).append(item_id)
    found = {name: _task(ids, sides, figures, level, seed) for name, ids in tasks.items()}
    _adjust(found)
    alone = [len(side) - len(common) for side in sides]
    return {"tasks": found, "items": len(common), "only_in_one": alone, "notes": _notes(common, sides, alone)}


def worse(found: Mapping[str, Any], *, alpha: float = ALPHA) -> list[tuple[str, str]]:
    """Return (task, measure) where the second run is worse than the first, after adjustment."""
    return [
        (name, measure)
        for name, task in found["tasks"].items()
        for measure, own in task["measures"].items()
        if own["p_holm"] < alpha and own["better"] == "first"
    ]


def _task(
    ids: Sequence[str], sides: tuple[Grouped, Grouped], figures: tuple[Measures, Measures], level: float, seed: int
) -> dict[str, Any]:
    names = [name for name in figures[0] if name in figures[1] and name not in NO_VERDICT]
    tested = {}
    for name in sorted(names, key=_order):
        both = [item_id for item_id in ids if item_id in figures[0][name] and item_id in figures[1][name]]
        if both:
            tested[name] = _measure(name, both, figures, level, seed)
    result: dict[str, Any] = {"n": len(ids), "measures": tested}
    if ACCURACY in tested:
        flips = _flips(ids, sides, figures)
        result |= {"flips": _count(flips), "changed_wrong": _changed_wrong(ids, sides), "items": flips}
        for name, key in (("strata", _stratum), ("categories", _category)):
            result[name] = _parts(ids, sides, figures, key, level, seed)
    return result


def _measure(
    name: str, ids: Sequence[str], figures: tuple[Measures, Measures], level: float, seed: int
) -> dict[str, Any]:
    first, second = ([own[name][item_id] for item_id in ids] for own in figures)
    tested = paired_difference(first, second, level=level, seed=seed)
    return {
        "first": sum(first) / len(first),
        "second": sum(second) / len(second),
        "n": len(ids),
        **_difference(tested),
        "p": tested.p,
        "test": tested.test,
        "better": _better(name, tested.difference),
    }


def _difference(tested: Paired) -> dict[str, float]:
    return {"difference": tested.difference, "low": tested.low, "high": tested.high}


def _better(name: str, difference: float) -> str:
    if difference == 0:
        return "neither"
    return "second" if (difference > 0) != (name in LOWER_IS_BETTER) else "first"


def _flips(
    ids: Sequence[str], sides: tuple[Grouped, Grouped], figures: tuple[Measures, Measures]
) -> list[dict[str, Any]]:
    """Return the items whose share of right answers changed, the largest change of margin first."""
    found = []
    for item_id in ids:
        change = figures[1][ACCURACY][item_id] - figures[0][ACCURACY][item_id]
        if change:
            outcome = sides[0][item_id][0].outcome
            before, after = (own.get(MARGIN, {}).get(item_id) for own in figures)
            moved = None if before is None or after is None else after - before
            found.append(
                {
                    "item": item_id,
                    "flip": GAINED if change > 0 else LOST,
                    "change": change,
                    "stratum": outcome.stratum,
                    "category": outcome.category,
                    "answers": [_answers(side[item_id]) for side in sides],
                    "margin_change": moved,
                }
            )
    return sorted(found, key=lambda flip: (-abs(flip["change"]), -abs(flip["margin_change"] or 0.0), flip["item"]))


def _answers(rows: Sequence[Row]) -> str:
    """Return the letters given, one per order; `?` is unparsed, `!` failed."""
    return " ".join("!" if row.outcome.status == "failed" else row.outcome.letter or "?" for row in rows)


def _count(flips: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    return {kind: sum(flip["flip"] == kind for flip in flips) for kind in (GAINED, LOST)}


def _changed_wrong(ids: Sequence[str], sides: tuple[Grouped, Grouped]) -> int:
    """Count items that both runs answered wrongly in their first order, but differently."""

    def pair(item_id: str) -> tuple[Row, Row]:
        return sides[0][item_id][0], sides[1][item_id][0]

    return sum(
        not one.outcome.correct and not other.outcome.correct and one.outcome.chosen != other.outcome.chosen
        for one, other in map(pair, ids)
    )


def _parts(
    ids: Sequence[str],
    sides: tuple[Grouped, Grouped],
    figures: tuple[Measures, Measures],
    key: Callable[[Row], str],
    level: float,
    seed: int,
) -> dict[str, Any]:
    parts: dict[str, list[str]] = {}
    for item_id in ids:
        if key(sides[0][item_id][0]):
            parts.setdefault(key(sides[0][item_id][0]), []).append(item_id)
    found: dict[str, Any] = {}
    for name, own in sorted(parts.items()):
        flips = _flips(own, sides, figures)
        found[name] = {"n": len(own), **_count(flips)}
        first, second = ([side[ACCURACY][item_id] for item_id in own] for side in figures)
        found[name] |= _difference(paired_difference(first, second, level=level, seed=seed))
    return found


def _adjust(tasks: Mapping[str, Any]) -> None:
    tested = [own for task in tasks.values() for own in task["measures"].values()]
    for own, p_value in zip(tested, holm([own["p"] for own in tested]), strict=True):
        own["p_holm"] = p_value


def _notes(common: Sequence[str], sides: tuple[Grouped, Grouped], alone: Sequence[int]) -> list[str]:
    notes = []
    if any(alone):
        notes.append(f"{alone[0]} items stand only in the first run and {alone[1]} only in the second: left out.")
    asked = ([row.outcome.prompt_sha256 for item_id in common for row in side[item_id]] for side in sides)
    if next(asked) != next(asked):
        notes.append("The runs asked some items differently (prompts, orders or repeats): differences include that.")
    return notes


def _order(name: str) -> tuple[int, str]:
    first = (ACCURACY, P_CORRECT, PARSED, CONSISTENCY)
    return (first.index(name) if name in first else len(first), name)


def _stratum(row: Row) -> str:
    return row.outcome.stratum


def _category(row: Row) -> str:
    return row.outcome.category
