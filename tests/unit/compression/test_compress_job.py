"""The command line: tables, exit codes, and a cluster that the job is sent to only where one is named."""

import json
import shutil

import pytest

from jobs import compress as job
from medray.compression.show import shown_bytes
from medray.compression.steps import Steps, fresh_folder
from medray.errors import ArtifactError


@pytest.fixture(autouse=True)
def _alone(monkeypatch, lessons):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(job, "_validation_lessons", lambda config: lessons)
    monkeypatch.setenv("COLUMNS", "120")


def arguments(out, *overrides):
    return ["--out", str(out), *[word for item in overrides for word in ("--set", item)]]


def test_it_prints_bytes_per_part_quality_and_the_place(tmp_path, adapter, capsys):
    out = tmp_path / "out"
    assert job.main(arguments(out, f"adapter={adapter.path}", "rows=3", "max_tokens=96")) == 0
    shown = capsys.readouterr()
    for word in ("FP16", "merged", "bitsandbytes", "embedding", "attention", "ffn", "saved", "KL to merged", str(out)):
        assert word in shown.out
    assert "largest logit difference" in shown.out
    summary = json.loads((out / "summary.json").read_text())
    assert summary["provenance"]["command"].startswith("python -m jobs.compress --out")


def test_a_plan_is_printed_from_a_config_alone(tmp_path, base, capsys):
    (tmp_path / "m").mkdir()
    shutil.copy(f"{base.path}/config.json", tmp_path / "m")
    assert job.main(arguments(tmp_path / "out", f"model={tmp_path / 'm'}", "plan_only=true")) == 0
    shown = capsys.readouterr().out
    assert all(word in shown for word in ("gguf", "compressed-tensors", "bitsandbytes", "fp16"))


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ((), "expected model or adapter"),
        (("model=no-such-model",), "no-such-model"),
        (("model={base}", "formats=[awq]"), "awq"),
        (("model={base}", "dtipe=float16"), "dtype"),
        (("model={empty}",), "config.json"),
        (("adapter={base}",), "adapter"),
    ],
)
def test_bad_input_is_one_line_exit_2_and_no_artifact(tmp_path, base, capsys, overrides, said):
    (tmp_path / "empty").mkdir()
    given = [item.format(base=base.path, empty=tmp_path / "empty") for item in overrides]
    assert job.main(arguments(tmp_path / "out", *given)) == 2
    shown = capsys.readouterr()
    assert said in shown.err
    assert shown.err.count("\n") == 1
    assert not list(tmp_path.glob("out*"))


def test_bytes_are_shown_in_powers_of_ten():
    assert [shown_bytes(count) for count in (15_231_233_024, 5_000_000, 1_500, 9)] == [
        "15.231 GB",
        "5.000 MB",
        "1.500 kB",
        "9 B",
    ]


def test_a_step_runs_once_and_a_failed_one_again(tmp_path):
    steps, calls = Steps(tmp_path), []

    def work():
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError("cut")
        return {"n": len(calls)}

    with pytest.raises(RuntimeError):
        steps.run("a", work)
    assert [steps.run("a", work), Steps(tmp_path).run("a", work)] == [{"n": 2}, {"n": 2}]
    (tmp_path / ".steps" / "a.json").write_text("{")
    with pytest.raises(ArtifactError, match="repeat the step"):
        steps.run("a", work)
    steps.drop()
    assert list(tmp_path.iterdir()) == []


def test_a_fresh_folder_is_empty(tmp_path):
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "half.safetensors").write_text("x")
    assert list(fresh_folder(tmp_path / "f").iterdir()) == []
