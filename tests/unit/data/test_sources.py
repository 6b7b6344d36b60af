"""Each reader on its corpus's own format, and detection from content."""

import json
from pathlib import Path

import pytest
from corpora import PUBMEDQA, lines, medmcqa_row, medqa_row, medquad_folder, table

from medray.data.config import Format
from medray.data.example import Example, Reason, Reject
from medray.data.sources import detect, open_corpus, questions, read
from medray.data.sources.files import content_hash, walk
from medray.data.sources.lines import line_ranges
from medray.errors import DataError


def rows_of(path: Path, format: Format = "auto") -> list[Example | Reject]:
    return [row for unit in open_corpus(str(path), format=format) for row in read(unit)]


def test_medquad_reads_documents_with_focus_as_group_and_empty_answers_as_empty(tmp_path: Path) -> None:
    first, empty, *rest = rows_of(medquad_folder(tmp_path / "MedQuAD", ["Gout", "Measles"]))
    assert isinstance(first, Example) and isinstance(empty, Example)
    assert first.source == "MedQuAD/1_Test_QA/0000000.xml" and first.position == 1
    assert (first.group, first.question) == ("Gout", "What is Gout ?")
    assert first.meta["qid"] == "0-1" and first.meta["qtype"] == "information" and first.meta["publisher"] == "Test"
    assert empty.answer == "" and empty.position == 2
    assert len(rest) == 2


def test_a_single_document_is_a_corpus(tmp_path: Path) -> None:
    folder = medquad_folder(tmp_path, ["Gout"])
    assert len(rows_of(folder / "1_Test_QA" / "0000000.xml")) == 2


def test_medqa_key_is_a_letter(tmp_path: Path) -> None:
    good, bad = rows_of(lines(tmp_path / "us.jsonl", [medqa_row(), medqa_row("E")]))
    assert isinstance(good, Example)
    assert (good.kind, good.answer, good.answer_index) == ("exam", "Vitamin C", 1)
    assert bad == Reject("us.jsonl", 2, Reason.NO_KEY)


@pytest.mark.parametrize("cop", [0, None, 5, "2", True, 2.0])
def test_medmcqa_without_a_usable_key_is_rejected(tmp_path: Path, cop: object) -> None:
    good, bad = rows_of(lines(tmp_path / "train.json", [medmcqa_row(), medmcqa_row(cop)]))
    assert isinstance(good, Example) and good.answer == "Vitamin C"  # cop 2 counts from 1
    assert good.meta["explanation"].startswith("Ascorbic") and "topic" not in good.meta
    assert bad == Reject("train.json", 2, Reason.NO_KEY)


def test_medmcqa_questions_are_there_without_keys(tmp_path: Path) -> None:
    row = medmcqa_row()
    del row["cop"]
    (unit,) = open_corpus(str(lines(tmp_path / "test.json", [row])))
    assert list(questions(unit)) == ["Which vitamin prevents scurvy?"]


@pytest.mark.parametrize("indent", [None, 4])
def test_pubmedqa_is_one_object(tmp_path: Path, indent: int | None) -> None:
    path = tmp_path / "ori_pqal.json"
    path.write_text(json.dumps(PUBMEDQA, indent=indent), encoding="utf-8")
    first, second = rows_of(path)
    assert isinstance(first, Example) and isinstance(second, Example)
    assert first.answer == "It seems to." and first.meta == {"qid": "111", "decision": "yes"}
    assert second.position == 2


def test_tables_of_both_encodings_give_the_same_rows(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "question": "What is gout?", "answer": "A joint disease.", "focus": "Gout"},
        {"id": "b", "question": "What is measles?", "answer": "A viral disease.", "focus": "Measles"},
    ]
    left = rows_of(lines(tmp_path / "t.jsonl", rows))
    right = rows_of(table(tmp_path / "t.parquet", rows))
    assert [(row.group, row.question, row.answer, row.position) for row in left if isinstance(row, Example)] == [
        (row.group, row.question, row.answer, row.position) for row in right if isinstance(row, Example)
    ]
    assert len(left) == 2 and isinstance(left[0], Example) and left[0].meta["qid"] == "a"


def test_an_own_exam_has_an_index_from_0(tmp_path: Path) -> None:
    good = {"question": "Which one?", "options": ["this", "that"], "answer": 1}
    rows = rows_of(lines(tmp_path / "exam.jsonl", [good, {**good, "answer": 2}, {**good, "options": ["this", ""]}]))
    assert isinstance(rows[0], Example) and rows[0].answer == "that"
    assert [row.reason for row in rows[1:] if isinstance(row, Reject)] == [Reason.NO_KEY, Reason.BAD_OPTIONS]


def test_parquet_positions_run_over_row_groups(tmp_path: Path) -> None:
    rows = [{"question": f"Question {number}?", "answer": "An answer."} for number in range(10)]
    path = table(tmp_path / "t.parquet", rows, row_group_size=3)
    assert len(open_corpus(str(path))) == 4
    assert [row.position for row in rows_of(path)] == list(range(1, 11))


def test_a_folder_of_tables_is_read_in_the_order_of_names(tmp_path: Path) -> None:
    row = {"question": "What is gout?", "answer": "A joint disease."}
    lines(tmp_path / "b.jsonl", [row])
    table(tmp_path / "a.parquet", [row])
    (tmp_path / "README.md").write_text("not data", encoding="utf-8")
    assert [row.source.rpartition("/")[2] for row in rows_of(tmp_path)] == ["a.parquet", "b.jsonl"]


def test_line_ranges_cover_every_line_once_and_know_its_number(tmp_path: Path) -> None:
    rows = [{"question": f"Question {number}?", "answer": "x" * (number % 97)} for number in range(60_000)]
    path = lines(tmp_path / "big.jsonl", rows)
    (file,), _ = walk(str(path))
    units = line_ranges(file, "table-jsonl", "big.jsonl", range_bytes=1 << 20)
    assert len(units) > 3
    read_rows = [row for unit in units for row in read(unit)]
    assert [row.position for row in read_rows] == list(range(1, 60_001))
    assert all(isinstance(row, Example) and row.question == f"Question {row.position - 1}?" for row in read_rows)


def test_detection_reads_content_not_names(tmp_path: Path) -> None:
    path = lines(tmp_path / "misnamed.json", [medqa_row()])
    (file,), _ = walk(str(path))
    assert detect(file).name == "medqa"
    with pytest.raises(DataError, match="expected the format 'medmcqa'"):
        detect(file, "medmcqa")


def test_content_hash_changes_with_content_and_name_only(tmp_path: Path) -> None:
    left, right = tmp_path / "l", tmp_path / "r"
    for folder in (left, right):
        folder.mkdir()
        lines(folder / "a.jsonl", [medqa_row()])
    assert content_hash(str(left)) == content_hash(str(right))
    (right / "a.jsonl").rename(right / "b.jsonl")
    assert content_hash(str(left)) != content_hash(str(right))


def test_a_uri_reads_like_a_folder(tmp_path: Path) -> None:
    folder = medquad_folder(tmp_path / "MedQuAD", ["Gout", "Measles"])
    units = open_corpus(folder.as_uri())
    assert [row for unit in units for row in read(unit)] == rows_of(folder)
    assert content_hash(folder.as_uri()) == content_hash(str(folder))
    with pytest.raises(DataError, match="found none"):
        open_corpus((tmp_path / "absent").as_uri())
    with pytest.raises(DataError, match="cannot open nosuch://bucket/rows"):
        open_corpus("nosuch://bucket/rows?secret=1")


def test_a_device_is_no_corpus() -> None:
    with pytest.raises(DataError, match="found none"):
        open_corpus("/dev/null")


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("medquad_train", {"qa"}),
        ("medqa_us_dev", {"exam"}),
        ("medmcqa_valid", {"exam"}),
        ("pubmedqa_train", {"qa"}),
        ("mmlu_med_dev", {"exam"}),
    ],
)
def test_the_shared_parquet_shapes_read_without_rejects(shared_data: Path, name: str, kinds: set[str]) -> None:
    rows = rows_of(shared_data / f"{name}.parquet")
    assert {row.kind if isinstance(row, Example) else row.reason for row in rows} == kinds
