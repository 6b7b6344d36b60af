"""`python -m jobs.readme [SUMMARY]`: write the parts of README.md that are made from the tree and a recorded run.

With the `summary.json` of a quickstart, that run is recorded first.
"""

import io
import json
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from jobs.quickstart_report import show

_ROOT = Path(__file__).parents[1]
_RECORD = _ROOT / "docs/results/quickstart.json"
_WIDTH = 110

# What stands beside a folder or file; everything listed must exist, and every package of medray must be listed.
_TREE = {
    "Makefile": "setup, quickstart, test, check, serve",
    "cluster.yaml": "a cloud GPU cluster for `ray up`",
    "medray/config.py": "the one config system: frozen, YAML, --set a.b=v",
    "medray/errors.py": "the error tree and its exit codes",
    "medray/log.py": "structured logs that cannot hold text",
    "medray/cluster.py": "the one way into Ray",
    "medray/report.py": "provenance, tables rendered from committed JSON",
    "medray/statistics/": "intervals, paired tests, detectable differences",
    "medray/artifacts/": "manifests, atomic writes, content hashes, URIs",
    "medray/models/": "resolve, load, pull, prune, quantised layers, device probes",
    "medray/data/": "readers of the corpora, cleaning, leakage, splits, the sample",
    "medray/knowledge/": "question classes, prompts, lessons",
    "medray/distillation/": "losses, LoRA, schedule, order, teacher, training loop, Ray Train",
    "medray/compression/": "plan, merge, backends, measurements",
    "medray/inference/": "the Engine protocol, its engines, the response cache",
    "medray/serving/": "decision, API, selector, pools, monitor",
    "medray/evaluation/": "exam and open-answer tasks, scorers, metrics, runner",
    "medray/cli/": "the medray command",
    "jobs/": "the jobs, run with python -m; their configs/*.yaml",
    "serve_configs/": "applications for `serve run` and `serve deploy`",
    "docs/": "pages rendered from docs/results/*.json",
    "tests/": "unit (no Ray), ray (local cluster), e2e (as a user)",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Rewrite the generated blocks, after recording the summary that is named, if any."""
    for summary in (sys.argv[1:] if arguments is None else arguments)[:1]:
        shutil.copyfile(summary, _RECORD)
    path = _ROOT / "README.md"
    text = path.read_text(encoding="utf-8")
    text = _put(text, "tree", tree_block(_ROOT))
    recorded = json.loads(_RECORD.read_text(encoding="utf-8"))
    text = _put(text, "quickstart", quickstart_block(recorded))
    path.write_text(text, encoding="utf-8")
    return 0


def tree_block(root: Path) -> str:
    """Render the file tree. Raises FileNotFoundError for an entry that is not there or a package that is not listed."""
    for name in _TREE:
        if not (root / name).exists():
            raise FileNotFoundError(f"the tree lists {name}, which does not exist")
    for package in sorted((root / "medray").glob("*/__init__.py")):
        name = f"medray/{package.parent.name}/"
        if name not in _TREE:
            raise FileNotFoundError(f"{name} exists, the tree does not list it")
    width = max(map(len, _TREE)) + 2
    return "```\n" + "".join(f"{name:<{width}}{what}\n" for name, what in _TREE.items()) + "```\n"


def quickstart_block(recorded: Mapping[str, Any]) -> str:
    """Render what `make quickstart` printed, from its summary."""
    stream = io.StringIO()
    show(recorded, Console(file=stream, width=_WIDTH, color_system=None, legacy_windows=False))
    lines = [line.rstrip() for line in stream.getvalue().splitlines()]
    return "```\n" + "\n".join(lines) + "\n```\n"


def _put(text: str, name: str, block: str) -> str:
    begin, end = f"<!-- {name}:begin -->\n", f"<!-- {name}:end -->"
    return re.sub(re.escape(begin) + ".*?" + re.escape(end), lambda _: begin + block + end, text, flags=re.DOTALL)


if __name__ == "__main__":
    sys.exit(main())
