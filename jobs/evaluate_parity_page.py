"""`python -m jobs.evaluate_parity_page RECORD...`: keep records of `jobs.evaluate_parity`, render the page on them."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from medray.evaluation.parity_page import render

ROOT = Path(__file__).parents[1]
RECORD = ROOT / "docs/results/evaluation_parity.json"
PAGE = ROOT / "docs/evaluation-parity.md"


def main(arguments: Sequence[str] | None = None) -> int:
    """Keep the records named, in order, and write the page; without any, render what is kept."""
    named = sys.argv[1:] if arguments is None else arguments
    if named:
        records = [json.loads(Path(path).read_text(encoding="utf-8")) for path in named]
        RECORD.write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(render(json.loads(RECORD.read_text(encoding="utf-8"))), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
