"""An ablation for readers: the paper's table with our rows, then every figure with its spread over seeds."""

from collections.abc import Mapping
from typing import Any

from medray.evaluation.report import NOTICE, rendered_html
from medray.evaluation.tables import Figure, Measured, Rendered, table
from medray.evaluation.tables_paper import PAPER
from medray.report import html_page, html_table, markdown_table, provenance_line

_HEADER = (
    "row",
    "figure",
    "mean",
    "sd over seeds",
    "95 % interval",
    "seeds",
    "difference from reference",
    "its interval",
)


def paper_table(summary: Mapping[str, Any]) -> Rendered:
    """Return the paper's table with our rows after its own; a column without a figure stays empty."""
    name, columns = summary["table"], summary["config"]["columns"]
    ours = [
        Measured(label, tuple(_figure(row, columns.get(column)) for column in PAPER[name].columns))
        for label, row in summary["rows"].items()
    ]
    return table(name, ours)


def markdown(summary: Mapping[str, Any]) -> str:
    """Render as Markdown."""
    parts = (f"# {paper_table(summary).title}\n", verdict(summary) + "\n", markdown_table(_HEADER, _cells(summary)))
    return "\n".join((*parts, paper_table(summary).markdown(), provenance_line(summary)))


def page(summary: Mapping[str, Any]) -> str:
    """Render as one offline HTML file."""
    sections = [
        ("Verdict", f"<p>{verdict(summary)}</p>"),
        ("All figures", html_table(_HEADER, _cells(summary))),
        ("Beside the paper", rendered_html(paper_table(summary))),
        ("Made by", f"<p>{provenance_line(summary)}</p>"),
    ]
    return html_page(f"Ablation {summary['table']}", f'<p class="note">{NOTICE}</p>', sections)


def verdict(summary: Mapping[str, Any]) -> str:
    """Say whether the table can tell rows apart at all, and which trials failed."""
    power, config = summary["power"], summary["config"]
    failed = {name: row["failed"] for name, row in summary["rows"].items() if row["failed"]}
    lost = "".join(f" Failed trials of {name}: {', '.join(kinds)}." for name, kinds in failed.items())
    pair = f"'{config['reference']}' against '{config['baseline']}' on {power['figure']}"
    if power["gain"] is None:
        return f"UNDERPOWERED: {pair} has fewer than two seeds.{lost}"
    said = f"{pair}: better by {power['gain']:.4g}, standard deviation over seeds {power['sd']:.4g}"
    if power["enough"]:
        return f"{said}; at least two standard deviations.{lost}"
    return f"UNDERPOWERED: {said}; two standard deviations are not reached, so no row can be told from another.{lost}"


def _cells(summary: Mapping[str, Any]) -> list[tuple[object, ...]]:
    return [
        (
            label,
            name,
            f"{own['mean']:.4g}",
            "–" if own["sd"] is None else f"{own['sd']:.2g}",
            _interval(own),
            own["n"],
            *_difference(row["differences"].get(name)),
        )
        for label, row in summary["rows"].items()
        for name, own in row["figures"].items()
    ]


def _difference(own: Mapping[str, Any] | None) -> tuple[str, str]:
    return ("–", "–") if own is None else (f"{own['mean']:+.4g}", _interval(own))


def _interval(own: Mapping[str, Any]) -> str:
    return "–" if own["low"] is None else f"[{own['low']:.4g}, {own['high']:.4g}]"


def _figure(row: Mapping[str, Any], name: str | None) -> Figure | None:
    own = row["figures"].get(name) if name else None
    return None if own is None else Figure(own["mean"], own["low"], own["high"])
