"""`jobs.evaluate` from files to a finished folder: fixed names, resuming, contamination, retention, bad input."""

import json
import random

import pytest
from evaluation_fakes import RuleScorer

from jobs.evaluate import main
from medray.artifacts import read
from medray.config import load
from medray.errors import ArtifactError, ConfigError, EngineError
from medray.evaluation.config import EvaluateConfig
from medray.evaluation.rows import read_rows
from medray.evaluation.runner_evaluation import Place, evaluate
from medray.models.tiny import save_tiny

WORDS = ("fever", "cough", "rash", "gout", "asthma", "anaemia", "migraine", "eczema", "angina", "croup")


def question(number):
    draw = random.Random(number)
    told = " ".join(f"{draw.choice(WORDS)} on day {draw.randrange(1000)}," for _ in range(6))
    return f"A patient tells of {told} which tablet is given?"


@pytest.fixture
def exam(tmp_path):
    path = tmp_path / "exam.jsonl"
    asked = [{"question": question(n), "options": ["this", "that", "both", "none"], "answer": n % 4} for n in range(60)]
    path.write_text("".join(json.dumps(one) + "\n" for one in asked))
    return path


def config(exam, *settings):
    wanted = [f"tasks.own={exam}", "model=http://127.0.0.1:9/v1", "mode=generate", *settings]
    return load(EvaluateConfig, None, wanted)


def run(exam, out, factory, *settings, said=None):
    say = (said if said is not None else []).append
    return evaluate(config(exam, *settings), Place(str(out)), say=say, factory=factory)


def knows(one):
    return one.answer_index


def test_the_folder_holds_rows_summary_report_and_a_manifest(exam, tmp_path):
    said = []
    summary = run(exam, tmp_path / "out", lambda: RuleScorer(knows), said=said)
    written = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert written == json.loads(json.dumps(summary))
    own = written["tasks"]["own"]
    assert {"accuracy", "low", "high", "n", "unparsed", "letters"} <= set(own) and own["accuracy"] == 1.0
    assert len(read_rows(tmp_path / "out" / "items.parquet")) == 60
    manifest = read(tmp_path / "out", kind="evaluation", verify=True)
    assert manifest.metrics == {"own/n": 60.0, "own/accuracy": 1.0} and set(manifest.parents) == {"model", "tasks/own"}
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "items.parquet",
        "manifest.json",
        "report.html",
        "summary.json",
    ]
    assert "points above chance" in said[0]  # before the run
    assert "A patient" not in (tmp_path / "out" / "report.html").read_text() + json.dumps(written)


def test_a_broken_run_is_resumed_where_it_was_and_gives_the_same_table(exam, tmp_path):
    whole = run(exam, tmp_path / "whole", lambda: RuleScorer(knows, repeats=2))
    broken = Half(60)
    with pytest.raises(EngineError, match="8 items in a row"):
        run(exam, tmp_path / "out", lambda: broken, "run.chunk_items=5")
    assert (tmp_path / "out.unfinished" / "rows.jsonl").read_text().count("\n") == len(broken.asked) == 30
    asked = RuleScorer(knows, repeats=2)
    said = []
    resumed = run(exam, tmp_path / "out", lambda: asked, "run.workers=7", said=said)  # where it runs may change
    assert "resuming unfinished work" in said and 0 < len(asked.asked) < 60
    assert resumed["tasks"] == whole["tasks"]
    assert read_rows(tmp_path / "out" / "items.parquet") == read_rows(tmp_path / "whole" / "items.parquet")


class Half(RuleScorer):
    """Knows everything, two orders each, until it has been asked half of the items; then it is broken for good."""

    def __init__(self, items):
        super().__init__(knows, repeats=2)
        self.items = items

    def score(self, items):
        for one in items:
            if len(self.asked) >= self.items // 2:
                raise ZeroDivisionError
            yield from super().score([one])


def test_another_config_does_not_resume_and_a_finished_folder_is_kept(exam, tmp_path):
    broken = Half(0)
    with pytest.raises(EngineError):
        run(exam, tmp_path / "out", lambda: broken, "run.chunk_items=5")
    with pytest.raises(ArtifactError, match="unfinished work of another config"):
        run(exam, tmp_path / "out", RuleScorer, "limit=5")
    run(exam, tmp_path / "out", RuleScorer)
    with pytest.raises(ArtifactError, match="already holds"):
        run(exam, tmp_path / "out", RuleScorer)


def test_a_memorised_test_set_is_caught_and_told_apart(exam, tmp_path):
    """A model that was trained on half of the exam: it is right there and nowhere else."""
    corpus = tmp_path / "train.jsonl"
    seen = [{"question": question(n), "answer": "this one, by the key"} for n in range(30)]
    seen += [
        {"question": f"What is {word} and how common is {word} in children?", "answer": "A disease."} for word in WORDS
    ]
    corpus.write_text("".join(json.dumps(one) + "\n" for one in seen))

    def memorised(one):
        return one.answer_index if int(one.id.split("#")[1]) <= 30 else (one.answer_index + 1) % 4

    said = []
    summary = run(exam, tmp_path / "out", lambda: RuleScorer(memorised), f"training.corpora=[{corpus}]", said=said)
    found = summary["contamination"]
    assert found["tasks"]["own"] == {"items": 60, "affected": 30, "share": 0.5}
    assert {own["item_id"] for own in found["affected"]} == {f"own/exam.jsonl#{n + 1}" for n in range(30)}
    apart = found["accuracy"]["own"]
    assert apart["accuracy_affected"]["value"] == 1.0 and apart["accuracy_clean"]["value"] == 0.0
    assert summary["tasks"]["own"]["notes"][0].startswith("30 of 60 items stand in the training corpus")
    html = (tmp_path / "out" / "report.html").read_text()
    assert "Contamination" in html and "own/exam.jsonl#7" in html
    assert any("30 of 60 items stand in the training corpus" in line for line in said)
    clean = run(exam, tmp_path / "clean", lambda: RuleScorer(memorised))  # a mutant check: not named, not found
    assert "contamination" not in clean and not any(
        "training corpus" in note for note in clean["tasks"]["own"]["notes"]
    )


def test_what_the_teacher_knew_is_compared_with_what_is_left(exam, tmp_path):
    run(exam, tmp_path / "teacher", lambda: RuleScorer(lambda one: one.answer_index if number(one) <= 40 else None))
    student = lambda one: one.answer_index if number(one) <= 30 else (one.answer_index + 1) % 4  # noqa: E731
    summary = run(exam, tmp_path / "student", lambda: RuleScorer(student), f"teacher={tmp_path / 'teacher'}")
    own = summary["tasks"]["own"]["retention"]
    assert (own["counted"], own["taught"], own["chance"], own["independent"]) == (0.75, 40, 0.25, 0.5)
    assert own["low"] < 0.75 < own["high"]
    assert "Knowledge retention (KRR): 75.0%" in (tmp_path / "student" / "report.html").read_text()
    with pytest.raises(ArtifactError, match="finished evaluation"):
        run(exam, tmp_path / "other", RuleScorer, f"teacher={tmp_path}")


def number(one):
    return int(one.id.split("#")[1])


def test_the_shipped_config_is_valid_and_says_the_defaults(root):
    path = root / "jobs" / "configs" / "evaluate.yaml"
    shipped = load(EvaluateConfig, path, ["tasks.medqa=exam.jsonl"])
    assert shipped == load(EvaluateConfig, None, ["tasks.medqa=exam.jsonl", "model=smollm2-135m"])
    with pytest.raises(ConfigError, match="at least one task"):
        load(EvaluateConfig, path)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["model=http://127.0.0.1:9/v1"], "mode=generate"),
        (["model=http://127.0.0.1:9/v1", "mode=generate", "write_quality=true"], "no manifest"),
        (["model=m", "tasks.My Exam=f"], "task names"),
        (["model=m", "mode=guess"], "mode"),
        (["model=m", "report.level=2.0"], "report.level"),
    ],
)
def test_contradictions_are_refused_in_words(settings, said):
    with pytest.raises(ConfigError, match=said):
        load(EvaluateConfig, None, ["tasks.own=f", *settings])


def test_a_real_model_by_the_command(exam, tmp_path, capsys):
    ref = save_tiny(tmp_path / "tiny")
    out = tmp_path / "out"
    arguments = [f"--set=model={ref.path}", f"--set=tasks.own={exam}", "--set=limit=12", "--set=run.workers=0"]
    assert main([*arguments, "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "own: 12 of 60 items" in printed and "report.html" in printed and "A patient" not in printed
    own = json.loads((out / "summary.json").read_text())
    task = own["tasks"]["own"]
    assert task["n"] == 12 and task["unparsed"] == 0.0 and task["calibration"]["n"] == 12
    assert own["weights_bytes"] > 0 and own["run"]["peak_bytes"] > 0
    assert main([*arguments, "--out", str(out)]) == 2
    assert main(["--set=model=/absent", f"--set=tasks.own={exam}", "--out", str(tmp_path / "b")]) == 2
    assert not (tmp_path / "b").exists() and not (tmp_path / "b.unfinished").exists()
