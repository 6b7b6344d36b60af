"""From rows to one figure an item and measure: what summaries average and comparisons pair.

A measure of an item is its mean over the orders that were asked. Figures of options (`loglikelihood/0`, `.../1`, ... by
place in the file) become proper scores: the probability of the right option and Brier's score (softmax over the
options), and the right option's own figure. Figures without a place are measures as they stand.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Final

from medray.evaluation.metrics.calibration import probabilities
from medray.evaluation.rows import Row

ACCURACY: Final = "accuracy"
PARSED: Final = "parsed"
CONSISTENCY: Final = "consistency"
P_CORRECT: Final = "p_correct"
BRIER: Final = "brier"
MARGIN: Final = "margin"  # log-likelihood of the right option less that of the best other one
LOGLIKELIHOOD: Final = "loglikelihood"  # the scores whose softmax is read as probabilities
LOWER_IS_BETTER: Final = frozenset({BRIER})
NO_VERDICT: Final = frozenset({"abstained", "cut_off", "cut_tokens", "first_token_s"})  # reported, never tested

Measures = dict[str, dict[str, float]]  # measure -> item id -> figure


def by_item(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Group rows by item, in order of appearance."""
    grouped: dict[str, list[Row]] = {}
    for row in rows:
        grouped.setdefault(row.outcome.item_id, []).append(row)
    return grouped


def measures(rows: Iterable[Row]) -> Measures:
    """Return every measure that the rows hold. An item without a figure is absent from that measure."""
    found: Measures = defaultdict(dict)
    for item_id, own in by_item(rows).items():
        for name, value in _of_item(own).items():
            found[name][item_id] = value
    return dict(found)


def option_scores(row: Row) -> dict[str, list[float]]:
    """Return the figures of options by name, each complete list in the file's order of options."""
    found: dict[str, dict[int, float]] = defaultdict(dict)
    for key, value in row.outcome.scores.items():
        name, _, place = key.rpartition("/")
        if name and place.isdecimal():
            found[name][int(place)] = value
    complete = {name: own for name, own in found.items() if row.options and set(own) == set(range(row.options))}
    return {name: [own[place] for place in range(row.options)] for name, own in complete.items()}


def _of_item(rows: Sequence[Row]) -> dict[str, float]:
    collected: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        for name, value in _of_row(row).items():
            if math.isfinite(value):
                collected[name].append(value)
    found = {name: sum(values) / len(values) for name, values in collected.items()}
    if rows[0].kind == "choice" and len(rows) > 1:
        found[CONSISTENCY] = agreement([row.outcome.chosen for row in rows])
    return found


def agreement(chosen: Sequence[int | None]) -> float:
    """Return the share of pairs of orders in which the same option was chosen; unparsed agrees with nothing."""
    pairs = list(combinations(chosen, 2))
    return sum(one is not None and one == other for one, other in pairs) / len(pairs)


def _of_row(row: Row) -> dict[str, float]:
    found = {name: value for name, value in row.outcome.scores.items() if not _is_place(name)}
    if row.kind == "choice":
        found[ACCURACY] = float(bool(row.outcome.correct))
        found[PARSED] = float(row.parsed)
        found |= _proper_scores(row)
    return found


def _proper_scores(row: Row) -> dict[str, float]:
    if row.answer_index is None:
        return {}
    found = {f"{name} of the right option": own[row.answer_index] for name, own in option_scores(row).items()}
    shares = probabilities(row.outcome)
    if shares is not None:
        found[P_CORRECT] = shares[row.answer_index]
        found[BRIER] = sum((share - (place == row.answer_index)) ** 2 for place, share in enumerate(shares))
    margin = margin_of(row)
    return found if margin is None else found | {MARGIN: margin}


def margin_of(row: Row) -> float | None:
    """Return by how much the right option leads (nats), where the row has log-likelihoods."""
    figures = option_scores(row).get(LOGLIKELIHOOD)
    if figures is None or row.answer_index is None or len(figures) < 2:
        return None
    return figures[row.answer_index] - max(figure for place, figure in enumerate(figures) if place != row.answer_index)


def _is_place(name: str) -> bool:
    head, _, tail = name.rpartition("/")
    return bool(head) and tail.isdecimal()
