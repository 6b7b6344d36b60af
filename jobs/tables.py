"""T1 and T2 by one command: every system writes its answers, the paper's claims stand beside what was measured.

`python -m jobs.tables --set systems.ours=ARTIFACT --set systems.teacher=MODEL --set tasks.medqa=FILE
--set tasks.medquad=FILE --out DIR`. Each system's evaluation lies in `DIR/LABEL`; a killed run skips what is finished.
"""

import json
import sys
from functools import partial
from pathlib import Path

from pydantic import Field

from jobs.entry import Request, run
from medray.config import config_hash, load
from medray.evaluation.config import EvaluateConfig
from medray.evaluation.tasks import TasksConfig
from medray.report import html_page, html_table, provenance


class TablesConfig(TasksConfig):
    """Systems by label, and what they are asked: an exam with Step 1 questions and open questions for T1."""

    systems: dict[str, str] = Field(min_length=1)
    max_tokens: int = Field(default=512, ge=1)
    workers: int = Field(default=1, ge=0)
    device: str = "auto"


def tables(config: TablesConfig, request: Request) -> None:
    """Evaluate every system and write `tables.json`, `tables.md` and `tables.html`."""
    from medray.evaluation.runner_evaluation import SUMMARY, Place, evaluate
    from medray.evaluation.runner_finished import is_evaluation
    from medray.evaluation.tables_runs import accuracy_table, resources_table

    out = Path(request.out)
    summaries = {}
    for label, model in config.systems.items():
        folder = out / label
        if not is_evaluation(folder):
            print(f"{label}: {model}", flush=True)
            evaluate(_evaluation(config, model), Place(str(folder), command=request.command))
        summaries[label] = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
    made = [accuracy_table(summaries), resources_table(summaries)]
    record = {
        "limit": config.limit,
        "systems": config.systems,
        "tables": [{"title": one.title, "header": one.header, "rows": one.rows, "claims": one.claims} for one in made],
        "provenance": provenance(seed=config.seed, config_hash=config_hash(config), command=request.command),
    }
    (out / "tables.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    text = "\n".join(one.markdown() for one in made)
    (out / "tables.md").write_text(text, encoding="utf-8")
    sections = [(one.title, html_table(one.header, one.rows, marked=range(one.claims, len(one.rows)))) for one in made]
    lead = '<p class="lead">The paper\'s numbers are its claims; shaded rows were measured here.</p>'
    (out / "tables.html").write_text(html_page("T1 and T2", lead, sections), encoding="utf-8")
    print(f"{text}\nreport: {request.out}/tables.html")


def _evaluation(config: TablesConfig, model: str) -> EvaluateConfig:
    settings = [f"model={model}", "mode=generate", f"limit={config.limit or 'null'}", f"seed={config.seed}"]
    settings += [f"generation.sampling.max_tokens={config.max_tokens}", f"generation.device={config.device}"]
    settings += [f"run.workers={config.workers}"]
    return load(EvaluateConfig, None, [*settings, *(f"tasks.{name}={file}" for name, file in config.tasks.items())])


main = partial(run, "tables", TablesConfig, tables)

if __name__ == "__main__":
    sys.exit(main())
