"""What a reader must know before a figure is believed, in sentences."""

from collections.abc import Mapping
from typing import Any, Final

ONE_LETTER: Final = 0.8
UNPARSED: Final = 0.05
FEW: Final = 100


def notes(summary: Mapping[str, Any]) -> list[str]:
    """Return the sentences for one task's summary; none is good news."""
    found = []
    if summary["kind"] == "choice":
        found += _guessing(summary) + _letters(summary)
        if summary["unparsed"] > UNPARSED:
            found.append(f"{summary['unparsed']:.1%} of the answers could not be read; they count as wrong.")
    if summary["failed"]:
        kinds = ", ".join(f"{name} {count}" for name, count in summary["failures"].items())
        found.append(f"{summary['failed']} items failed ({kinds}); an exam question that failed counts as wrong.")
    if summary["n"] < FEW:
        found.append(f"Only {summary['n']} items: the interval says how little that shows.")
    return found


def contamination_note(own: Mapping[str, Any]) -> str:
    """Return the sentence for a task of which the training corpus holds items."""
    clean, seen = own["accuracy_clean"], own["accuracy_affected"]
    said = f"{own['affected']} of {own['n']} items stand in the training corpus: a score on those is memory"
    if seen is not None:
        said += f" ({seen['value']:.1%} right"
        said += ")" if clean is None else f", against {clean['value']:.1%} of the others)"
    return said + "."


def _guessing(summary: Mapping[str, Any]) -> list[str]:
    found = []
    accuracy, low, high = (summary[name] for name in ("accuracy", "low", "high"))
    if low <= summary["chance"] <= high:
        found.append(f"Not told apart from guessing ({summary['chance']:.1%}): the interval holds it.")
    elif high < summary["chance"]:
        found.append(f"Below guessing ({summary['chance']:.1%}): look at the letters and at what was parsed.")
    if accuracy <= summary["best_constant"] and summary["best_constant"] > summary["chance"]:
        found.append(f"Always giving one same answer would score {summary['best_constant']:.1%}, no less than this.")
    return found


def _letters(summary: Mapping[str, Any]) -> list[str]:
    share = summary["top_letter_share"]
    if share is None or share < ONE_LETTER:
        return []
    top = max(summary["letters"], key=summary["letters"].__getitem__)
    return [f"'{top}' is {share:.1%} of the answers: accuracy here shows a preference for it, not knowledge."]
