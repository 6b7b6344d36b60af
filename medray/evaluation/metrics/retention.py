"""Knowledge retention rate: of what the teacher answers right, how much the student answers right too (T3).

Counted: an item is the teacher's if most of its orders were answered right; the student's share of right orders is
averaged over those items. Soft: both by the probability they give the right option, weighted by the teacher's. Beside
them stand what guessing would retain, and what a student whose errors had nothing to do with the teacher's would.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from medray.errors import DataError
from medray.evaluation.metrics.calibration import probabilities
from medray.evaluation.schema import Outcome

_MOST = 0.5


@dataclass(frozen=True, slots=True)
class Retention:
    """KRR of a student against a teacher. `items` are answered by both, `taught` those the teacher has right.

    `soft` is None unless both have log-likelihoods of all options. `chance` is KRR of guessing among the options,
    `independent` the student's accuracy on all items: KRR above it means that knowledge was passed on.
    """

    counted: float
    soft: float | None
    chance: float
    independent: float
    taught: int
    items: int


@dataclass(frozen=True, slots=True)
class _Standing:
    """One system's standing on one item."""

    right: float
    probability: float | None
    options: int


def retention(teacher: Sequence[Outcome], student: Sequence[Outcome], answers: Mapping[str, int]) -> Retention:
    """Return the KRR. `answers` gives the right place by item. Raises DataError when the teacher has none right."""
    known, own = _standings(teacher, answers), _standings(student, answers)
    common = sorted(known.keys() & own.keys())
    taught = [item for item in common if known[item].right > _MOST]
    if not taught:
        raise DataError(f"expected items that the teacher answers right, got none of {len(common)} in common")
    return Retention(
        counted=sum(own[item].right for item in taught) / len(taught),
        soft=_soft([(known[item].probability, own[item].probability) for item in common]),
        chance=sum(1 / own[item].options for item in taught) / len(taught),
        independent=sum(own[item].right for item in common) / len(common),
        taught=len(taught),
        items=len(common),
    )


def retained(teacher: Sequence[Outcome], student: Sequence[Outcome], answers: Mapping[str, int]) -> dict[str, float]:
    """Return, for each item the teacher has right, the student's share of right orders: what intervals are made of."""
    known, own = _standings(teacher, answers), _standings(student, answers)
    return {item: own[item].right for item in known.keys() & own.keys() if known[item].right > _MOST}


def _soft(pairs: Iterable[tuple[float | None, float | None]]) -> float | None:
    total = weight = 0.0
    for taught, own in pairs:
        if taught is None or own is None:
            return None
        total += taught * own
        weight += taught
    return total / weight if weight else None


def _standings(outcomes: Sequence[Outcome], answers: Mapping[str, int]) -> dict[str, _Standing]:
    grouped: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        if outcome.item_id in answers:
            grouped.setdefault(outcome.item_id, []).append(outcome)
    return {item: _standing(own, answers[item]) for item, own in grouped.items()}


def _standing(outcomes: Sequence[Outcome], answer: int) -> _Standing:
    shares = [probabilities(outcome) for outcome in outcomes]
    known = [share[answer] for share in shares if share is not None]
    return _Standing(
        right=sum(bool(outcome.correct) for outcome in outcomes) / len(outcomes),
        probability=sum(known) / len(known) if len(known) == len(outcomes) else None,
        options=max(1, len(outcomes[0].order)),
    )
