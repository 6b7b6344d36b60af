"""`jobs.evaluate` on a local cluster: a crashing item, a hanging worker, a kill and a resume to the same table."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from jobs.evaluate import main
from medray import artifacts, cluster
from medray.errors import ModelError
from medray.evaluation.rows import Journal, read_rows
from medray.evaluation.runner import RunPlan, failures, run_items
from medray.evaluation.runner_workers import DIED, SILENT, RayWorker, workers
from medray.evaluation.schema import Item, Outcome
from medray.models.tiny import save_tiny

ITEMS = [
    Item(f"own/{number}", "own", "choice", f"Question {number}?", "this", ("this", "that"), 0, category="general")
    for number in range(24)
]


class Scorer:
    """Answers the first option; ends its process, or hangs, at the items named. Lives in the worker's process."""

    def __init__(self, deadly: Sequence[str] = (), silent: Sequence[str] = ()) -> None:
        self.deadly, self.silent = deadly, silent

    def score(self, items: Sequence[Item]) -> Iterator[Outcome]:
        for one in items:
            if one.id in self.deadly:
                os.abort()
            if one.id in self.silent:
                time.sleep(600)
            made = Outcome(
                one.id, one.task, "", one.category, 0, (0, 1), "0", "ok", "", "A", 0, True, scores={"x": 1.0}
            )
            yield from [made]  # from a list: what Ray sends into a generator must not reach it

    def close(self) -> None:
        pass


class Factory:
    """Makes the scorer in the worker."""

    def __init__(self, **options: Any) -> None:
        self.options = options

    def __call__(self) -> Scorer:
        if "error" in self.options:
            raise ModelError("expected a model folder")
        return Scorer(**self.options)


@pytest.fixture(scope="module")
def ray_session() -> Iterator[None]:
    with cluster.session():
        from ray import cloudpickle

        # Workers cannot import this file: what it defines travels with the call.
        cloudpickle.register_pickle_by_value(sys.modules[__name__])
        yield


def scored(tmp_path: Path, factory: Factory, count: int = 1, silence_s: float = 120.0) -> dict[str, list[Outcome]]:
    journal = Journal(tmp_path / "rows.jsonl")
    with workers(factory, count, cpus_each=1, gpus_each=0, silence_s=silence_s) as made:
        run_items(ITEMS, made, journal, RunPlan(chunk_items=6))
        assert all(worker.peak_bytes() > 10_000_000 for worker in made)
    journal.close()
    return journal.outcomes


def test_two_workers_score_everything(ray_session: None, tmp_path: Path) -> None:
    found = scored(tmp_path, Factory(), count=2)
    assert len(found) == 24 and failures(found) == {}
    assert found["own/3"][0].scores == {"x": 1.0}


def test_an_item_that_kills_the_process_is_failed_and_counted_and_the_run_goes_on(
    ray_session: None, tmp_path: Path
) -> None:
    found = scored(tmp_path, Factory(deadly=["own/5", "own/17"]))
    assert len(found) == 24 and failures(found) == {DIED: 2}
    assert found["own/5"][0].status == "failed" and found["own/5"][0].correct is False


def test_a_worker_that_falls_silent_is_replaced(ray_session: None, tmp_path: Path) -> None:
    found = scored(tmp_path, Factory(silent=["own/2"]), silence_s=4.0)
    assert failures(found) == {SILENT: 1} and len(found) == 24


def test_a_model_that_cannot_be_loaded_says_so_in_its_own_words(ray_session: None) -> None:
    with pytest.raises(ModelError, match="expected a model folder"):
        RayWorker(Factory(error=True), num_cpus=1, num_gpus=0, silence_s=60)


def exam_of(tmp_path: Path, count: int) -> Path:
    path = tmp_path / "exam.jsonl"
    rows = [
        {
            "question": f"What is the dose of number {n * 7919}?",
            "options": ["one", "two", "six", "ten"],
            "answer": n % 4,
        }
        for n in range(count)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def command(exam: Path, model: str, out: Path) -> list[str]:
    settings = [f"model={model}", f"tasks.own={exam}", "run.chunk_items=4", "loglikelihood.repeats=2"]
    return [*(f"--set={setting}" for setting in settings), "--out", str(out)]


def table(out: Path) -> tuple[Any, list[Any], list[float]]:
    """Return the summary's tasks, who answered what, and the log-likelihoods; no times."""
    tasks = json.loads((out / "summary.json").read_text(encoding="utf-8"))["tasks"]
    for task in tasks.values():
        del task["effort"]
    rows = [row.outcome for row in read_rows(out / "items.parquet")]
    answers = [(one.item_id, one.repeat, one.order, one.letter, one.correct, one.prompt_sha256) for one in rows]
    scores = [value for one in rows for _, value in sorted(one.scores.items())]
    return tasks, answers, scores


@pytest.mark.timeout(900)
def test_a_killed_run_resumes_and_gives_the_same_table(
    ray_session: None, tmp_path: Path, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, exam = save_tiny(tmp_path / "tiny").path, exam_of(tmp_path, 160)
    assert main(command(exam, model, tmp_path / "whole")) == 0
    out = tmp_path / "out"
    journal = tmp_path / "out.unfinished" / "rows.jsonl"
    with (tmp_path / "log").open("wb") as log:
        job = subprocess.Popen(
            [sys.executable, "-m", "jobs.evaluate", *command(exam, model, out), "--set=run.workers=0"],
            cwd=root,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        deadline = time.monotonic() + 200
        while not (journal.exists() and journal.stat().st_size > 20_000) and time.monotonic() < deadline:
            assert job.poll() is None, (tmp_path / "log").read_text(errors="replace")[-2000:]
            time.sleep(0.01)
        os.killpg(job.pid, signal.SIGKILL)
        job.wait(timeout=30)
    finished = journal.read_bytes().count(b"\n")
    assert 0 < finished < 160 and not out.exists()
    capsys.readouterr()
    assert main(command(exam, model, out)) == 0
    assert "resuming unfinished work" in capsys.readouterr().out
    assert json.loads((out / "summary.json").read_text())["run"]["items_in_it"] <= 160 - finished + 1
    (tasks, answers, scores), (whole, whole_answers, whole_scores) = table(out), table(tmp_path / "whole")
    assert answers == whole_answers and scores == pytest.approx(whole_scores, abs=1e-3)  # other batches, other rounding
    accuracy = ("accuracy", "low", "high", "letters", "unparsed", "failed", "strata", "categories", "consistency")
    assert {name: tasks["own"][name] for name in accuracy} == {name: whole["own"][name] for name in accuracy}
    assert artifacts.read(out, kind="evaluation", verify=True).metrics["own/n"] == 160.0
