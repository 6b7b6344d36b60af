"""`python -m jobs.prepare_page SUMMARY...`: record runs of `jobs.prepare` and render `docs/preparation.md`."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from medray.report import markdown_table, provenance_line

ROOT = Path(__file__).parents[1]
RECORD = ROOT / "docs/results/prepare.json"
PAGE = ROOT / "docs/preparation.md"
_INTRODUCTION = """# Corpora to lessons, measured

`python -m jobs.prepare` reads corpora as a Ray Data job, drops what cannot be used, splits by question and writes
lessons. Seconds hold the start of Ray and are those of one run on the machine named below each table.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Record the summaries named, in order, and write the page; without any, render what is recorded."""
    named = sys.argv[1:] if arguments is None else arguments
    if named:
        runs = [json.loads(Path(path).read_text(encoding="utf-8")) for path in named]
        RECORD.write_text(json.dumps(runs, indent=2) + "\n", encoding="utf-8")
    PAGE.write_text(page(json.loads(RECORD.read_text(encoding="utf-8"))), encoding="utf-8")
    return 0


def page(runs: Sequence[Mapping[str, Any]]) -> str:
    """Render the recorded runs."""
    return "\n".join([_INTRODUCTION, *(_section(run) for run in runs)])


def _section(run: Mapping[str, Any]) -> str:
    names = ", ".join(run["sources"])
    dropped = [[reason, count] for reason, count in run["not_used"].items()]
    categories = sorted({category for split in run["categories"].values() for category in split})
    counts = [[name, *(run["categories"][split].get(name, 0) for split in run["splits"])] for name in categories]
    parts = [
        f"## {names}\n",
        f"{run['rows']:,} rows to {run['lessons']:,} lessons in {run['seconds']} s, "
        f"kept away from {run['test_questions']:,} test questions.\n",
        markdown_table(["not used because", "rows"], dropped) if dropped else "Every row was used.\n",
        markdown_table(["class (by the keyword classifier)", *run["splits"]], counts),
        provenance_line(run),
    ]
    return "\n".join(parts)


if __name__ == "__main__":
    sys.exit(main())
