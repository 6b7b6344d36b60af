"""The command behind `python -m medray.knowledge.confusion`: classify labelled files, commit the counts, render a page.

Files in, `docs/results/classification*.json` out; `--page` renders result files into docs/classification.md, always
from the JSON. Counting is medray.knowledge.confusion's, reading medray.knowledge.labelled's.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from medray.artifacts import hash_file
from medray.errors import DataError, MedrayError
from medray.knowledge.classification import classify
from medray.knowledge.confusion import Ratio, confusion
from medray.knowledge.labelled import read_labelled
from medray.knowledge.lexicon import CATEGORIES, load_lexicon
from medray.report import markdown_table, provenance, provenance_line

INTRODUCTION = """# How often the question classifier is wrong

Keyword classification (PAPER Eq. 1) against labelled questions. A row is the true class, a column the predicted one.
The page is rendered from the JSON files named below; `config hash` is that of the lexicon.

Read it with care. MedQuAD asks every question of a type with the same template, so a high figure there says only that
the templates are covered. The plain-speech sets say more; they are small, and written by the author of the lexicon.
The figures to expect in use are those taken before the lexicon was tuned on a set: the first and the second look. The
others guard against regressions. A question that matches nothing becomes `general`, which is the commonest error.
"""


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        if options.files:
            result = measure(
                options.files, note=options.note, command=["python -m medray.knowledge.confusion", *arguments]
            )
            _write(options.out, json.dumps(result, indent=1, ensure_ascii=False) + "\n")
        if options.page:
            _write(options.page, render_page(options.results or [options.out]))
    except MedrayError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    return 0


def measure(files: Sequence[Path], *, note: str, command: Sequence[str]) -> dict[str, Any]:
    """Classify every labelled question of the files; returns plain data for JSON."""
    sets = [_measure_file(path) for path in files]
    made = provenance(seed=None, config_hash=load_lexicon().content_hash, command=command)
    return {"note": note, "sets": sets, "provenance": made}


def render_page(results: Sequence[Path]) -> str:
    """Render result files as one Markdown page. Raises DataError for a file that is no result."""
    parts = [INTRODUCTION]
    for path in results:
        try:
            parts.append(_render_result(path.name, json.loads(path.read_text(encoding="utf-8"))))
        except (OSError, ValueError, KeyError) as error:
            raise DataError(f"expected a result of this command at {path}, got {type(error).__name__}") from None
    return "\n".join(parts)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m medray.knowledge.confusion", description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="labelled questions, .parquet or .jsonl")
    parser.add_argument("--out", type=Path, default=Path("docs/results/classification.json"))
    parser.add_argument("--note", default="", help="a sentence stored with the result")
    parser.add_argument("--page", type=Path, help="render the results into this Markdown page")
    parser.add_argument("--results", type=Path, nargs="*", metavar="JSON", help="results for --page (default: --out)")
    return parser


def _measure_file(path: Path) -> dict[str, Any]:
    labelled = read_labelled(path)
    counted = confusion((gold, classify(question).category) for question, gold in labelled.rows)
    return {
        "name": path.name,
        "sha256": hash_file(path),
        "left_out": labelled.left_out,
        "accuracy": _ratio(counted.accuracy),
        "table": counted.table,
        "recall": {category: _ratio(counted.recall(category)) for category in CATEGORIES},
        "precision": {category: _ratio(counted.precision(category)) for category in CATEGORIES},
    }


def _ratio(ratio: Ratio) -> dict[str, float | int | None]:
    return {"hits": ratio.hits, "total": ratio.total, "value": ratio.value}


def _render_result(name: str, result: Mapping[str, Any]) -> str:
    sections = [f"## {name}\n\n{result['note']}\n"]
    sections += [_render_set(one) for one in result["sets"]]
    return "\n".join([*sections, provenance_line(result)])


def _render_set(one: Mapping[str, Any]) -> str:
    golds = [category for category in CATEGORIES if one["recall"][category]["total"]]
    header = ["true class", *CATEGORIES, "recall", "precision"]
    rows = [
        [gold, *(one["table"][gold][found] for found in CATEGORIES), *(_share(one[kind][gold]) for kind in header[-2:])]
        for gold in golds
    ]
    left_out = f"; {one['left_out']:,} rows of types that belong to no class are left out" if one["left_out"] else ""
    return f"### {one['name']}\n\nRight: {_share(one['accuracy'])}{left_out}.\n\n{markdown_table(header, rows)}"


def _share(ratio: Mapping[str, Any]) -> str:
    share = "none" if ratio["value"] is None else f"{100 * ratio['value']:.1f} %"
    return f"{share} ({ratio['hits']:,}/{ratio['total']:,})"


def _write(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
