"""Publish evaluations: `python -m jobs.evaluate_page [DIR ...]` records them and renders `docs/evaluation.md`.

A DIR is the output of `jobs.evaluate`, `jobs.evaluate_controls` or `jobs.tables`; without any, what is recorded is
rendered anew. An evaluation's figures are made anew from its rows, by the present code, and the record says so.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from medray.evaluation.report_page import render
from medray.evaluation.rows import read_rows
from medray.evaluation.runner_evaluation import SUMMARY
from medray.evaluation.runner_finished import ITEMS
from medray.evaluation.summary import summarise
from medray.report import commit

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/evaluation.md"
RECORDS = {
    SUMMARY: ROOT / "docs/results/evaluation.json",
    "controls.json": ROOT / "docs/results/evaluation_controls.json",
    "tables.json": ROOT / "docs/results/evaluation_tables.json",
}
_LEFT_OUT = ("config", "quality")


def main(arguments: Sequence[str] | None = None) -> int:
    """Record the folders named and write the page."""
    for folder in sys.argv[1:] if arguments is None else arguments:
        made = [name for name in RECORDS if (Path(folder) / name).is_file()]
        if not made:
            print(f"expected one of {', '.join(RECORDS)} in {folder}, found none", file=sys.stderr)
            return 2
        for name in made:
            data = json.loads((Path(folder) / name).read_text(encoding="utf-8"))
            if name == SUMMARY:
                data["tasks"] = summarise(read_rows(Path(folder) / ITEMS), level=data["level"])
                data["summarised_at_commit"] = commit(ROOT)
            RECORDS[name].write_text(json.dumps(_record(data), indent=2) + "\n", encoding="utf-8")
    PAGE.write_text(render(recorded()), encoding="utf-8")
    return 0


def recorded() -> dict[str, Any]:
    """Return what is recorded, by file name."""
    return {name: json.loads(path.read_text(encoding="utf-8")) for name, path in RECORDS.items() if path.is_file()}


def _record(data: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what no page shows."""
    return {name: value for name, value in data.items() if name not in _LEFT_OUT}


if __name__ == "__main__":
    sys.exit(main())
