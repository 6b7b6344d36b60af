"""`python -m jobs.evaluate --set model=... --set tasks.medqa=FILE --out DIR`: what a model gets right, with intervals.

Leaves `items.parquet` (a row per item and order of its options), `summary.json` and `report.html`. A killed run is
resumed by the same command.
"""

import sys
from functools import partial

from jobs.entry import Request, run
from medray.evaluation.config import EvaluateConfig


def evaluate_job(config: EvaluateConfig, request: Request) -> None:
    """Run the evaluation and print its table."""
    from medray.evaluation.runner_evaluation import Place, evaluate
    from medray.evaluation.tables import overview

    summary = evaluate(config, Place(request.out, request.overwrite, request.command))
    print(f"\n{overview(summary['tasks'])}")
    for name, task in summary["tasks"].items():
        for note in task["notes"]:
            print(f"{name}: {note}")
    print(f"report: {request.out}/report.html")


main = partial(run, "evaluate", EvaluateConfig, evaluate_job)

if __name__ == "__main__":
    sys.exit(main())
