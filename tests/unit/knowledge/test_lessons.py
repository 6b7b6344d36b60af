"""Lessons: from an example and back from Parquet, and every kind of `data` that a config may name."""

import json
from dataclasses import fields
from pathlib import Path

import pytest
from pyarrow import parquet

from medray.artifacts import Manifest, Output
from medray.data.example import Example
from medray.errors import ArtifactError, DataError, InputError
from medray.knowledge import PROMPT_VERSION, build_messages, classify
from medray.knowledge.lesson_writer import LessonWriter
from medray.knowledge.lessons import KIND, Lesson, lesson_from, load_lessons, schema, write_lessons

QA = Example("f#1", "f", 1, "qa", "gout", "How is gout treated?", "With rest and medicine.")
EXAM = Example(
    "f#2", "f", 2, "exam", "scurvy", "Which vitamin?", "C", ("A", "C"), 1, {"explanation": "Collagen needs it."}
)


def lessons(count: int) -> list[Lesson]:
    examples = [
        Example(f"f#{n}", "f", n, "qa", f"g{n}", f"What is condition {n}?", f"Answer {n}.") for n in range(1, count + 1)
    ]
    return [lesson_from(example, "valid" if example.position % 4 == 0 else "train") for example in examples]


def raw_file(path: Path, count: int = 200, bad: int = 0) -> Path:
    rows = [{"question": f"What is condition {n}?", "answer": f"Condition {n} is made up."} for n in range(count)]
    text = "".join(json.dumps(row) + "\n" for row in rows) + "{\n" * bad
    path.write_text(text, encoding="utf-8")
    return path


def load(data: Path | str, split: str | None = None, valid_share: float = 0.2) -> list[Lesson]:
    return load_lessons(str(data), split=split, valid_share=valid_share, seed=0)  # type: ignore[arg-type]


def test_a_question_and_answer_lesson_is_prompted_by_its_class() -> None:
    lesson = lesson_from(QA, "train")
    found = classify(QA.question)
    system, user = build_messages(QA.question, found.category)
    assert (lesson.category, lesson.confidence) == (found.category, found.confidence) and lesson.category == "treatment"
    assert (lesson.system, lesson.user) == (system["content"], user["content"])
    assert (lesson.target, lesson.answer) == (QA.answer, QA.answer)
    assert (lesson.id, lesson.group, lesson.split, lesson.prompt_version) == ("f#1", "gout", "train", PROMPT_VERSION)


def test_an_exam_lesson_shows_the_options_and_teaches_the_explanation() -> None:
    lesson = lesson_from(EXAM, "train")
    assert lesson.question == "Which vitamin?\nA. A\nB. C" and lesson.user == lesson.question
    assert lesson.answer == "C" and lesson.target == "B. C\n\nCollagen needs it."


def test_round_trip_through_parquet(tmp_path: Path) -> None:
    written = [lesson_from(QA, "train"), lesson_from(EXAM, "valid")]
    write_lessons(tmp_path / "l.parquet", written)
    assert load(tmp_path / "l.parquet") == written
    assert load(tmp_path / "l.parquet", "valid") == written[1:]
    stored = parquet.read_schema(tmp_path / "l.parquet")
    assert stored.equals(schema(), check_metadata=True)
    assert stored.names == [field.name for field in fields(Lesson)]


def test_a_prepared_artifact_and_its_parts(tmp_path: Path) -> None:
    made = lessons(12)
    with Output(tmp_path / "out", kind=KIND, config={}, inputs={}) as output:
        for split in ("train", "valid"):
            (output.path / split).mkdir()
            write_lessons(output.path / split / "part-00000.parquet", [one for one in made if one.split == split])
        (output.path / "rejects.jsonl").write_text("", encoding="utf-8")
        output.commit(Manifest(kind=KIND))
    # The share of the caller does not move what was prepared.
    assert [one.id for one in load(tmp_path / "out", "valid", 0.9)] == ["f#4", "f#8", "f#12"]
    assert load(tmp_path / "out" / "train", "train") == [one for one in made if one.split == "train"]
    with pytest.raises(DataError, match="expected at least one lesson of the split 'valid'"):
        load(tmp_path / "out" / "train", "valid")


def test_an_artifact_of_another_kind_is_refused(tmp_path: Path) -> None:
    with Output(tmp_path / "out", kind="adapter", config={}, inputs={}) as output:
        output.commit(Manifest(kind="adapter"))
    with pytest.raises(ArtifactError, match="kind 'lessons'"):
        load(tmp_path / "out")


def test_another_lesson_format_is_refused(tmp_path: Path) -> None:
    write_lessons(tmp_path / "l.parquet", lessons(2))
    table = parquet.read_table(tmp_path / "l.parquet")
    parquet.write_table(table.replace_schema_metadata({b"medray.lessons": b"0"}), tmp_path / "l.parquet")
    with pytest.raises(DataError, match="expected lesson format 1, got 0"):
        load(tmp_path / "l.parquet")


def test_raw_data_is_split_by_hash_without_overlap(tmp_path: Path) -> None:
    path = raw_file(tmp_path / "own.jsonl")
    train, valid = load(path, "train"), load(path, "valid")
    assert len(train) + len(valid) == 200 == len(load(path)) and 20 <= len(valid) <= 60
    assert not {one.group for one in train} & {one.group for one in valid}
    assert {one.split for one in train} == {"train"}
    with pytest.raises(DataError, match="split 'valid'"):
        load(path, "valid", 0.0)


def test_raw_data_with_many_bad_rows_is_refused_and_a_few_are_not(tmp_path: Path) -> None:
    assert len(load(raw_file(tmp_path / "few.jsonl", bad=5))) == 200
    with pytest.raises(DataError, match="bad rows"):
        load(raw_file(tmp_path / "many.jsonl", bad=50))


@pytest.mark.parametrize("name", ["absent", "absent.parquet"])
def test_missing_data_is_one_input_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="found none"):
        load(tmp_path / name)


def test_the_packaged_sample_loads_by_its_name() -> None:
    found = load("sample")
    assert len(found) == 200 == len({one.id for one in found})
    assert {one.source for one in found} == {"qa.jsonl"}  # the exam questions stay unseen
    assert {"medication", "diagnosis", "treatment", "prevention", "emergency"} <= {one.category for one in found}


def test_the_real_corpus_loads_through_the_same_door(shared_data: Path) -> None:
    found = load(shared_data / "medquad_valid.parquet", valid_share=0.3)
    assert len(found) == 740 and all(one.target and one.system for one in found)


@pytest.mark.parametrize("batch", [1, 7, 100])
def test_the_writer_gives_equal_files_whatever_the_batches(tmp_path: Path, batch: int) -> None:
    import pyarrow as pa

    write_lessons(tmp_path / "all.parquet", lessons(100))
    table = parquet.read_table(tmp_path / "all.parquet")

    def write(folder: Path, size: int) -> dict[str, bytes]:
        with LessonWriter(folder, row_group_rows=8, row_groups_per_file=4) as writer:
            for start in range(0, 100, size):
                writer.add(pa.table(table.slice(start, size)))
        return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}

    made = write(tmp_path / "made", batch)
    assert made == write(tmp_path / "reference", 33)
    assert list(made) == [f"part-{number:05d}.parquet" for number in range(4)]
    assert load(tmp_path / "made") == load(tmp_path / "all.parquet")
