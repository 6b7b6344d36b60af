"""Plots of a run as inline SVG. One point a figure, its interval always drawn, guessing always marked."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from medray.report import figure, svg

INK: Final = "#1f5f8b"
GUESS: Final = "#b3261e"
CONSTANT: Final = "#8a6d00"
SOFT: Final = "#9aa7b5"
_ROW: Final = 0.34  # inches a row


def accuracies(parts: Mapping[str, Mapping[str, Any]], description: str) -> str:
    """Draw accuracy with its interval per row (task or stratum), guessing and the best constant answer beside it."""
    shown = {name: part for name, part in parts.items() if part.get("accuracy") is not None}
    if not shown:
        return ""
    drawing = figure(7.4, 0.95 + _ROW * len(shown))
    axes = drawing.subplots()
    for place, (_name, part) in enumerate(shown.items()):
        axes.plot([part["low"], part["high"]], [place, place], color=INK, linewidth=2.2, solid_capstyle="round")
        axes.plot(part["accuracy"], place, "o", color=INK, markersize=6, label=_once("accuracy, interval", place))
        axes.plot(
            part["chance"], place, "|", color=GUESS, markersize=15, markeredgewidth=2, label=_once("guessing", place)
        )
        if "best_constant" in part:
            label = _once("best constant answer", place)
            axes.plot(part["best_constant"], place, "D", color=CONSTANT, markersize=5, fillstyle="none", label=label)
    axes.set_yticks(range(len(shown)), [f"{name} (n = {part['n']})" for name, part in shown.items()])
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.set_xlim(0, 1)
    _percent(axes.xaxis)
    _plain(axes)
    drawing.legend(loc="outside upper left", ncols=3, frameon=False, fontsize=9)
    return svg(drawing, description)


def letters(chosen: Mapping[str, int], right: Mapping[str, int], description: str) -> str:
    """Draw how often each letter was given beside how often it was right."""
    names = list(chosen)
    drawing = figure(max(3.4, 1.0 + 0.62 * len(names)), 2.5)
    axes = drawing.subplots()
    width = 0.38
    places = range(len(names))
    axes.bar([place - width / 2 for place in places], [chosen[name] for name in names], width, color=INK, label="given")
    axes.bar([place + width / 2 for place in places], [right[name] for name in names], width, color=SOFT, label="right")
    axes.set_xticks(list(places), names)
    axes.set_ylabel("answers")
    _plain(axes, grid="y")
    drawing.legend(loc="outside upper left", ncols=2, frameon=False, fontsize=9)
    return svg(drawing, description)


def reliability(bins: Sequence[Mapping[str, Any]], description: str) -> str:
    """Draw share right against stated probability; the size of a dot is how many answers it stands for."""
    drawing = figure(3.4, 2.9)
    axes = drawing.subplots()
    axes.plot([0, 1], [0, 1], color=SOFT, linewidth=1, linestyle="--")
    filled = [own for own in bins if own["n"]]
    most = max((own["n"] for own in filled), default=1)
    sizes = [18 + 160 * own["n"] / most for own in filled]
    confidence = [own["confidence"] for own in filled]
    axes.scatter(confidence, [own["accuracy"] for own in filled], s=sizes, color=INK, alpha=0.75, clip_on=False)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_xlabel("probability given to the answer")
    axes.set_ylabel("share right")
    _percent(axes.xaxis)
    _percent(axes.yaxis)
    _plain(axes, grid="both")
    return svg(drawing, description)


def measured(parts: Mapping[str, Mapping[str, Any]], description: str) -> str:
    """Draw measures of open answers that lie between 0 and 1, with intervals."""
    drawing = figure(7.4, 0.7 + _ROW * len(parts))
    axes = drawing.subplots()
    for place, part in enumerate(parts.values()):
        axes.plot([part["low"], part["high"]], [place, place], color=INK, linewidth=2.2, solid_capstyle="round")
        axes.plot(part["value"], place, "o", color=INK, markersize=6)
    axes.set_yticks(range(len(parts)), list(parts))
    axes.set_ylim(len(parts) - 0.5, -0.5)
    axes.set_xlim(0, 1)
    _plain(axes)
    return svg(drawing, description)


def _once(label: str, place: int) -> str:
    """Name a series in the legend once; matplotlib leaves out labels that begin with an underscore."""
    return label if place == 0 else f"_{label}"


def _percent(axis: Any) -> None:
    from matplotlib.ticker import PercentFormatter

    axis.set_major_formatter(PercentFormatter(1.0, decimals=0))


def _plain(axes: Any, grid: str = "x") -> None:
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(SOFT)
    axes.tick_params(length=0, labelsize=9)
    axes.grid(axis=grid, color="#e6ebf0", linewidth=0.8)
    axes.set_axisbelow(True)
