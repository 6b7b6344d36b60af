"""Measure what docs/placement.md says: `python -m jobs.device_map_report --out docs/results/placement.json`.

Without `--out` it renders the page from what is recorded. About ten minutes on two cores.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from medray.compression.placement.page import render
from medray.compression.placement.shows import comparisons, five_plans, solver_times, summary, unlike_layers
from medray.config import config_hash
from medray.models import resolve
from medray.report import provenance

ROOT = Path(__file__).parents[1]
RECORD = ROOT / "docs/results/placement.json"
PAGE = ROOT / "docs/placement.md"
_SETTINGS: dict[str, Any] = {
    "seed": 0,
    "random_machines": 9,
    "cases": 200,
    "time_limit_s": 60.0,
    "model": "smollm2-135m",
    "threads": 1,
    "rounds": 15,
    "budget_s": 90.0,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure into `--out`, if it is given, and write the page from the record."""
    parser = argparse.ArgumentParser(
        prog="python -m jobs.device_map_report", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="measure, and write the record there")
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = parser.parse_args(given)
    if options.out is not None:
        options.out.write_text(json.dumps(measure(given), indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(render(json.loads(RECORD.read_text(encoding="utf-8"))), encoding="utf-8")
    return 0


def measure(given: Sequence[str]) -> dict[str, Any]:
    """Run everything that the page shows."""

    def tell(what: str) -> None:
        print(what, file=sys.stderr)

    known = _SETTINGS
    plans = five_plans(
        resolve(known["model"]),
        threads=known["threads"],
        rounds=known["rounds"],
        budget_s=known["budget_s"],
        tell=tell,
    )
    cases = comparisons(known["cases"], known["seed"], tell)
    return {
        "five_plans": plans,
        "solver": solver_times(known["random_machines"], known["seed"], tell),
        "unlike_layers": unlike_layers(known["seed"], known["time_limit_s"], tell),
        "accelerate": {"summary": summary(cases), "cases": cases},
        "settings": known,
        "provenance": provenance(
            seed=known["seed"],
            config_hash=config_hash(known),
            command=("python", "-m", "jobs.device_map_report", *given),
        ),
    }


if __name__ == "__main__":
    sys.exit(main())
