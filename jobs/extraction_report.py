"""Count how well answers are read and render docs/extraction.md: `python -m jobs.extraction_report [FILE BLIND]`.

A `first` score in docs/results/extraction.json is never overwritten: a set gave it before anything was corrected.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from medray.config import config_hash
from medray.errors import MedrayError
from medray.evaluation.extraction_scores import by_origin, count, read_labelled
from medray.report import markdown_table, provenance, provenance_line

ROOT = Path(__file__).parents[1]
RECORD = ROOT / "docs/results/extraction.json"
PAGE = ROOT / "docs/extraction.md"
FILES = ("tests/unit/evaluation/outputs.jsonl", "tests/unit/evaluation/outputs_blind.jsonl")
_COLUMNS = ("n", "right", "unparsed", "misread", "in_favour")
_INTRODUCTION = """# How well answers are read

A generated answer counts only if the option it chose can be read from its answer part. `medray.evaluation.extraction`
reads it by rules; this page counts how often they agree with a person who labelled the outputs by hand.

**What a label is.** The one option that the answer part commits to in the end, or none: for refusals, several options,
a letter with another option's words ("B. Aspirin" where B is something else), reasoning that was never closed, answers
to a question the model made up, and self-contradiction without a word of correction.

**What is counted.** *Right*: the rules give the label. *Unparsed*: a person reads an option, the rules none; in an
evaluation such an answer is counted as wrong and as unparsed. *Misread*: the rules give an option that is not the
label; *in favour* if it happens to be the correct one, which would flatter the model.
"""
_READING = """## How answers are read

1. Reasoning is left out: `<think>` and its relatives, `[THINK]`, channels, "## Thinking" headings. Reasoning that is
   still open at the end means that there is no answer, whatever it says.
2. What the model made up after its answer (a further question, a further turn) is cut off.
3. Markup goes. Claims are then looked for, plainest first: "final answer"; a box, tag or JSON field; "the answer is",
   "I choose", "B is correct"; "the best drug is", "so B", one line of verdict per option; an option that stands first.
   Options are read by letter or by their own words.
4. Questions, negations, what others may say and what would hold in another case claim nothing.
5. The plainest kind present decides. Two of that kind that differ leave the answer unparsed, unless the second one
   corrects the first in so many words ("wait", "I made a mistake").
"""
_LIMITS = """## Limits

All outputs but those of SmolLM2-135M were written by the author of the rules. The blind set was written and committed
before any rule existed and scored once when the rules were done, but by the same hand, and its outputs were known while
the rules were drawn up: its first score is an upper bound of what to expect, not an estimate. The adversarial outputs
were written after the rules, against them; their first score is the more honest one. Outputs of large reasoning models
are not among them. English, with the commonest phrase of five other languages.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Count, record and write the page."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    files = given or [str(ROOT / name) for name in FILES]
    if len(files) != len(FILES):
        print(f"expected two files of labelled outputs or none, got {len(files)}", file=sys.stderr)
        return MedrayError.exit_code
    try:
        record = measure([Path(name) for name in files], given)
    except MedrayError as error:
        print(f"jobs.extraction_report: {error}", file=sys.stderr)
        return error.exit_code
    RECORD.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    PAGE.write_text(page(record), encoding="utf-8")
    return 0


def measure(files: Sequence[Path], given: Sequence[str] = ()) -> dict[str, Any]:
    """Return the record: what the rules of today give, and the first scores as they were recorded."""
    known, blind = (read_labelled(path) for path in files)
    sets = {**by_origin(known), "all": count(known), "blind": count(blind)}
    before = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.is_file() else {"first": {}}
    source = provenance(
        seed=None, config_hash=config_hash({}), command=("python", "-m", "jobs.extraction_report", *given)
    )
    return {"sets": sets, "first": before["first"], "provenance": source}


def page(record: Mapping[str, Any]) -> str:
    """Render the record."""
    now = [[name, *(values[key] for key in _COLUMNS)] for name, values in record["sets"].items()]
    first = [
        [name, values["commit"], *(values[key] for key in _COLUMNS), values["note"]]
        for name, values in record["first"].items()
    ]
    header = ["set", "outputs", "right", "unparsed", "misread", "in favour"]
    rest = sorted({name for values in record["sets"].values() for name in values["not_right"]})
    return "\n".join(
        [
            _INTRODUCTION,
            "## First scores\n",
            "What a set gave the first time the rules met it, before anything was corrected.\n",
            markdown_table([header[0], "rules at commit", *header[1:], "note"], first),
            "## Today\n",
            "*written*: by hand, many formats; *smollm2-135m*: what that model really wrote; *adversarial*: written "
            "against the rules. The rules were corrected on all of these, so this is a guard against regressions.\n",
            markdown_table(header, now),
            f"Not read right: {', '.join(rest) or 'none'} (ids in the files under tests/unit/evaluation).\n",
            _READING,
            _LIMITS,
            provenance_line(record),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
