"""From rows to `summary.json`: figures with intervals, and what makes them mean less, side by side.

Accuracy never stands alone: chance, the best constant answer, the letters chosen and the share unparsed are always
beside it, and `notes` says in words when a figure cannot mean what it seems to. Intervals draw whole items.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from medray.evaluation.rows import Row
from medray.evaluation.summary_exam import abstained, calibrated
from medray.evaluation.summary_measures import ACCURACY, CONSISTENCY, PARSED, by_item, measures
from medray.evaluation.summary_notes import notes
from medray.statistics import Interval, bootstrap_mean, holm

MIN_STRATUM: Final = 5  # items; fewer say nothing by themselves


def summarise(rows: Sequence[Row], *, level: float = 0.95, seed: int = 0) -> dict[str, dict[str, Any]]:
    """Return the summary of each task, in order of appearance."""
    tasks: dict[str, list[Row]] = {}
    for row in rows:
        tasks.setdefault(row.outcome.task, []).append(row)
    found = {name: _task(own, level, seed) for name, own in tasks.items()}
    _adjust(found)
    for summary in found.values():
        summary["notes"] = notes(summary)
    return found


def _task(rows: Sequence[Row], level: float, seed: int) -> dict[str, Any]:
    items = by_item(rows)
    kind = rows[0].kind
    figures = measures(rows)

    def interval(values: Mapping[str, float]) -> dict[str, Any]:
        return shown(bootstrap_mean(list(values.values()), level=level, seed=seed))

    summary: dict[str, Any] = {"kind": kind, "n": len(items), "rows": len(rows)}
    summary["repeats"] = max(len(own) for own in items.values())
    if kind == "choice":
        summary |= _accuracy(figures[ACCURACY], interval)
        summary |= _baselines(items, figures[ACCURACY])
        summary |= _letters(rows)
        summary["consistency"] = interval(figures[CONSISTENCY]) if CONSISTENCY in figures else None
    summary |= _unanswered(rows, items)
    apart = (ACCURACY, PARSED, CONSISTENCY)
    summary["measures"] = {name: interval(own) for name, own in sorted(figures.items()) if name not in apart}
    if kind == "choice":
        summary["calibration"] = calibrated(rows, level=level, seed=seed)
        summary["abstention"] = abstained(rows)
        for name, key in (("strata", _stratum), ("categories", _category)):
            summary[name] = _parts(items, figures[ACCURACY], key, interval)
    return summary | {"effort": _effort(items, interval)}


def shown(interval: Interval) -> dict[str, Any]:
    """Return an interval as JSON."""
    return {
        "value": interval.value,
        "low": interval.low,
        "high": interval.high,
        "n": interval.n,
        "interval": interval.method,
    }


def _accuracy(values: Mapping[str, float], interval: Callable[[Mapping[str, float]], dict[str, Any]]) -> dict[str, Any]:
    found = interval(values)
    return {"accuracy": found["value"], "low": found["low"], "high": found["high"], "interval": found["interval"]}


def _baselines(items: Mapping[str, Sequence[Row]], accuracy: Mapping[str, float]) -> dict[str, Any]:
    """Return what guessing and the best constant answer would score, and the exact test against guessing."""
    from scipy.stats import binomtest

    first = [rows[0] for rows in items.values()]
    chances = [1 / row.options for row in first]
    chance = sum(chances) / len(chances)
    places = Counter(row.answer_index for row in first)
    once = all(len(rows) == 1 for rows in items.values()) and len(set(chances)) == 1
    right = round(sum(accuracy.values()))
    return {
        "chance": chance,
        "best_constant": max(places.values()) / len(first),
        "p_chance": float(binomtest(right, len(first), chance).pvalue) if once else None,
    }


def _letters(rows: Sequence[Row]) -> dict[str, Any]:
    """Return how often each letter (or yes, no, maybe) was chosen, and how often it was the right one, as shown."""
    chosen = Counter(row.outcome.letter for row in rows if row.parsed)
    right = Counter(row.right for row in rows)
    names = sorted(set(chosen) | set(right))
    return {
        "letters": {name: chosen[name] for name in names},
        "letters_right": {name: right[name] for name in names},
        "top_letter_share": max(chosen.values()) / chosen.total() if chosen else None,
    }


def _unanswered(rows: Sequence[Row], items: Mapping[str, Sequence[Row]]) -> dict[str, Any]:
    failed = Counter(
        own[0].outcome.error for own in items.values() if all(one.outcome.status == "failed" for one in own)
    )
    unparsed = sum(row.outcome.status == "ok" and not row.parsed for row in rows)
    return {
        "unparsed": unparsed / len(rows),
        "unparsed_rows": unparsed,
        "failed": failed.total(),
        "failures": dict(sorted(failed.items())),
    }


def _parts(
    items: Mapping[str, Sequence[Row]],
    accuracy: Mapping[str, float],
    key: Callable[[Row], str],
    interval: Callable[[Mapping[str, float]], dict[str, Any]],
) -> dict[str, Any]:
    parts: dict[str, dict[str, float]] = {}
    for item_id, rows in items.items():
        if key(rows[0]):
            parts.setdefault(key(rows[0]), {})[item_id] = accuracy[item_id]
    found = {}
    for name, values in sorted(parts.items()):
        unparsed = [not row.parsed for item_id in values for row in items[item_id]]
        chance = sum(1 / items[item_id][0].options for item_id in values) / len(values)
        own: dict[str, Any] = {"n": len(values), "chance": chance, "unparsed": sum(unparsed) / len(unparsed)}
        few = len(values) < MIN_STRATUM
        found[name] = own | ({"accuracy": None, "low": None, "high": None} if few else _accuracy(values, interval))
    return found


def _stratum(row: Row) -> str:
    return row.outcome.stratum


def _category(row: Row) -> str:
    return row.outcome.category


def _effort(
    items: Mapping[str, Sequence[Row]], interval: Callable[[Mapping[str, float]], dict[str, Any]]
) -> dict[str, Any]:
    """Return what answers cost; seconds are the scorer's own and vary from run to run."""
    done = {item_id: [row.outcome for row in rows if row.outcome.status == "ok"] for item_id, rows in items.items()}
    done = {item_id: outcomes for item_id, outcomes in done.items() if outcomes}
    if not done:
        return {"tokens_per_answer": None, "seconds_per_answer": None, "tokens_per_s": None}
    tokens = {item_id: sum(one.tokens for one in own) / len(own) for item_id, own in done.items()}
    seconds = {item_id: sum(one.seconds for one in own) / len(own) for item_id, own in done.items()}
    return {
        "tokens_per_answer": interval(tokens),
        "seconds_per_answer": interval(seconds),
        "tokens_per_s": sum(tokens.values()) / sum(seconds.values()) if any(seconds.values()) else None,
    }


def _adjust(tasks: Mapping[str, dict[str, Any]]) -> None:
    """Adjust the tests against chance for their number (Holm)."""
    tested = [summary for summary in tasks.values() if summary.get("p_chance") is not None]
    for summary, p_value in zip(tested, holm([summary["p_chance"] for summary in tested]), strict=True):
        summary["p_chance_holm"] = p_value
