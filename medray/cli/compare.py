"""`medray compare A B`: which answers flipped between two evaluated models, where, and by how much."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from medray.artifacts import fetch, is_remote
from medray.config import load
from medray.errors import ConfigError
from medray.report import markdown_table


@click.command()
@click.argument("first")
@click.argument("second")
@click.option("--task", "tasks", multiple=True, metavar="NAME=FILE", help="Evaluate models on this exam first.")
@click.option("--set", "settings", multiple=True, metavar="a.b=value", help="As for `python -m jobs.evaluate`.")
@click.option("--out", type=click.Path(path_type=Path), help="Where evaluations go that are made for this.")
@click.option("--json", "record", type=click.Path(path_type=Path), help="Write everything found to this file.")
@click.option(
    "--flips", type=click.IntRange(min=0), default=10, show_default=True, help="Flipped items shown per task."
)
def compare(
    first: str,
    second: str,
    tasks: tuple[str, ...],
    settings: tuple[str, ...],
    out: Path | None,
    record: Path | None,
    flips: int,
) -> None:
    """Compare FIRST and SECOND: folders of `jobs.evaluate`, or any two models with --task and --out."""
    from medray.evaluation import compare as comparison

    wanted = [f"tasks.{task}" for task in tasks] + list(settings)
    sides = [_rows(name, wanted, out / side if out else None) for side, name in (("first", first), ("second", second))]
    found = comparison.compare(*sides)
    for line in shown(found, flips):
        click.echo(line)
    if record is not None:
        record.write_text(json.dumps(found, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def shown(found: Mapping[str, Any], flips: int) -> list[str]:
    """Return the comparison as lines for a terminal: no text of questions or answers."""
    lines = [f"{found['items']} items in both runs; second minus first; p adjusted for all tests shown (Holm)"]
    for name, task in found["tasks"].items():
        lines += ["", f"## {name}, {task['n']} items", "", _measures(task["measures"])]
        if "flips" in task:
            counts = task["flips"]
            lines.append(
                f"flipped: {counts['gained']} wrong to right, {counts['lost']} right to wrong, "
                f"{task['changed_wrong']} wrong to another wrong answer"
            )
            lines += ["", _parts({**task["strata"], **task["categories"]})]
            lines += [_items(task["items"][:flips])] if task["items"] and flips else []
    return [*lines, *(f"note: {note}" for note in found["notes"])]


def _measures(measured: Mapping[str, Any]) -> str:
    rows = [
        (
            name,
            _short(own["first"]),
            _short(own["second"]),
            _range(own),
            f"{own['p_holm']:.3g}",
            own["test"],
            _verdict(own),
        )
        for name, own in measured.items()
    ]
    return markdown_table(("measure", "first", "second", "difference [95 %]", "p", "test", "better"), rows)


def _parts(parts: Mapping[str, Any]) -> str:
    rows = [(name, own["n"], own["gained"], own["lost"], _range(own)) for name, own in parts.items()]
    return markdown_table(("where", "n", "gained", "lost", "difference in accuracy [95 %]"), rows)


def _items(flips: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        (own["item"], own["flip"], *own["answers"], own["stratum"], own["category"], _short(own["margin_change"]))
        for own in flips
    ]
    return markdown_table(("item", "flip", "first", "second", "stratum", "class", "margin moved, nats"), rows)


def _verdict(own: Mapping[str, Any]) -> str:
    return own["better"] if own["p_holm"] < 0.05 else "not told apart"


def _short(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


def _range(own: Mapping[str, float]) -> str:
    return f"{own['difference']:+.4g} [{own['low']:+.4g}, {own['high']:+.4g}]"


def _rows(name: str, settings: Sequence[str], out: Path | None) -> Any:
    from medray.evaluation.runner_evaluation import Place, evaluate
    from medray.evaluation.runner_finished import evaluated_rows, is_evaluation

    folder = fetch(name) if is_remote(name) and not name.startswith("http") else Path(name)
    if is_evaluation(folder):
        return evaluated_rows(str(folder))
    if out is None or not any(setting.startswith("tasks.") for setting in settings):
        raise ConfigError(f"{name} is no finished evaluation: give --task NAME=FILE and --out DIR to make one")
    from medray.evaluation.config import EvaluateConfig

    config = load(EvaluateConfig, None, [*settings, f"model={name}"])
    evaluate(config, Place(str(out), command=("medray", "compare")), say=lambda line: click.echo(line, err=True))
    return evaluated_rows(str(out))
