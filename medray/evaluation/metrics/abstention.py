"""Abstention: how often a system declines, and whether it is right more often when it does not. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from medray.evaluation.schema import Outcome

ABSTAINED = "abstained"


@dataclass(frozen=True, slots=True)
class Abstention:
    """Shares of all outcomes: answered, declined, neither (unparsed or failed); accuracy of all and of the answered.

    `accuracy_answered` is None when nothing was answered. A system that declines what it does not know has it above
    `accuracy`; one that declines at random has not.
    """

    answered: float
    declined: float
    other: float
    accuracy: float
    accuracy_answered: float | None
    n: int


def abstention(outcomes: Sequence[Outcome]) -> Abstention | None:
    """Return the abstention of exam outcomes; None without any."""
    n = len(outcomes)
    if not n:
        return None
    answered = [outcome for outcome in outcomes if outcome.chosen is not None]
    declined = sum(outcome.scores.get(ABSTAINED, 0.0) > 0 for outcome in outcomes if outcome.chosen is None)
    right = sum(bool(outcome.correct) for outcome in answered)
    return Abstention(
        answered=len(answered) / n,
        declined=declined / n,
        other=(n - len(answered) - declined) / n,
        accuracy=right / n,
        accuracy_answered=right / len(answered) if answered else None,
        n=n,
    )


def risk_coverage(confidence: Sequence[float], right: Sequence[bool]) -> list[tuple[float, float]]:
    """Return (share answered, error rate of those) when only the most confident are answered, for each such share.

    Answers of equal confidence are answered together.
    """
    pairs = sorted(zip(confidence, right, strict=True), reverse=True)
    curve, wrong = [], 0
    for place, (value, hit) in enumerate(pairs, start=1):
        wrong += not hit
        if place == len(pairs) or pairs[place][0] != value:
            curve.append((place / len(pairs), wrong / place))
    return curve


def area_under_risk(confidence: Sequence[float], right: Sequence[bool]) -> float | None:
    """Return the mean error rate over all shares answered (AURC): lower is better, 0 is perfect."""
    curve = risk_coverage(confidence, right)
    area = last = 0.0
    for share, risk in curve:
        area, last = area + risk * (share - last), share
    return area if curve else None
