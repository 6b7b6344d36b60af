"""Whether two evaluations of the same items agree: log-likelihoods, predictions, prompts, speed. Pure.

An item is one of `Pair`: what each side found for its options, in the file's order. A prediction that differs is
explained when the two best options lie closer together than both sides' rounding can tell apart.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

TOLERANCE: Final = 1e-3  # natural log, per option
MIN_IDENTICAL: Final = 0.99
MIN_SPEED: Final = {"letters": 1.15, "text": 1.5}


@dataclass(frozen=True)
class Pair:
    """One item on both sides. `theirs_correct` and `ours_correct` are each side's own judgement."""

    item_id: str
    ours: tuple[float, ...]
    theirs: tuple[float, ...]
    ours_correct: bool
    theirs_correct: bool
    same_prompt: bool

    @property
    def difference(self) -> float:
        """The largest difference of an option's log-likelihood."""
        return max(abs(mine - other) for mine, other in zip(self.ours, self.theirs, strict=True))

    @property
    def identical(self) -> bool:
        """Whether both choose the same option."""
        return _best(self.ours) == _best(self.theirs)

    @property
    def margin(self) -> float:
        """By how much our best option leads our second."""
        first, second, *_ = sorted(self.ours, reverse=True)
        return first - second


@dataclass(frozen=True)
class Turn:
    """One slice of items, timed on both sides: seconds by the clock and by the processor."""

    ours_s: float
    theirs_s: float
    ours_processor_s: float
    theirs_processor_s: float


def agreement(pairs: Sequence[Pair]) -> dict[str, Any]:
    """Return how far the sides agree, with every prediction that differs."""
    differences = sorted(pair.difference for pair in pairs)
    other = [pair for pair in pairs if not pair.identical]
    return {
        "items": len(pairs),
        "options": sum(len(pair.ours) for pair in pairs),
        "same_prompt": sum(pair.same_prompt for pair in pairs),
        "largest_difference": differences[-1],
        "median_difference": differences[len(differences) // 2],
        "beyond_tolerance": sum(value > TOLERANCE for value in differences),
        "identical": len(pairs) - len(other),
        "differing": [
            {
                "item": pair.item_id,
                "margin": pair.margin,
                "difference": pair.difference,
                "explained": explained(pair),
            }
            for pair in other
        ],
        "accuracy": {
            "ours": sum(pair.ours_correct for pair in pairs) / len(pairs),
            "theirs": sum(pair.theirs_correct for pair in pairs) / len(pairs),
        },
    }


def explained(pair: Pair) -> bool:
    """Tell whether rounding explains that the predictions differ: the lead is within both sides' difference."""
    return pair.difference <= TOLERANCE and pair.margin <= 2 * pair.difference


def speed(turns: Sequence[Turn]) -> dict[str, Any]:
    """Return seconds of both sides over all turns, and how many times as fast ours is."""
    ours, theirs = sum(turn.ours_s for turn in turns), sum(turn.theirs_s for turn in turns)
    ours_processor = sum(turn.ours_processor_s for turn in turns)
    theirs_processor = sum(turn.theirs_processor_s for turn in turns)
    return {
        "turns": len(turns),
        "seconds": {"ours": ours, "theirs": theirs},
        "processor_seconds": {"ours": ours_processor, "theirs": theirs_processor},
        "ratio": theirs / ours,
        "processor_ratio": theirs_processor / ours_processor,
        "slowest_turn": min(turn.theirs_s / turn.ours_s for turn in turns),
        "fastest_turn": max(turn.theirs_s / turn.ours_s for turn in turns),
    }


def verdict(comparison: Mapping[str, Any]) -> dict[str, bool]:
    """Return which bounds a comparison (agreement, speed, method) meets."""
    agreed, items = comparison["agreement"], comparison["agreement"]["items"]
    return {
        "prompts": agreed["same_prompt"] == items,
        "log_likelihoods": agreed["beyond_tolerance"] == 0,
        "predictions": agreed["identical"] >= MIN_IDENTICAL * items,
        "explained": all(entry["explained"] for entry in agreed["differing"]),
        "speed by the clock": comparison["speed"]["ratio"] >= MIN_SPEED[comparison["method"]],
        "speed by the processor": comparison["speed"]["processor_ratio"] >= MIN_SPEED[comparison["method"]],
    }


def _best(values: Sequence[float]) -> int:
    return max(range(len(values)), key=lambda place: values[place])
