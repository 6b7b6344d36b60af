"""The HTML report of a run: one file, offline, figures with what makes them mean less beside them.

Rendered from `summary.json` alone: it holds no question and no answer.
"""

import json
from collections.abc import Mapping
from html import escape
from typing import Any

from medray.evaluation import report_plots as plots
from medray.evaluation.tables import OVERVIEW, Rendered, measure_rows, overview_rows
from medray.evaluation.tables_runs import accuracy_table, resources_table
from medray.report import html_page, html_table, provenance_line

NOTICE = "For research and engineering. Not a medical device; exam scores are no evidence of safe use with patients."
_READING = """
<p><b>Intervals</b> are bootstrap intervals (bias-corrected, accelerated) over items, or Wilson's where all answers are
right or all wrong. An item asked in several orders of its options counts once, with the mean of its orders.</p>
<p><b>Guessing</b> is the mean of one over the number of options. <b>Best constant answer</b> is what always naming the
same place in the file's order would score. <b>Unparsed</b> answers, and items that failed, count as wrong.</p>
<p><b>Consistency</b> is the share of pairs of orders in which the same option was chosen, whatever its letter.
<b>p_correct</b> is the probability of the right option among the options, <b>brier</b> the summed squared error of
those probabilities (0 is best; guessing is 0.75 with four options), <b>margin</b> by how many nats the right option
leads the best other one.</p>
<p>Tests against guessing are exact binomial, adjusted for the number of tasks (Holm). To compare two runs item by item:
<code>medray compare A B</code>.</p>
"""


def page(summary: Mapping[str, Any]) -> str:
    """Render the report."""
    tasks = summary["tasks"]
    exams = {name: task for name, task in tasks.items() if task["kind"] == "choice"}
    sections = [("Overview", _overview(tasks, exams))]
    sections += [
        (name, _exam(name, task) if task["kind"] == "choice" else _open(name, task)) for name, task in tasks.items()
    ]
    if "contamination" in summary:
        sections += [("Contamination", _contamination(summary["contamination"]))]
    sections += [("Beside the paper", _paper(summary))]
    if summary["quality"]:
        sections += [("Quality by class", _quality(summary["quality"]))]
    sections += [
        ("Before the run", _plan(summary["plan"])),
        ("How to read this", _READING),
        ("Made by", _made(summary)),
    ]
    return html_page(f"Evaluation of {summary['model']}", _lead(summary), sections)


def _lead(summary: Mapping[str, Any]) -> str:
    asked = sum(task["n"] for task in summary["tasks"].values())
    own = summary["config"]["loglikelihood" if summary["mode"] == "loglikelihood" else "generation"]
    how = f"by {own['method']}, style {own['style']}" if summary["mode"] == "loglikelihood" else "by written answers"
    return (
        f'<p class="lead">{asked} items of {len(summary["tasks"])} tasks, {escape(how)}, '
        f'{own["repeats"]} order(s) of the options; {summary["level"]:.0%} intervals.</p><p class="note">{NOTICE}</p>'
    )


def _overview(tasks: Mapping[str, Any], exams: Mapping[str, Any]) -> str:
    parts = []
    if exams:
        parts += [
            plots.accuracies(exams, "Accuracy by task with intervals"),
            html_table(OVERVIEW, overview_rows(exams)),
        ]
    others = {name: task for name, task in tasks.items() if task["kind"] == "open"}
    if others:
        parts.append(html_table(("task", "measure", "mean [interval]", "n"), measure_rows(others)))
    return "".join(parts)


def _exam(name: str, task: Mapping[str, Any]) -> str:
    parts = [_notes(task), _test(task)]
    drawn = plots.letters(task["letters"], task["letters_right"], f"{name}: letters given and letters right")
    calibration = task.get("calibration")
    if calibration:
        drawn += plots.reliability(calibration["bins"], f"{name}: share right against probability")
    parts.append(f'<div class="pair">{drawn}</div>')
    parts += [_calibration(calibration)] if calibration else []
    parts += [_abstention(task["abstention"]), _retention(task)]
    if task["measures"]:
        parts += ["<h3>Other measures</h3>", _measures(task)]
    for title, key in (("By stratum", "strata"), ("By class of question", "categories")):
        if len(task[key]) > 1:
            parts.append(_parts(f"{name}, {title.lower()}", title, task[key]))
    return "".join(parts)


def _calibration(own: Mapping[str, Any]) -> str:
    return (
        f"<p>Expected calibration error {own['ece']:.3f} [{own['low']:.3f}, {own['high']:.3f}], with bins of equal "
        f"size {own['ece_adaptive']:.3f}; area under the risk-coverage curve {own['area_under_risk']:.3f}.</p>"
    )


def _abstention(own: Mapping[str, Any]) -> str:
    if not own["declined"]:
        return ""
    rest = "" if own["accuracy_answered"] is None else f"; {own['accuracy_answered']:.1%} of what was answered is right"
    return f"<p>Declined: {own['declined']:.1%}{rest}.</p>"


def _retention(task: Mapping[str, Any]) -> str:
    own = task.get("retention")
    if not own:
        return ""
    soft = "" if own["soft"] is None else f", by probabilities {own['soft']:.1%}"
    return (
        f"<p>Knowledge retention (KRR): {own['counted']:.1%} [{own['low']:.1%}, {own['high']:.1%}] of the "
        f"{own['taught']} items that the teacher has right{soft}. Guessing would retain {own['chance']:.1%}, a student "
        f"whose errors have nothing to do with the teacher's {own['independent']:.1%}.</p>"
    )


def _contamination(found: Mapping[str, Any]) -> str:
    lead = (
        f"<p>{len(found['affected'])} of the items (or their passages) stand in the {found['rows']} rows of the "
        f"training corpus; {found['incomparable']} are too short or too common to be compared.</p>"
    )
    apart = [
        (name, own["n"], own["affected"], _value(own["accuracy_affected"]), _value(own["accuracy_clean"]))
        for name, own in found["accuracy"].items()
    ]
    rows = [
        (own["item_id"], own["part"], f"{own['overlap']:.0%}", own["row"], "yes" if own["answer_seen"] else "no")
        for own in found["affected"]
    ]
    header = ("task", "items", "affected", "accuracy on the affected", "on the others")
    listed = html_table(("item", "part", "overlap", "training row", "answer there too"), rows)
    folded = f"<details><summary>every affected item</summary>{listed}</details>"
    return lead + (html_table(header, apart) + folded if rows else "")


def _value(own: Mapping[str, Any] | None) -> str:
    return "–" if own is None else f"{own['value']:.1%} [{own['low']:.1%}, {own['high']:.1%}]"


def _open(name: str, task: Mapping[str, Any]) -> str:
    shares = {measure: own for measure, own in task["measures"].items() if own["low"] >= 0 and own["high"] <= 1}
    drawn = plots.measured(shares, f"{name}: measures with intervals") if shares else ""
    return _notes(task) + drawn + _measures(task)


def _notes(task: Mapping[str, Any]) -> str:
    lines = "<br>".join(map(escape, task["notes"]))
    return f'<p class="note">{lines}</p>' if lines else ""


def _test(task: Mapping[str, Any]) -> str:
    if task["p_chance"] is None:
        return ""
    return (
        f"<p>Accuracy {task['accuracy']:.1%} against {task['chance']:.1%} by guessing: p = {task['p_chance']:.3g}, "
        f"adjusted {task['p_chance_holm']:.3g}.</p>"
    )


def _measures(task: Mapping[str, Any]) -> str:
    rows = [
        (name, f"{own['value']:.4g}", f"{own['low']:.4g} to {own['high']:.4g}", own["n"], own["interval"])
        for name, own in task["measures"].items()
    ]
    return html_table(("measure", "mean", "interval", "n", "interval by"), rows)


def _parts(description: str, title: str, parts: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [
        (name, part["n"], _share(part["accuracy"]), _range(part), _share(part["chance"]), _share(part["unparsed"]))
        for name, part in parts.items()
    ]
    listed = html_table(("", "n", "accuracy", "interval", "guessing", "unparsed"), rows)
    folded = f"<details><summary>as a table</summary>{listed}</details>"
    return f"<h3>{title}</h3>{plots.accuracies(parts, description)}{folded}"


def _paper(summary: Mapping[str, Any]) -> str:
    """Render T1 and T2 with this run's row; T3 and T4 compare ablations and have their own report."""
    rendered = [accuracy_table({summary["model"]: summary}), resources_table({summary["model"]: summary})]
    lead = (
        "<p>The paper's numbers are its claims, on its own models and machines. They are not results of this run.</p>"
    )
    return lead + "".join(f"<h3>{escape(one.title)}</h3>{rendered_html(one)}" for one in rendered)


def rendered_html(one: Rendered) -> str:
    """Render a table with our rows standing out from the paper's."""
    return html_table(one.header, one.rows, marked=range(one.claims, len(one.rows)))


def _quality(measured: Mapping[str, Any]) -> str:
    rows = [(name, f"{own['lower']:.3f}", f"{own['value']:.3f}", own["n"]) for name, own in measured.items()]
    lead = (
        "<p>Accuracy above chance (0 is guessing, 1 is all right) over all exam questions of a class, by the keyword "
        "classifier. The lower bound is what the selector may count on.</p>"
    )
    return lead + html_table(("class", "lower bound", "mean", "n"), rows)


def _plan(plan: Mapping[str, Any]) -> str:
    rows = [
        (
            name,
            own["n"],
            own["available"],
            sum(own["rejected"].values()),
            _points(own["detectable_from_chance"]),
            _points(own["detectable_between_models"]),
        )
        for name, own in plan.items()
    ]
    header = ("task", "items", "in the file", "rows not usable", "found above guessing", "found between two models")
    lead = "<p>The least differences in accuracy that a run of this size finds four times in five (5 % level).</p>"
    return lead + html_table(header, rows)


def _made(summary: Mapping[str, Any]) -> str:
    config = json.dumps(summary["config"], indent=2)
    line = provenance_line(summary).replace("`", "")
    run = summary.get("run", {})
    spent = f"<p>{run['items_in_it']} items in {run['seconds']} s.</p>" if run else ""
    return f"<p>{escape(line)}</p>{spent}<details><summary>config</summary><pre>{escape(config)}</pre></details>"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def _range(part: Mapping[str, Any]) -> str:
    return "too few" if part["accuracy"] is None else f"{part['low']:.1%} to {part['high']:.1%}"


def _points(value: float | None) -> str:
    return "–" if value is None else f"{value * 100:.1f} points"
