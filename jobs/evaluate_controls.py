"""Do the tools tell good from bad? Evaluates a model and three systems known to be worse, and compares each with it.

`python -m jobs.evaluate_controls --set model=... --set tasks.medmcqa=FILE --out DIR` leaves every evaluation and
`controls.json`, which names the measures that place each control below the intact model.
"""

import json
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import Field

from jobs.entry import Request, run
from medray.config import config_hash, load
from medray.evaluation.config import EvaluateConfig
from medray.evaluation.tasks import TasksConfig
from medray.report import provenance


class ControlsConfig(TasksConfig):
    """A model, exams, and how much of them; `open_tasks` and `generate_limit` are for written answers."""

    model: str = "smollm2-135m"
    limit: int | None = Field(default=40, ge=1)
    swap: tuple[int, int] = (4, 22)
    generate_limit: int = Field(default=30, ge=1)
    max_tokens: int = Field(default=32, ge=1)
    open_tasks: dict[str, str] = Field(default_factory=dict)


def controls(config: ControlsConfig, request: Request) -> None:
    """Make the controls, evaluate all, compare each with the intact model and write `controls.json`."""
    from medray.evaluation.compare import compare
    from medray.evaluation.runner_controls import CopierFactory, always_a, swapped_layers
    from medray.evaluation.runner_evaluation import Place, evaluate
    from medray.evaluation.runner_finished import evaluated_rows, is_evaluation

    out = Path(request.out)
    models = {"intact": config.model}
    models["always_a"] = str(always_a(config.model, out / "models" / "always_a"))
    models["swapped_layers"] = str(swapped_layers(config.model, out / "models" / "swapped_layers", config.swap))

    def rows(name: str, own: EvaluateConfig, factory: Any = None) -> Any:
        folder = out / name
        if not is_evaluation(folder):
            print(f"evaluating {name}", flush=True)
            evaluate(own, Place(str(folder), command=request.command), say=lambda _: None, factory=factory)
        return evaluated_rows(str(folder))

    found: dict[str, Any] = {}
    for method in ("letters", "text"):
        intact = rows(f"intact_{method}", _scored(config, models["intact"], method))
        for name in ("always_a", "swapped_layers"):
            found[f"{name}, {method}"] = compare(
                intact, rows(f"{name}_{method}", _scored(config, models[name], method))
            )
    written = _written(config)
    copied = rows("copies_question", written, CopierFactory(written.generation))
    found["copies_question, written answers"] = compare(rows("intact_written", written), copied)
    result: dict[str, Any] = {
        "model": config.model,
        "limit": config.limit,
        "generate_limit": config.generate_limit,
        "swap": list(config.swap),
        "controls": {name: _measures(own) for name, own in found.items()},
        "provenance": provenance(seed=config.seed, config_hash=config_hash(config), command=request.command),
    }
    (out / "controls.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    for name, own in result["controls"].items():
        below = [f"{one['task']} {one['measure']} (p = {one['p_holm']:.2g})" for one in own if one["below"]]
        print(f"{name}: {'placed below by ' + ', '.join(below) if below else 'NOT placed below'}")


def _scored(config: ControlsConfig, model: str, method: str) -> EvaluateConfig:
    settings = [f"model={model}", f"limit={config.limit or 'null'}", f"seed={config.seed}", "run.workers=0"]
    settings += [f"loglikelihood.method={method}"] + [f"tasks.{name}={file}" for name, file in config.tasks.items()]
    return load(EvaluateConfig, None, settings)


def _written(config: ControlsConfig) -> EvaluateConfig:
    tasks = {**config.tasks, **config.open_tasks}
    settings = [f"model={config.model}", "mode=generate", f"limit={config.generate_limit}", f"seed={config.seed}"]
    settings += ["run.workers=0", f"generation.sampling.max_tokens={config.max_tokens}"]
    return load(EvaluateConfig, None, [*settings, *(f"tasks.{name}={file}" for name, file in tasks.items())])


def _measures(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return every measure with its test; `below` where the control is worse after adjustment."""
    return [
        {"task": task, "measure": name, **own, "below": own["better"] == "first" and own["p_holm"] < 0.05}
        for task, compared in found["tasks"].items()
        for name, own in compared["measures"].items()
    ]


main = partial(run, "evaluate_controls", ControlsConfig, controls)

if __name__ == "__main__":
    sys.exit(main())
