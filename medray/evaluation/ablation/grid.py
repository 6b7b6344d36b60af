"""Running every (row, seed) once, as a Ray Tune grid; a finished trial is never run again.

A trial's figures are kept as a file each, written whole or not at all, so that a grid killed at any point goes on
where it was. A trial that fails is recorded by the kind of its error and the grid goes on; running the grid again
tries it again.
"""

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from medray.errors import TrainingError
from medray.evaluation.ablation.config import AblateConfig, RowConfig
from medray.evaluation.ablation.summary import Trial
from medray.log import event

RunTrial = Callable[[RowConfig, int, Path], dict[str, float]]  # (row, seed, folder of the trial) -> figures
_FIGURES: Final = "figures.json"


def run_grid(config: AblateConfig, run_trial: RunTrial, folder: Path) -> list[Trial]:
    """Run what is missing below `folder` and return all trials, by row and seed. Raises TrainingError if all failed.

    `folder` must be reachable from every node; the caller holds the connection to Ray.
    """
    pairs = [(row, seed) for row in config.rows for seed in config.seeds]
    missing = [(row, seed) for row, seed in pairs if not (_place(config, row, seed, folder) / _FIGURES).is_file()]
    failed = _tune(config, run_trial, folder, missing) if missing else {}
    trials = [_trial(config, row, seed, folder, failed) for row, seed in pairs]
    if all(trial.error for trial in trials):
        raise TrainingError(f"expected a finished trial, all {len(trials)} failed ({trials[0].error}): see their logs")
    return trials


def _tune(
    config: AblateConfig, run_trial: RunTrial, folder: Path, missing: Sequence[tuple[RowConfig, int]]
) -> dict[tuple[str, int], str]:
    from ray import tune

    places = {(row.name, seed): _place(config, row, seed, folder) for row, seed in missing}
    rows = {row.name: row for row, _ in missing}

    def trainable(chosen: dict[str, Any]) -> dict[str, float]:
        name, seed = chosen["trial"]["row"], chosen["trial"]["seed"]
        place = places[name, seed]
        place.mkdir(parents=True, exist_ok=True)
        figures = run_trial(rows[name], seed, place)
        _write(place / _FIGURES, figures)
        return figures

    grid = [{"row": row.name, "seed": seed} for row, seed in missing]
    tuner = tune.Tuner(
        tune.with_resources(trainable, {"CPU": 1}),
        param_space={"trial": tune.grid_search(grid)},
        tune_config=tune.TuneConfig(max_concurrent_trials=config.concurrent),
        run_config=tune.RunConfig(name="grid", storage_path=str(folder.absolute() / ".tune"), verbose=0),
    )
    failed: dict[tuple[str, int], str] = {}
    for result in tuner.fit():
        if result.error is not None:
            chosen = result.config["trial"]
            kind = type(getattr(result.error, "cause", None) or result.error).__name__
            failed[chosen["row"], chosen["seed"]] = kind
            event("ablation_trial_failed", level="warning", row=chosen["row"], seed=chosen["seed"], cause=kind)
    return failed


def _trial(config: AblateConfig, row: RowConfig, seed: int, folder: Path, failed: dict[tuple[str, int], str]) -> Trial:
    path = _place(config, row, seed, folder) / _FIGURES
    if path.is_file():
        return Trial(row.name, seed, json.loads(path.read_text(encoding="utf-8")))
    return Trial(row.name, seed, error=failed.get((row.name, seed), "NotRun"))


def _place(config: AblateConfig, row: RowConfig, seed: int, folder: Path) -> Path:
    """Name a trial's folder by the place of its row: labels are for people, not for file systems."""
    return folder / "trials" / f"row{config.rows.index(row)}-seed{seed}"


def _write(path: Path, figures: dict[str, float]) -> None:
    beside = path.with_suffix(".new")
    with beside.open("w", encoding="utf-8") as stream:
        json.dump(figures, stream, indent=2, sort_keys=True)
        stream.flush()
        os.fsync(stream.fileno())
    beside.rename(path)
