"""What an exam's outcomes say beside accuracy: calibration, abstention, retention, and what contamination changes."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from medray.errors import DataError
from medray.evaluation.contamination import Contamination
from medray.evaluation.metrics.abstention import abstention, area_under_risk
from medray.evaluation.metrics.calibration import calibration, stated
from medray.evaluation.metrics.retention import retained, retention
from medray.evaluation.rows import Row
from medray.evaluation.summary_measures import ACCURACY, by_item, measures
from medray.statistics import Interval, bootstrap_mean, bootstrap_statistic


def calibrated(rows: Sequence[Row], *, level: float, seed: int) -> dict[str, Any] | None:
    """Return calibration errors and bins where answers have probabilities; the interval of ECE draws answers."""
    confidence, right = stated([row.outcome for row in rows])
    found = calibration(confidence, right)
    if found is None:
        return None

    def error(places: Sequence[int]) -> float:
        drawn = calibration([confidence[place] for place in places], [right[place] for place in places])
        return drawn.ece if drawn is not None else 0.0

    interval = bootstrap_statistic(error, len(right), level=level, seed=seed, resamples=199)
    return {
        "ece": found.ece,
        "low": interval.low,
        "high": interval.high,
        "ece_adaptive": found.ece_adaptive,
        "brier_of_choice": found.brier,
        "area_under_risk": area_under_risk(confidence, right),
        "n": found.n,
        "bins": [asdict(own) for own in found.bins],
    }


def abstained(rows: Sequence[Row]) -> dict[str, Any]:
    """Return shares answered, declined and neither, and accuracy of what was answered."""
    found = abstention([row.outcome for row in rows])
    return {} if found is None else asdict(found)


def retained_from(teacher: Sequence[Row], rows: Sequence[Row], *, level: float, seed: int) -> dict[str, Any] | None:
    """Return KRR with its interval for the exam items both have; None where the teacher has none of them right."""
    answers = {row.outcome.item_id: row.answer_index for row in rows if row.answer_index is not None}
    sides = ([row.outcome for row in teacher], [row.outcome for row in rows])
    try:
        found = retention(*sides, answers)
    except DataError:
        return None
    interval = bootstrap_mean(list(retained(*sides, answers).values()), level=level, seed=seed)
    return {**asdict(found), "low": interval.low, "high": interval.high}


def contaminated(
    rows: Sequence[Row], found: Contamination, show: Callable[[Interval], dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Return, per task with affected items, their number and accuracy on them and on the others."""
    tasks: dict[str, list[Row]] = {}
    for row in rows:
        tasks.setdefault(row.outcome.task, []).append(row)
    return {
        name: _apart(own, found.affected_ids, show)
        for name, own in tasks.items()
        if found.affected_ids & by_item(own).keys()
    }


def _apart(
    rows: Sequence[Row], affected: Collection[str], show: Callable[[Interval], dict[str, Any]]
) -> dict[str, Any]:
    accuracy: Mapping[str, float] = measures(rows).get(ACCURACY, {})
    seen = [value for item_id, value in accuracy.items() if item_id in affected]
    clean = [value for item_id, value in accuracy.items() if item_id not in affected]
    return {
        "affected": len(set(affected) & by_item(rows).keys()),
        "n": len(by_item(rows)),
        "accuracy_affected": show(bootstrap_mean(seen)) if seen else None,
        "accuracy_clean": show(bootstrap_mean(clean)) if clean else None,
    }
