"""The ablation grid on a local cluster: failures are recorded, finished trials are not repeated, and a whole table."""

import json
import sys

import pytest
import ray.cloudpickle

from jobs.ablate import main
from medray import cluster
from medray.config import dump_yaml, validate
from medray.errors import TrainingError
from medray.evaluation.ablation.config import AblateConfig
from medray.evaluation.ablation.grid import run_grid
from medray.knowledge.lessons import Lesson, write_lessons
from medray.models.tiny import save_tiny

pytestmark = pytest.mark.timeout(600)

ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import a test


def lesson(index, split):
    return Lesson(
        id=f"row-{index:03d}",
        source="test",
        group=f"group-{index}",
        split=split,
        question="What helps?",
        answer="Take one tablet with food.",
        category="general",
        confidence=1.0,
        system="Answer from evidence.",
        user=f"What is the treatment number {index}?",
        target="Take one tablet with food and a glass of water.",
        prompt_version="1",
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ablate")
    save_tiny(folder / "teacher")
    write_lessons(folder / "lessons.parquet", [lesson(i, "valid" if i % 4 == 0 else "train") for i in range(16)])
    exam = [{"question": f"Is {i} right?", "options": ["yes", "no"], "answer": i % 2} for i in range(4)]
    (folder / "exam.jsonl").write_text("\n".join(map(json.dumps, exam)))
    distill = {
        "teacher": str(folder / "teacher"),
        "student": "prune:1",
        "data": str(folder / "lessons.parquet"),
        "steps": 2,
        "global_batch_size": 4,
        "micro_batch_size": 2,
        "max_tokens": 128,
        "num_workers": 1,
        "validation": {"every_steps": 2, "rows": 2},
    }
    return {
        "rows": [{"name": "full"}, {"name": "CE only", "set": {"loss.kl": 0.0}}],
        "reference": "full",
        "baseline": "CE only",
        "seeds": [0, 1],
        "decide": "valid/ce",
        "lower_is_better": ["valid/ce"],
        "distill": distill,
        "evaluate": {"exam": {"tasks": {"exam": str(folder / "exam.jsonl")}, "run": {"workers": 0}}},
    }


def broken_once(row, seed, folder):
    """Fail one trial the first time, and leave a sign of every call."""
    calls = folder / "calls"
    calls.write_text(calls.read_text() + "x" if calls.is_file() else "x")
    if row.name == "CE only" and seed == 1 and calls.read_text() == "x":
        raise MemoryError("out of memory")
    return {"valid/ce": float(seed)}


def always_broken(row, seed, folder):
    raise MemoryError("out of memory")


def test_a_failure_is_recorded_and_only_it_is_run_again(data, tmp_path):
    config = validate(AblateConfig, data)
    with cluster.session(log_to_driver=False):
        first = run_grid(config, broken_once, tmp_path)
        assert [(trial.row, trial.seed, trial.error) for trial in first if trial.error] == [
            ("CE only", 1, "MemoryError")
        ]
        second = run_grid(config, broken_once, tmp_path)
        assert [trial.error for trial in second] == [""] * 4
        assert [trial.figures for trial in second] == [{"valid/ce": float(seed)} for seed in (0, 1, 0, 1)]
        calls = {path.parent.name: len(path.read_text()) for path in tmp_path.glob("trials/*/calls")}
        assert calls == {"row0-seed0": 1, "row0-seed1": 1, "row1-seed0": 1, "row1-seed1": 2}
        with pytest.raises(TrainingError, match="all 4 failed"):
            run_grid(config, always_broken, tmp_path / "other")


def test_a_whole_table(data, tmp_path):
    (tmp_path / "config.yaml").write_text(dump_yaml(data))
    out = tmp_path / "out"
    assert main(["--config", str(tmp_path / "config.yaml"), "--out", str(out)]) == 0
    summary = json.loads((out / "summary.json").read_text())
    assert summary["rows"]["full"]["trials"] == summary["rows"]["CE only"]["trials"] == 2
    assert summary["rows"]["full"]["failed"] == summary["rows"]["CE only"]["failed"] == []
    figures = summary["rows"]["CE only"]["figures"]
    assert figures["valid/ce"]["n"] == figures["exam/exam/accuracy"]["n"] == 2
    assert (out / "report.html").is_file()
    assert (out / "trials.parquet").is_file()
    assert main(["--config", str(tmp_path / "config.yaml"), "--out", str(out)]) == 2  # finished work is not touched
