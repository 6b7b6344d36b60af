"""`python -m jobs.ablate --table T3 --out DIR`: what each part of the method is worth, by leaving it out.

Every (row, seed) is trained by `jobs.distill` and judged by `jobs.evaluate`, as trials of a Ray Tune grid. Leaves
`trials.parquet`, `summary.json`, `table.md`, `report.html`. A killed run is resumed by the same command: what is
finished is not done again.
"""

import json
import shutil
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from jobs import entry
from medray import cluster
from medray.artifacts import Manifest, Output, hash_bytes, is_artifact, is_remote
from medray.config import config_hash, resolved
from medray.errors import ConfigError
from medray.evaluation.ablation.config import AblateConfig, RowConfig
from medray.report import provenance

_TABLES = ("T3",)


def ablate(config: AblateConfig, request: entry.Request) -> None:
    """Check every row, run the grid, write the tables."""
    from medray.evaluation.ablation.grid import run_grid
    from medray.evaluation.ablation.page import verdict

    if is_remote(request.out):
        raise ConfigError("expected --out to be a folder that every node reaches, got a URI")
    config.check()
    inputs = {"data": hash_bytes(json.dumps([config.distill, config.evaluate], sort_keys=True).encode())}
    with (
        Output(
            request.out, kind="ablation", config=resolved(config), inputs=inputs, overwrite=request.overwrite
        ) as output,
        cluster.session(num_cpus=4 + 4 * config.concurrent, log_to_driver=False),
    ):
        teacher = {name: _evaluated(config, name, config.distill["teacher"], output.path) for name in config.evaluate}
        trials = run_grid(config, partial(_trial, config, teacher), output.path)
        summary = _summary(config, request, trials)
        _write(output.path, trials, summary)
        output.commit(Manifest(kind="ablation", command=request.command))
    print(f"{verdict(summary)}\ntable: {request.out}/table.md\nreport: {request.out}/report.html")


def _evaluated(config: AblateConfig, name: str, model: str, folder: Path) -> str:
    """Evaluate the teacher once, for all trials; return where."""
    from medray.evaluation.runner_evaluation import Place, evaluate

    out = folder / "teacher" / name
    if not is_artifact(out):
        evaluate(config.evaluation(name, model), Place(str(out)))
    return str(out.absolute())


def _trial(config: AblateConfig, teacher: dict[str, str], row: RowConfig, seed: int, folder: Path) -> dict[str, float]:
    """Train and judge one row with one seed; steps that are finished are not done again."""
    from jobs.distill import distill
    from medray.evaluation.ablation.figures import figures_of
    from medray.evaluation.runner_evaluation import Place, evaluate

    student = folder / "student"
    if not is_artifact(student):
        distill(config.training(row, seed), entry.Request(str(student), overwrite=False, command=()))
    for name in config.evaluate:
        if not is_artifact(folder / name):
            evaluate(config.evaluation(name, str(student), teacher[name]), Place(str(folder / name)))
    read = {name: _read(folder / name / "summary.json") for name in config.evaluate}
    return figures_of(_read(student / "summary.json"), read)


def _summary(config: AblateConfig, request: entry.Request, trials: Sequence[Any]) -> dict[str, Any]:
    from medray.evaluation.ablation.summary import power, summarise

    decided = power(
        trials,
        reference=config.reference,
        baseline=config.baseline,
        figure=config.decide,
        lower_is_better=config.decide in config.lower_is_better,
    )
    return {
        "table": config.table,
        "rows": summarise(trials, reference=config.reference),
        "power": decided,
        "config": resolved(config),
        "provenance": provenance(seed=config.seeds[0], config_hash=config_hash(config), command=request.command),
    }


def _write(folder: Path, trials: Sequence[Any], summary: dict[str, Any]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from medray.evaluation.ablation.page import markdown, page

    rows = [
        {"row": trial.row, "seed": trial.seed, "error": trial.error, "figure": name, "value": value}
        for trial in trials
        for name, value in (trial.figures or {"": None}).items()
    ]
    pq.write_table(pa.Table.from_pylist(rows), folder / "trials.parquet")
    (folder / "summary.json").write_text(json.dumps(summary, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    (folder / "table.md").write_text(markdown(summary), encoding="utf-8")
    (folder / "report.html").write_text(page(summary), encoding="utf-8")
    shutil.rmtree(folder / ".tune", ignore_errors=True)


def _read(path: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return data


def main(arguments: Sequence[str] | None = None) -> int:
    """Choose the shipped config of `--table`, unless `--config` names another."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if "--table" in given:
        at = given.index("--table")
        name = given[at + 1] if at + 1 < len(given) else ""
        if name not in _TABLES:
            shown = "T4 (its stages are not built yet)" if name == "T4" else f"'{name}'"
            print(f"jobs.ablate: --table: expected {', '.join(_TABLES)}, got {shown}", file=sys.stderr)
            return ConfigError("").exit_code
        given[at : at + 2] = ["--config", str(Path(__file__).parent / "configs" / f"ablate-{name}.yaml")]
    return entry.run("ablate", AblateConfig, ablate, given)


if __name__ == "__main__":
    sys.exit(main())
