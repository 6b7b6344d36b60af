"""Tables: the overview of a run, and T1 to T4 with the paper's claims beside what was measured here, each marked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from medray.evaluation.tables_paper import PAPER, Name
from medray.report import markdown_table

CLAIMED: Final = "the paper's claim"
MEASURED: Final = "measured here"
_EMPTY: Final = "–"


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured figure with its interval, in the unit of its column."""

    value: float
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        """Render with the interval, where there is one."""
        if self.low is None or self.high is None:
            return f"{self.value:.4g}"
        return f"{self.value:.4g} [{self.low:.4g}, {self.high:.4g}]"


@dataclass(frozen=True, slots=True)
class Measured:
    """A row of ours: a system, or an ablation, and its figures in the order of the table's columns."""

    label: str
    figures: tuple[Figure | None, ...]


@dataclass(frozen=True, slots=True)
class Rendered:
    """A table ready for Markdown or HTML: first `claims` rows of the paper, then ours; the second column says which."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    claims: int

    def markdown(self) -> str:
        """Render as Markdown under a heading."""
        return f"### {self.title}\n\n{markdown_table(self.header, self.rows)}"


def table(name: Name, ours: Sequence[Measured]) -> Rendered:
    """Return a table of the paper with our rows after its own. Raises ValueError for rows of another width."""
    paper = PAPER[name]
    for row in ours:
        if len(row.figures) != len(paper.columns):
            raise ValueError(f"{name}: expected {len(paper.columns)} figures in '{row.label}', got {len(row.figures)}")
    claimed = [
        (label, CLAIMED, *(_EMPTY if value is None else f"{value:g}" for value in values))
        for label, values in paper.rows
    ]
    measured = [
        (row.label, MEASURED, *(_EMPTY if figure is None else str(figure) for figure in row.figures)) for row in ours
    ]
    header = ("system", "whose number", *paper.columns)
    return Rendered(f"{name}: {paper.title}", header, (*claimed, *measured), len(claimed))


OVERVIEW: Final = (
    "task",
    "n",
    "accuracy [interval]",
    "guessing",
    "best constant answer",
    "unparsed",
    "failed",
    "answers by letter",
    "consistency",
)


def overview_rows(tasks: Mapping[str, Mapping[str, Any]]) -> list[tuple[object, ...]]:
    """Return the cells of the overview, a row per exam."""
    return [
        (
            name,
            task["n"],
            f"{task['accuracy']:.1%} [{task['low']:.1%}, {task['high']:.1%}]",
            f"{task['chance']:.1%}",
            f"{task['best_constant']:.1%}",
            f"{task['unparsed']:.1%}",
            task["failed"],
            ", ".join(f"{letter} {count}" for letter, count in task["letters"].items()),
            _EMPTY if task["consistency"] is None else f"{task['consistency']['value']:.1%}",
        )
        for name, task in tasks.items()
        if task["kind"] == "choice"
    ]


def measure_rows(tasks: Mapping[str, Mapping[str, Any]]) -> list[tuple[object, ...]]:
    """Return the cells of all other measures: task, measure, figure with interval, items."""
    return [
        (name, measure, f"{own['value']:.4g} [{own['low']:.4g}, {own['high']:.4g}]", own["n"])
        for name, task in tasks.items()
        for measure, own in task["measures"].items()
    ]


def overview(tasks: Mapping[str, Mapping[str, Any]]) -> str:
    """Render the exams, and the measures of open questions, as Markdown."""
    exams = overview_rows(tasks)
    other = measure_rows({name: task for name, task in tasks.items() if task["kind"] == "open"})
    parts = [markdown_table(OVERVIEW, exams)] if exams else []
    parts += [markdown_table(("task", "measure", "mean [interval]", "n"), other)] if other else []
    return "\n".join(parts)
