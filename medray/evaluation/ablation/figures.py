"""Named figures of one trial, out of the summaries that training and evaluations left."""

from collections.abc import Mapping
from typing import Any


def figures_of(training: Mapping[str, Any], evaluations: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """Flatten to `valid/ce`, `valid/kl` and, per evaluation, `name/task/measure`."""
    found = {f"valid/{term}": value for term, value in training["valid_after"].items() if value is not None}
    for name, summary in evaluations.items():
        for task, own in summary["tasks"].items():
            found |= {f"{name}/{task}/{measure}": one["value"] for measure, one in own["measures"].items()}
            if own["kind"] == "choice":
                found[f"{name}/{task}/accuracy"] = own["accuracy"]
            if own.get("retention"):
                found[f"{name}/{task}/krr"] = own["retention"]["counted"]
    return found
