"""Distillation on a local cluster: two processes train, kills change nothing, the artifact loads as it was trained."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict

import psutil
import pytest
import torch

from jobs.distill import main
from medray import cluster
from medray.artifacts import read
from medray.config import validate
from medray.distillation import checkpoint
from medray.distillation.config import DistillConfig
from medray.distillation.plan import make_plan
from medray.distillation.trainer import train
from medray.knowledge.lessons import Lesson, write_lessons
from medray.models import load_model, load_tokenizer, resolve
from medray.models.tiny import save_tiny

pytestmark = pytest.mark.timeout(900)

STEPS = 44
KILL_AT = 8


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
        target="Take one tablet with food and a glass of water. " * (1 + index % 3),
        prompt_version="1",
    )


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    folder = tmp_path_factory.mktemp("distill")
    save_tiny(folder / "teacher")
    write_lessons(folder / "lessons.parquet", [lesson(i, "valid" if i % 6 == 0 else "train") for i in range(30)])
    return {
        "teacher": str(folder / "teacher"),
        "student": "prune:2",
        "data": str(folder / "lessons.parquet"),
        "steps": STEPS,
        "global_batch_size": 8,
        "micro_batch_size": 2,
        "max_tokens": 128,
        "checkpoint_every_steps": 5,
        "validation": {"every_steps": 10, "rows": 5},
        "optimiser": {"lr_max": 0.01, "lr_min": 0.001, "cycles": 2},
        "num_workers": 2,
        "max_failures": 2,
    }


def arguments(given, out):
    return [
        *(part for key, value in given.items() for part in ("--set", f"{key}={json.dumps(value)}")),
        "--out",
        str(out),
    ]


@pytest.fixture(scope="module")
def uninterrupted(given, tmp_path_factory):
    """The job from the command line's point of view, start to end."""
    out = tmp_path_factory.mktemp("out") / "distilled"
    assert main(arguments(given, out)) == 0
    return out


def record(path):
    return [{**json.loads(line), "seconds": None} for line in path.read_text().splitlines()]


def test_the_artifact_is_complete_and_two_processes_trained(uninterrupted):
    manifest = read(uninterrupted, kind="distilled", verify=True)
    assert manifest.base_model == "base"
    assert set(manifest.parents) == {"teacher", "student", "data"}
    tops = {name.partition("/")[0] for name in manifest.files}
    assert tops == {"adapter", "base", "record.jsonl", "summary.json"}
    summary = json.loads((uninterrupted / "summary.json").read_text())
    assert summary["valid_after"]["ce"] < summary["valid_before"]["ce"]
    assert manifest.metrics["valid_kl_after"] == summary["valid_after"]["kl"]
    assert len({row["pid"] for row in summary["workers"]} - {os.getpid()}) == 2
    assert sum(row["micro_batches"] for row in summary["workers"]) == STEPS * 4
    assert [row["step"] for row in summary["validation"]] == [0, 10, 20, 30, 40, 44]
    rows = record(uninterrupted / "record.jsonl")
    assert [row["step"] for row in rows] == list(range(1, STEPS + 1))
    assert list(rows[0]) == ["step", "tokens", "loss", "ce", "kl", "lr", "difficulty", "seconds"]


def test_the_artifact_loads_as_the_trained_student(uninterrupted, given):
    """The cross-entropy of the loaded artifact on the validation rows is the one that training measured last."""
    reference = resolve(str(uninterrupted))
    plan = make_plan(validate(DistillConfig, given))
    model, merged = load_model(reference), load_model(reference, merge=True)
    assert load_tokenizer(reference)("tablet").input_ids
    total = tokens = 0.0
    with torch.no_grad():
        for index in range(len(plan.valid)):
            ids = torch.tensor(plan.valid.row(index)[None].astype("int64"))
            logits = model(input_ids=ids).logits
            torch.testing.assert_close(merged(input_ids=ids).logits, logits, rtol=1e-3, atol=1e-4)
            start = int(plan.valid.prompt_lengths[index])
            loss = torch.nn.functional.cross_entropy(logits[0, start - 1 : -1], ids[0, start:], reduction="sum")
            total, tokens = total + float(loss), tokens + ids.shape[1] - start
    measured = json.loads((uninterrupted / "summary.json").read_text())["valid_after"]["ce"]
    assert total / tokens == pytest.approx(measured, rel=1e-4)


def workers_below(process):
    found = []
    for child in process.children(recursive=True):
        try:
            if "RayTrainWorker" in " ".join(child.cmdline()):
                found.append(child)
        except psutil.Error:
            continue
    return found


def test_a_killed_worker_changes_nothing_but_seconds(given, uninterrupted, tmp_path):
    plan = make_plan(validate(DistillConfig, given))
    killed, seen = [], []

    def kill_one(row):
        seen.append(row.step)
        if row.step >= KILL_AT and not killed:
            victim = max(workers_below(psutil.Process()), key=lambda process: process.pid)
            killed.append(victim.pid)
            victim.send_signal(signal.SIGKILL)

    with cluster.session(log_to_driver=False):
        train(plan, storage_path=str(tmp_path / "state"), checkpoint_to=tmp_path / "end", on_row=kill_one)
    assert len(killed) == 1
    state = checkpoint.read_state(tmp_path / "end")
    assert [{**asdict(row), "seconds": None} for row in state.rows] == record(uninterrupted / "record.jsonl")
    summary = json.loads((uninterrupted / "summary.json").read_text())
    assert [asdict(row) for row in state.validations] == summary["validation"]


def test_a_killed_driver_goes_on_where_it_was(given, uninterrupted, tmp_path, root):
    out = tmp_path / "distilled"
    command = [sys.executable, "-m", "jobs.distill", *arguments(given, out)]
    driver = subprocess.Popen(command, cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    state = tmp_path / "distilled.unfinished" / ".train" / "run"
    deadline = time.monotonic() + 300
    while not list(state.glob("checkpoint_*")) and time.monotonic() < deadline and driver.poll() is None:
        time.sleep(0.05)
    assert driver.poll() is None, "the run ended before it could be killed"
    children = psutil.Process(driver.pid).children(recursive=True)
    driver.kill()
    driver.wait()
    psutil.wait_procs(children, timeout=60)
    assert not out.exists()
    again = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=500, check=False)
    assert again.returncode == 0, again.stderr[-2000:]
    assert "resuming unfinished work" in again.stdout
    assert record(out / "record.jsonl") == record(uninterrupted / "record.jsonl")
    assert not list(out.rglob(".train"))


def test_a_damaged_teacher_stops_every_worker_with_one_line(given, tmp_path, capsys):
    """Sizes and config look right, so only loading can tell; no worker may wait for the other."""
    model = tmp_path / "damaged"
    save_tiny(model)
    weights = model / "model.safetensors"
    weights.write_bytes(b"\xff" * weights.stat().st_size)
    student = str(resolve(given["teacher"]).path)
    assert main(arguments({**given, "teacher": str(model), "student": student}, tmp_path / "out")) == 2
    assert "cannot load the weights" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
