"""Compress a model: `python -m jobs.compress --set adapter=DIR --out DIR`.

`--plan-only` writes and prints the plan of a model of which `config.json` is enough: no weight is read.
Without a cluster the work is done in this process. Where RAY_ADDRESS names one, the whole of it is one Ray task with
the configured CPUs and GPUs, so that it lands on a node that has them; `--out`, `model` and `data` must then be places
which that node reaches (a shared folder or a URI).
"""

import os
import sys
from collections.abc import Sequence
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from jobs.entry import Request, run
from medray import cluster, log
from medray.compression.config import CompressConfig
from medray.compression.show import bytes_table, summary_table, variants_table


def compress(config: CompressConfig, request: Request) -> None:
    """Run the job and print its table and where the artifact is."""
    console = Console()
    if config.plan_only:
        from medray.compression.run import plan_only

        record = plan_only(config, request.out, overwrite=request.overwrite, command=request.command)
        console.print(bytes_table("planned bytes per part", record["bytes_per_part"]))
        console.print(variants_table(record["variants"], record["weights"]))
        console.print(f"plan: {request.out}", soft_wrap=True)
        return
    summary = _on_cluster(config, request) if os.environ.get("RAY_ADDRESS") else _here(config, request)
    console.print(summary_table(summary))
    parity = summary["merge_parity"]
    if parity:
        console.print(f"adapter to merged: largest logit difference {parity['max_abs_difference']:.2e}")
    console.print(f"artifact: {summary['location']} ({summary['artifact']})", soft_wrap=True)


def _here(config: CompressConfig, request: Request) -> dict[str, Any]:
    from transformers.utils import logging as transformers_logging

    from medray.compression.run import compress as compress_model

    transformers_logging.disable_progress_bar()  # one bar, ours
    with _Bars() as bars:
        return compress_model(
            config,
            request.out,
            overwrite=request.overwrite,
            command=request.command,
            load_lessons=_validation_lessons,
            advance=bars.advance,
        )


class _Bars:
    """A progress bar a step on a terminal, a log line where nobody watches."""

    def __init__(self) -> None:
        console = Console(file=sys.stderr)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._progress = Progress(*columns, console=console) if console.is_terminal else None
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress is not None and self._tasks:
            self._progress.stop()

    def advance(self, what: str, done: int, of: int) -> None:
        """Show that `done` of `of` is done."""
        if self._progress is None:
            log.event("compress_progress", step=what, done=done, of=of)
            return
        if not self._tasks:
            self._progress.start()
        if what not in self._tasks:
            self._tasks[what] = self._progress.add_task(what, total=of)
        self._progress.update(self._tasks[what], completed=done)


def _on_cluster(config: CompressConfig, request: Request) -> dict[str, Any]:
    with cluster.session():
        import ray
        from ray.exceptions import RayTaskError

        task = ray.remote(num_cpus=config.num_cpus, num_gpus=config.num_gpus, max_retries=0)(_here)
        try:
            result: dict[str, Any] = ray.get(task.remote(config, request))
        except RayTaskError as error:
            raise error.cause from None
        return result


def _validation_lessons(config: CompressConfig) -> Sequence[Any]:
    from medray.knowledge.lessons import load_lessons

    return load_lessons(config.data, split="valid", valid_share=config.valid_share, seed=config.seed)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the job; `--plan-only` is short for `--set plan_only=true`."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    spelled = [word for item in given for word in (("--set", "plan_only=true") if item == "--plan-only" else (item,))]
    return run("compress", CompressConfig, compress, spelled)


if __name__ == "__main__":
    sys.exit(main())
