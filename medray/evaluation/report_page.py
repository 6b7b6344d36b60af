"""`docs/evaluation.md` from recorded results alone."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from medray.evaluation.tables import Rendered, measure_rows, overview
from medray.report import markdown_table, provenance_line

_INTRODUCTION: Final = """# Evaluation

```
python -m jobs.evaluate --set model=MODEL_OR_URL --set tasks.medqa=FILE --set tasks.pubmedqa=FILE --out DIR
medray compare DIR_A DIR_B
```

`MODEL` is a hub id, a pulled name, a folder, an artifact or one of its formats; a URL is any OpenAI-compatible
endpoint (with `--set mode=generate`; its key comes from an environment variable). Task names that begin with `medqa`,
`medmcqa`, `pubmedqa`, `mmlu` or `medquad` are read as those exams, in the corpora's own formats or as Parquet; other
names by their rows, so one's own exam needs no code. All keys: `jobs/configs/evaluate.yaml`.
"""
_KEYS: Final = (
    (
        "`mode`",
        "`loglikelihood` scores letters or texts; `generate` has answers written and reads them, after `<think>`",
    ),
    ("`loglikelihood.method`, `.normalise`", "letters, or the options' text; by characters, by bytes or not at all"),
    ("`loglikelihood.style`", "lm-evaluation-harness's prompts, or the model's chat template"),
    ("`loglikelihood.repeats`, `generation.repeats`", "orders of the options: consistency; an item still counts once"),
    ("`loglikelihood.few_shot`, `generation.few_shot`", "solved examples from a train split"),
    ("`training.corpora`", "what the model was trained on: items found there are listed, their accuracy told apart"),
    ("`teacher`", "an evaluation of the teacher on the same items: knowledge retention (KRR)"),
    ("`run.workers`", "Ray actors; 0 stays in this process"),
    ("`write_quality`", "writes lower bounds per class into the artifact's manifest, where the selector reads them"),
)
_RULES: Final = """
`DIR` holds `items.parquet` (a row per item and order: prompt hash, raw output, what was read in it, every score),
`summary.json` and `report.html`, one file that opens offline. A killed run is resumed by the same command. An item
that kills or hangs its worker is found by halving its chunk, tried once more alone, recorded as failed, counted as
wrong, and the run goes on. Many failures in a row are the engine's: the run ends, records none of them, can be resumed.

**Before a run** the least difference that it can find is printed. **After it** accuracy never stands alone: beside it
are guessing, the best constant answer, the letters given, the share unparsed and failed. Intervals are bootstrap (BCa)
over items; tests against guessing are exact binomial, adjusted for the number of tasks (Holm); comparisons are paired,
by exact McNemar or sign flips. Several tasks and measures are several tests: look at the adjusted p.
"""


def render(recorded: Mapping[str, Any]) -> str:
    """Render the page; a part without a record is left out."""
    parts = [_INTRODUCTION, markdown_table(("key", "what it does"), _KEYS), _RULES]
    if "summary.json" in recorded:
        parts.append(_exams(recorded["summary.json"]))
    if "controls.json" in recorded:
        parts.append(_controls(recorded["controls.json"]))
    if "tables.json" in recorded:
        parts.append(_tables(recorded["tables.json"]))
    return "\n".join(parts)


def _exams(summary: Mapping[str, Any]) -> str:
    tasks = summary["tasks"]
    lines = [f"- **{name}**: {note}" for name, task in tasks.items() for note in task["notes"]]
    strata = [
        (name, part, own["n"], _share(own["accuracy"]), _range(own))
        for name, task in tasks.items()
        for part, own in task.get("strata", {}).items()
        if own["accuracy"] is not None
    ]
    planned = [
        (name, own["n"], _points(own["detectable_from_chance"]), _points(own["detectable_between_models"]))
        for name, own in summary["plan"].items()
    ]
    parts = [
        f"## {summary['model']} on {len(tasks)} exams\n",
        overview(tasks),
        "What that means:\n",
        *lines,
        f"\nOn {_guessed(tasks)} of {len(tasks)} tasks the interval of accuracy holds guessing; on {_constant(tasks)} "
        "always giving one same answer would score no less. These exams show no medical knowledge in this model.\n"
        if _constant(tasks) == len(tasks)
        else "",
        _tests(tasks),
        "### Other measures\n",
        markdown_table(("task", "measure", "mean [interval]", "n"), measure_rows(tasks)),
        "### By stratum\n",
        markdown_table(("task", "stratum", "n", "accuracy", "interval"), strata),
        "### What the run could find\n",
        markdown_table(("task", "n", "above guessing", "between two models"), planned),
        provenance_line(summary),
        f"Figures made from the rows of that run at commit `{summary['summarised_at_commit']}`.\n",
    ]
    return "\n".join(parts)


def _guessed(tasks: Mapping[str, Any]) -> int:
    return sum(own["kind"] == "choice" and own["low"] <= own["chance"] <= own["high"] for own in tasks.values())


def _constant(tasks: Mapping[str, Any]) -> int:
    return sum(own["kind"] == "choice" and own["accuracy"] <= own["best_constant"] for own in tasks.values())


def _tests(tasks: Mapping[str, Any]) -> str:
    rows = [
        (name, f"{own['p_chance']:.3g}", f"{own['p_chance_holm']:.3g}", _calibration(own["calibration"]))
        for name, own in tasks.items()
        if own.get("p_chance") is not None
    ]
    header = ("task", "p against guessing", "adjusted (Holm)", "expected calibration error")
    return markdown_table(header, rows)


def _controls(record: Mapping[str, Any]) -> str:
    rows = [
        (
            name,
            one["task"],
            one["measure"],
            f"{one['first']:.4g}",
            f"{one['second']:.4g}",
            _p(one["p_holm"]),
            one["test"],
        )
        for name, own in record["controls"].items()
        for one in _best(own)
    ]
    counts = [
        (
            name,
            sum(one["below"] for one in own),
            len(own),
            sum(one["better"] == "second" and one["p_holm"] < 0.05 for one in own),
        )
        for name, own in record["controls"].items()
    ]
    head = (
        "## Do the tools tell good from bad?\n\n"
        f"Three systems known to be worse, each compared with the intact {record['model']} on the same items "
        f"({record['limit']} a task where answers are scored, {record['generate_limit']} where they are written): "
        'a real model that says " A" whatever it reads, the model with layers '
        f"{record['swap'][0]} and {record['swap'][1]} exchanged, and one that answers with the question. Measures that "
        "place them below it, at most three each:\n"
    )
    parts = [
        head,
        markdown_table(("control", "task", "measure", "intact", "control", "p (Holm)", "test"), rows),
        "All measures:\n",
        markdown_table(("control", "placed below by", "of", "placed above by"), counts),
        "A memorised test set shows in no score: `training.corpora` lists the items that stand in it.\n",
        provenance_line(record),
    ]
    return "\n".join(parts)


def _best(measured: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    return sorted((one for one in measured if one["below"]), key=lambda one: one["p_holm"])[:3]


def _tables(record: Mapping[str, Any]) -> str:
    made = [
        Rendered(own["title"], tuple(own["header"]), tuple(map(tuple, own["rows"])), own["claims"])
        for own in record["tables"]
    ]
    lead = (
        "## Beside the paper\n\nThe paper's numbers are its claims, on its own models and machines. Ours are of small "
        f"models on the machine named below, {record['limit']} items a task: what the commands give, no comparison.\n"
    )
    return "\n".join([lead, *(own.markdown() for own in made), provenance_line(record)])


def _share(value: float) -> str:
    return f"{value:.1%}"


def _range(own: Mapping[str, Any]) -> str:
    return f"{own['low']:.1%} to {own['high']:.1%}"


def _points(value: float | None) -> str:
    return "–" if value is None else f"{value * 100:.1f} points"


def _p(value: float) -> str:
    return f"{value:.2g}"


def _calibration(own: Mapping[str, Any] | None) -> str:
    return "–" if own is None else f"{own['ece']:.3f} [{own['low']:.3f}, {own['high']:.3f}]"
