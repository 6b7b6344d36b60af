"""The newcomer's command, whole: what it prints, what it leaves, and that nothing stays running."""

import json
import signal
import sys
import time

import pytest

from jobs.supervise import Supervisor
from medray.artifacts import read

BUDGET_S = 600
COMMAND = [sys.executable, "-m", "jobs.quickstart"]


@pytest.mark.timeout(BUDGET_S + 120)
def test_quickstart_makes_serves_and_answers(tmp_path, root):
    log = tmp_path / "log"
    out = tmp_path / "out"
    started = time.monotonic()
    with Supervisor() as supervisor, log.open("wb") as stream:
        code = supervisor.start([*COMMAND, "--out", str(out)], output=stream, cwd=root).wait()
        seconds = time.monotonic() - started
        left = supervisor.processes()
    text = log.read_text()
    assert code == 0, text[-4000:]
    assert left == []
    assert seconds < BUDGET_S
    assert supervisor.peak_bytes < 8e9
    summary = json.loads((out / "summary.json").read_text())
    distilled, compressed = summary["distilled"], summary["compressed"]
    assert distilled["valid_after"]["kl"] < distilled["valid_before"]["kl"]
    assert len({row["pid"] for row in distilled["workers"] if row["micro_batches"]}) >= 2
    assert compressed["formats"]["bitsandbytes"]["bytes"] < compressed["fp16"]["bytes"]
    assert {row["mode"] for row in summary["answers"]} == {"adapter", "merged"}
    assert all(row["text"].strip() and row["category"] for row in summary["answers"])
    assert len(summary["teacher_answers"]) == len(summary["answers"]) == 3
    kinds = {"lessons": "lessons", "distilled": "distilled", "compressed": "compressed"}
    for name, kind in kinds.items():
        assert read(out / name, kind=kind, verify=True).kind == kind
    for words in (
        "before",
        "after",
        "total",
        "class",
        "mode",
        "student:",
        "teacher:",
        "expect wrong medicine",
        str(out),
    ):
        assert words in text.replace("\n", ""), words


@pytest.fixture
def interruptible():
    """A shell's background job ignores Ctrl-C, and what it starts inherits that; a terminal's does not."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.timeout(240)
def test_ctrl_c_stops_everything(tmp_path, root, interruptible):
    log = tmp_path / "log"
    with Supervisor() as supervisor, log.open("wb") as stream:
        child = supervisor.start([*COMMAND, "--out", str(tmp_path / "out")], output=stream, cwd=root)
        end = time.monotonic() + 60
        while len(supervisor.processes()) < 4 and time.monotonic() < end:  # the first stage's cluster is coming up
            time.sleep(0.2)
        for process in supervisor.processes():
            if process.ppid() == child.pid or process.pid == child.pid:  # what a terminal's Ctrl-C reaches
                process.send_signal(signal.SIGINT)
        assert child.wait(timeout=90) == 130, log.read_text()[-2000:]
        assert supervisor.processes() == []


@pytest.mark.parametrize("setting", ["teacher=no-such-model", "questions=[]", "port=0", "surprise=1"])
def test_bad_settings_are_one_line_and_exit_code_2(tmp_path, root, setting):
    with Supervisor() as supervisor, (tmp_path / "log").open("wb") as stream:
        command = [*COMMAND, "--set", setting, "--out", str(tmp_path / "out")]
        assert supervisor.start(command, output=stream, cwd=root).wait() == 2
    assert len((tmp_path / "log").read_text().splitlines()) == 1
    assert not (tmp_path / "out").exists()
