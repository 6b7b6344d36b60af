"""Compare with lm-evaluation-harness: `python -m jobs.evaluate_parity --set lm_eval_python=PYTHON --out DIR`.

lm-eval runs in an environment of its own, over our items in its own tasks. Publish the record that this writes with
`python -m jobs.evaluate_parity_page FILE`.
"""

import json
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

from pydantic import Field, model_validator

from jobs.entry import Request, run
from medray.config import Config, config_hash
from medray.errors import ConfigError
from medray.evaluation.prompts import Method
from medray.report import provenance


class EvaluateParityConfig(Config):
    """The same items by medray and by lm-evaluation-harness, in turns."""

    model: str = "smollm2-135m"
    lm_eval_python: Path | None = None
    tasks: dict[str, str] = Field(min_length=1)
    text_tasks: tuple[str, ...] = ()
    limit: int | None = Field(default=None, ge=1)
    text_limit: int | None = Field(default=None, ge=1)
    seed: int = 0
    turns: int = Field(default=8, ge=1)
    lm_eval_batch: int = Field(default=1, ge=1)
    threads: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _text_tasks_are_tasks(self) -> Self:
        unknown = sorted(set(self.text_tasks) - set(self.tasks))
        if unknown:
            raise ValueError(f"text_tasks: expected names of tasks, got {', '.join(unknown)}")
        return self


def evaluate_parity(config: EvaluateParityConfig, request: Request) -> None:
    """Run all comparisons and write the record."""
    if config.lm_eval_python is None or "://" in request.out:
        raise ConfigError("expected lm_eval_python=PYTHON of an environment with lm-eval, and a local --out")
    out = Path(request.out)
    out.mkdir(parents=True, exist_ok=True)
    shown = config.model_dump(mode="json", exclude={"lm_eval_python", "tasks", "text_tasks"})
    made = provenance(seed=config.seed, config_hash=config_hash(_without_places(config)), command=_command(request))
    path = out / "evaluation_parity.json"
    with TemporaryDirectory(dir=out, suffix=".unfinished") as folder:
        # Written after each comparison: hours of an interrupted run are not lost.
        for result in _compared(config, Path(folder).absolute(), config.lm_eval_python):
            record = {"config": shown, **result, "provenance": made}
            path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(f"{path}: to publish it, run python -m jobs.evaluate_parity_page {path}")


def _compared(config: EvaluateParityConfig, folder: Path, python: Path) -> Iterator[dict[str, Any]]:
    import torch

    from medray.evaluation.loglikelihood import LoglikelihoodScorer
    from medray.evaluation.loglikelihood_config import LoglikelihoodConfig
    from medray.evaluation.parity import agreement, speed, verdict
    from medray.evaluation.parity_run import compare, harness, tasks_folder
    from medray.evaluation.parity_tasks import write_task
    from medray.evaluation.tasks import load_task
    from medray.models import resolve

    torch.set_num_threads(config.threads)
    package = tasks_folder(python)
    wanted: list[tuple[str, Method]] = [(name, "letters") for name in config.tasks]
    wanted += [(name, "text") for name in config.text_tasks]
    written = {}
    for name, method in wanted:
        limit = config.limit if method == "letters" else config.text_limit
        items = load_task(name, config.tasks[name], limit=limit, seed=config.seed).items
        written[name, method] = write_task(folder, package, items, method)
    found: list[dict[str, Any]] = []
    with harness(
        python, folder, resolve(config.model).path, batch=config.lm_eval_batch, threads=config.threads
    ) as theirs:
        for (name, method), tasks in written.items():
            scorer = LoglikelihoodScorer(config.model, LoglikelihoodConfig(method=method))
            pairs, turns = compare(scorer, theirs, tasks, method=method, turns=config.turns)
            timed = speed(turns)
            found.append({"task": name, "method": method, "agreement": agreement(pairs), "speed": timed})
            missed = [bound for bound, met in verdict(found[-1]).items() if not met]
            print(f"{name} by {method}: {timed['ratio']:.2f} times as fast; missed: {missed or 'nothing'}", flush=True)
            yield {"comparisons": found, "versions": {"theirs": dict(theirs.versions), "ours": _versions()}}


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("torch", "transformers")}


def _without_places(config: EvaluateParityConfig) -> dict[str, Any]:
    """Return the config with files by their names: a record is the same wherever they lie."""
    data = config.model_dump(mode="json", exclude={"lm_eval_python"})
    return {**data, "tasks": {name: Path(place).name for name, place in config.tasks.items()}}


def _command(request: Request) -> list[str]:
    """Return the command without the places of files on this machine."""
    return [_name_only(word) for word in request.command]


def _name_only(word: str) -> str:
    key, mark, value = word.partition("=")
    place = value if mark else key
    if "/" not in place:
        return word
    return f"{key}{mark}{Path(place).name}" if mark else Path(place).name


main = partial(run, "evaluate_parity", EvaluateParityConfig, evaluate_parity)

if __name__ == "__main__":
    sys.exit(main())
