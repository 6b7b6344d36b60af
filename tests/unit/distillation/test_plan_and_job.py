"""What is refused before a cluster starts: one line, exit code 2, nothing left behind."""

import dataclasses
import json
import shutil

import pytest
from distill_samples import lesson, lessons

from jobs.distill import main
from medray.config import validate
from medray.distillation.config import DistillConfig
from medray.distillation.plan import make_plan
from medray.errors import ConfigError
from medray.knowledge.lessons import write_lessons
from medray.models.tiny import save_tiny, tiny_model, tiny_tokenizer


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "teacher"
    save_tiny(folder)
    return folder


def settings(teacher, lesson_file, /, **more):
    given = {"teacher": str(teacher), "student": "prune:2", "data": str(lesson_file), "max_tokens": 128, **more}
    return [argument for key, value in given.items() for argument in ("--set", f"{key}={json.dumps(value)}")]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lerning_rate": 1}, "unknown key 'lerning_rate'"),
        ({"steps": "many"}, "steps"),
        ({"data": "/nowhere/lessons.parquet"}, "/nowhere/lessons.parquet"),
        ({"teacher": "/nowhere/model"}, "no model '/nowhere/model'"),
        ({"student": "prune:0"}, "prune:N"),
        ({"student": "prune:99"}, "1 <= N <= 4"),
        ({"max_tokens": 4096}, "at most 512"),
        ({"max_tokens": 32}, "expected train rows"),
        ({"lora.targets": ["q_proj", "wrong_proj"]}, "wrong_proj"),
    ],
)
def test_bad_input_is_one_line_exit_2_and_no_artifact(teacher, lesson_file, tmp_path, capsys, change, message):
    out = tmp_path / "out"
    assert main([*settings(teacher, lesson_file, **change), "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("jobs.distill: ")
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_model_without_weights(teacher, lesson_file, tmp_path, capsys):
    bare = tmp_path / "bare"
    shutil.copytree(teacher, bare, ignore=shutil.ignore_patterns("*.safetensors"))
    assert main([*settings(bare, lesson_file), "--out", str(tmp_path / "out")]) == 2
    assert "expected weights as *.safetensors, found none" in capsys.readouterr().err
    assert not (tmp_path / "out.unfinished").exists()


def test_a_taken_output_folder(teacher, lesson_file, tmp_path, capsys):
    (tmp_path / "manifest.json").write_text("{}")
    assert main([*settings(teacher, lesson_file), "--out", str(tmp_path)]) == 2
    assert "already holds a finished artifact" in capsys.readouterr().err


def plan_for(teacher, lesson_file, **more):
    given = {"teacher": str(teacher), "student": "prune:2", "data": str(lesson_file), "max_tokens": 128, **more}
    return make_plan(validate(DistillConfig, given))


def other_tokenizer(folder, vocab_size=384):
    tiny_model(vocab_size=vocab_size).save_pretrained(folder)
    tokenizer = tiny_tokenizer(300)
    tokenizer.save_pretrained(folder)
    return folder


def test_two_tokenizers_are_refused_unless_the_teacher_is_not_asked(teacher, lesson_file, tmp_path):
    student = str(other_tokenizer(tmp_path / "other"))
    with pytest.raises(ConfigError, match="one tokenizer for the KL term"):
        plan_for(teacher, lesson_file, student=student)
    with pytest.raises(ConfigError, match=r"validation\.kl=false"):
        plan_for(teacher, lesson_file, student=student, loss={"ce": 1, "kl": 0})
    plan = plan_for(teacher, lesson_file, student=student, loss={"ce": 1, "kl": 0}, validation={"kl": False})
    assert not plan.config.wants_teacher


def test_one_tokenizer_with_another_padding_is_accepted(teacher, lesson_file, tmp_path):
    padded = tmp_path / "padded"
    tiny_model(vocab_size=448).save_pretrained(padded)
    tiny_tokenizer().save_pretrained(padded)
    assert plan_for(teacher, lesson_file, student=str(padded)).student.ref.path == str(padded)


def test_epochs_steps_and_lineage(teacher, lesson_file, tmp_path):
    plan = plan_for(teacher, lesson_file, epochs=2, global_batch_size=8)
    assert (plan.total_steps, len(plan.train), len(plan.valid)) == (5, 20, 5)
    assert plan_for(teacher, lesson_file, steps=3).total_steps == 3
    assert set(plan.inputs) == {"teacher", "student", "data"}
    other = tmp_path / "other.parquet"
    write_lessons(other, [*lessons(), lesson(50)])
    changed = plan_for(teacher, other)
    assert changed.inputs["data"] != plan.inputs["data"]
    assert changed.inputs["teacher"] == plan.inputs["teacher"]


def test_validation_rows_are_a_fixed_subset(teacher, tmp_path):
    path = tmp_path / "lessons.parquet"
    write_lessons(path, lessons(train=10, valid=30))
    first, second = (plan_for(teacher, path, validation={"rows": 4}).valid for _ in range(2))
    assert first.ids == second.ids
    assert len(first) == 4
    assert first.ids != plan_for(teacher, path, validation={"rows": 4}, seed=1).valid.ids


def test_a_plan_is_plain_data(teacher, lesson_file):
    plan = plan_for(teacher, lesson_file)
    assert dataclasses.asdict(plan)["pad_id"] == 0
