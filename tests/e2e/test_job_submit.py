"""`ray job submit` against a local head with token authentication: the way people use a cluster."""

import json

import httpx
import pytest

from medray.artifacts import read
from medray.models.tiny import save_tiny


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    save_tiny(folder / "teacher")
    words = ["fever", "cough", "rash", "pain", "ulcer", "asthma", "anemia", "gout"]
    rows = [
        {
            "question": f"What is the treatment of {word} number {index}?",
            "answer": f"Rest, fluids and care for {word} {index}.",
        }
        for index in range(8)
        for word in words
    ]
    (folder / "data.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    return folder


def submit(head, inputs, out, *extra: str):
    settings = [f"teacher={inputs}/teacher", "student=prune:2", f"data={inputs}/data.jsonl", "steps=3", *extra]
    flags = [part for setting in settings for part in ("--set", setting)]
    command = ["python", "-m", "jobs.distill", *flags, "--out", str(out)]
    return head.run("ray", "job", "submit", "--working-dir", ".", "--", *command)


def test_distil_by_job_submit(head, inputs, tmp_path):
    result = submit(head, inputs, tmp_path / "out")
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-2000:]
    manifest = read(tmp_path / "out", kind="distilled")
    assert manifest.config["steps"] == 3
    assert str(tmp_path / "out") in result.stdout  # the job says where its artifact is
    assert "record.jsonl" in result.stdout


def test_a_bad_job_fails_and_leaves_nothing(head, inputs, tmp_path):
    result = submit(head, inputs, tmp_path / "out", "no_such_key=1")
    assert result.returncode == 1
    assert "no_such_key" in result.stdout
    assert list(tmp_path.iterdir()) == []


def test_without_the_token_the_job_api_answers_401(head):
    assert httpx.get(f"{head.api}/api/jobs/").status_code == 401
