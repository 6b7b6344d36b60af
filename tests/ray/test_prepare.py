"""`jobs.prepare` on a local cluster: original layouts, determinism, what is dropped, bad input, and a kill midway."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from jobs.prepare import main
from medray import artifacts, cluster
from medray.data.text import words
from medray.knowledge.lessons import load_lessons

DOCUMENT = """<?xml version="1.0" encoding="UTF-8"?>
<Document id="{number}" source="Test" url="https://example.org/{number}"><Focus>{focus}</Focus>
<QAPairs>
<QAPair pid="1"><Question qid="{number}-1" qtype="information">What is (are) {focus} ?</Question>
<Answer>{answer}</Answer></QAPair>
<QAPair pid="2"><Question qid="{number}-2" qtype="treatment">How is {focus} treated ?</Question><Answer/></QAPair>
</QAPairs></Document>
"""
LONG = "The test writes a long answer so that a small change leaves most of its words as they were. " * 5


@pytest.fixture(scope="module")
def ray_session() -> Iterator[None]:
    """One local cluster for the runs in this process."""
    with cluster.session():
        yield


def run(out: Path, *data: Path | str, options: dict[str, Any] | None = None) -> int:
    settings = {"data": json.dumps([str(path) for path in data]), **(options or {})}
    return main([*(f"--set={key}={value}" for key, value in settings.items()), "--out", str(out)])


def jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def rejects_of(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "rejects.jsonl").read_text(encoding="utf-8").splitlines()]


def contents(out: Path) -> dict[str, bytes]:
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name not in ("manifest.json", "summary.json")
    }


def test_the_original_medquad_layout(ray_session: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(30):
        folder = tmp_path / "MedQuAD" / f"{number % 3 + 1}_Test_QA"
        folder.mkdir(parents=True, exist_ok=True)
        focus = f"Condition{chr(97 + number // 6)}{chr(97 + number % 6)}itis"
        text = DOCUMENT.format(number=number, focus=focus, answer=f"{focus} is made up by a test.")
        (folder / f"{number:07d}.xml").write_text(text, encoding="utf-8")
    (tmp_path / "MedQuAD" / "1_Test_QA" / "broken.xml").write_text("<Document><Focus>", encoding="utf-8")
    out = tmp_path / "out"
    assert run(out, tmp_path / "MedQuAD", options={"valid_share": 0.3}) == 0

    manifest = artifacts.read(out, kind="lessons", verify=True)
    assert list(manifest.parents) == ["data/MedQuAD"]
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert summary["not_used"] == {"empty_answer": 30, "malformed_xml": 1}
    assert (summary["rows"], summary["lessons"], sum(summary["splits"].values())) == (61, 30, 30)
    assert summary["sources"]["MedQuAD/1_Test_QA"] == {"rows": 21, "lessons": 10}
    assert summary["provenance"]["config_hash"] and summary["provenance"]["seed"] == 0
    assert {"source": "MedQuAD/1_Test_QA/broken.xml", "position": 1, "reason": "malformed_xml"} in rejects_of(out)
    assert all(set(reject) == {"source", "position", "reason"} for reject in rejects_of(out))
    train = load_lessons(str(out), split="train", valid_share=0.0, seed=0)
    valid = load_lessons(str(out), split="valid", valid_share=0.0, seed=0)
    assert len(train) + len(valid) == 30 and not {one.group for one in train} & {one.group for one in valid}
    printed = capsys.readouterr().out
    assert str(out) in printed and "summary.json" in printed


def test_what_is_dropped_and_what_is_not(ray_session: None, tmp_path: Path) -> None:
    asked = "A farmer with a week of fever and a rash on both shins asks which drug is given first in this case"
    rows = [
        {"question": "How is ibuprofen taken?", "answer": f"Take 400 mg. {LONG}"},
        {"question": "How is ibuprofen taken?", "answer": f"Take 400 mg. {LONG}"},
        {"question": "How is ibuprofen taken?", "answer": f"Take 400 mg. {LONG} Really."},
        {"question": "How is ibuprofen taken?", "answer": f"Take 200 mg. {LONG}"},
        {"question": "How is naproxen taken?", "answer": f"Take 400 mg. {LONG}"},
        {"question": asked.replace("farmer", "gardener"), "answer": "A tablet that the test made up."},
        {"question": "What else?", "answer": ""},
        {"question": "Which one?", "options": ["this one", "that one"], "answer": 1},
    ]
    test_set = jsonl(tmp_path / "exam.jsonl", [{"question": asked, "options": ["a", "b"], "answer": None}])
    data = jsonl(tmp_path / "own.jsonl", rows)
    assert run(tmp_path / "out", data, options={"test_sets": test_set, "valid_share": 0.0}) == 0
    assert {reject["position"]: reject["reason"] for reject in rejects_of(tmp_path / "out")} == {
        2: "exact_duplicate",
        3: "near_duplicate",
        6: "leak",
        7: "empty_answer",
    }
    kept = load_lessons(str(tmp_path / "out"), split="train", valid_share=0.0, seed=0)
    assert [one.id for one in kept] == [f"own.jsonl#{position}" for position in (1, 4, 5, 8)]

    # The same run with each filter off keeps what it would have dropped.
    assert run(tmp_path / "loose", data, options={"near_duplicate_threshold": "null"}) == 0
    assert [reject["position"] for reject in rejects_of(tmp_path / "loose")] == [2, 7]


def test_a_real_corpus_is_prepared_alike_twice(ray_session: None, tmp_path: Path, shared_data: Path) -> None:
    table = parquet.read_table(shared_data / "medquad_train.parquet").slice(3000, 2500)
    parquet.write_table(table, tmp_path / "part.parquet", row_group_size=700)
    options = {"test_sets": shared_data / "medquad_valid.parquet"}
    for name in ("one", "two"):
        assert run(tmp_path / name, tmp_path / "part.parquet", options=options) == 0
    assert contents(tmp_path / "one") == contents(tmp_path / "two")

    lessons = load_lessons(str(tmp_path / "one"), split=None, valid_share=0.0, seed=0)
    assert len(lessons) + len(rejects_of(tmp_path / "one")) == 2500
    splits: dict[str, set[str]] = {}
    for one in lessons:
        splits.setdefault(one.group, set()).add(one.split)
    assert {len(found) for found in splits.values()} == {1}
    tests = parquet.read_table(shared_data / "medquad_valid.parquet")["question"].to_pylist()
    assert not {tuple(words(text)) for text in tests} & {tuple(words(one.question)) for one in lessons}
    places = [int(one.id.rpartition("#")[2]) for one in lessons if one.split == "train"]
    assert places == sorted(places)
    assert Counter(one.split for one in lessons)["valid"] > 0


def test_damage_found_by_a_worker_is_one_line(
    ray_session: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"question": f"Question {number}?", "answer": f"answer {number * 7919}"} for number in range(5000)]
    path = tmp_path / "rows.parquet"
    parquet.write_table(pa.Table.from_pylist(rows), path, compression="zstd")
    content = bytearray(path.read_bytes())
    content[100:4000] = b"\x00" * 3900
    path.write_bytes(content)
    assert run(tmp_path / "out", path) == 2
    assert "jobs.prepare: rows.parquet: expected readable Parquet columns" in capsys.readouterr().err
    assert [item.name for item in tmp_path.iterdir()] == ["rows.parquet"]


@pytest.mark.parametrize("bad, share, code", [(10, 0.05, 2), (10, 0.2, 0)])
def test_bad_rows_fail_the_job_above_the_share_only(
    ray_session: None, tmp_path: Path, bad: int, share: float, code: int
) -> None:
    rows = [{"question": f"What is number {number}?", "answer": f"It is {number}."} for number in range(90)]
    path = jsonl(tmp_path / "own.jsonl", rows)
    path.write_text(path.read_text(encoding="utf-8") + "{\n" * bad, encoding="utf-8")
    assert run(tmp_path / "out", path, options={"max_reject_share": share}) == code
    assert (tmp_path / "out").exists() == (code == 0) and not (tmp_path / "out.unfinished").exists()


@pytest.mark.parametrize(
    ("make", "options", "said"),
    [
        ("missing", {}, "found none"),
        ("truncated", {}, "truncated or damaged"),
        ("good", {"format": "medmcqa"}, "expected the format 'medmcqa'"),
        ("html", {}, "other XML or HTML"),
        ("good", {"nonsense": 1}, "unknown key 'nonsense'"),
        ("good", {"leakage.ngram_word": 8}, "did you mean 'ngram_words'"),
        ("good", {"valid_share": "much"}, "valid_share"),
        ("good", {"test_sets": "/absent/exam.jsonl"}, "found none"),
    ],
)
def test_bad_input_is_one_line_exit_2_and_no_folder(
    tmp_path: Path, make: str, options: dict[str, Any], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "data.parquet"
    if make != "missing":
        parquet.write_table(pa.table({"question": ["What is gout?"], "answer": ["A joint disease."]}), path)
    if make == "truncated":
        path.write_bytes(path.read_bytes()[:-20])
    if make == "html":
        path.write_text("<html></html>", encoding="utf-8")
    assert run(tmp_path / "out", path, options=options) == 2
    error = capsys.readouterr().err.strip()
    assert said in error and "\n" not in error and error.startswith("jobs.prepare: ")
    assert not (tmp_path / "out").exists() and not (tmp_path / "out.unfinished").exists()


def test_a_finished_artifact_is_not_written_over(ray_session: None, tmp_path: Path) -> None:
    data = jsonl(tmp_path / "own.jsonl", [{"question": "What is gout?", "answer": "A joint disease."}])
    assert run(tmp_path / "out", data, options={"valid_share": 0.0}) == 0
    before = artifacts.read(tmp_path / "out", verify=True)
    assert run(tmp_path / "out", data, options={"valid_share": 0.0}) == 2
    assert artifacts.read(tmp_path / "out", verify=True) == before


def test_a_killed_run_leaves_no_artifact_and_can_be_run_again(ray_session: None, tmp_path: Path, root: Path) -> None:
    rows = [{"question": f"What is case {number}?", "answer": f"{number} {LONG}"} for number in range(2000)]
    data, out = jsonl(tmp_path / "own.jsonl", rows), tmp_path / "out"
    command = [sys.executable, "-m", "jobs.prepare", f"--set=data={data}", "--out", str(out)]
    with (tmp_path / "log").open("wb") as log:
        job = subprocess.Popen(command, cwd=root, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + 180
        # Its appearance means that rows were examined and the files are being written.
        while not (tmp_path / "out.unfinished" / "rejects.jsonl").exists() and time.monotonic() < deadline:
            assert job.poll() is None, (tmp_path / "log").read_text(errors="replace")[-2000:]
            time.sleep(0.02)
        os.killpg(job.pid, signal.SIGKILL)
        job.wait(timeout=30)
    assert not out.exists() and (tmp_path / "out.unfinished").exists()
    assert run(out, data) == 0
    assert artifacts.read(out, kind="lessons", verify=True).metrics["rows"] == 2000.0
    assert not (tmp_path / "out.unfinished").exists()
