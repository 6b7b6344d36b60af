"""The shipped sample: schema, balance, and no question in both files."""

import json
from collections import Counter

import pytest

CLASSES = ["medication", "diagnosis", "treatment", "prevention", "emergency"]


@pytest.fixture(scope="module")
def qa(root):
    return _rows(root, "qa.jsonl")


@pytest.fixture(scope="module")
def exam(root):
    return _rows(root, "exam.jsonl")


def _rows(root, name):
    return [json.loads(line) for line in (root / "medray/data/sample" / name).read_text(encoding="utf-8").splitlines()]


def _plain(question):
    return " ".join(question.casefold().split())


def test_schema_and_counts(qa, exam):
    assert all(set(row) == {"id", "question", "answer", "category", "focus"} for row in qa)
    assert all(set(row) == {"id", "question", "options", "answer", "category", "focus"} for row in exam)
    assert Counter(row["category"] for row in qa) == dict.fromkeys(CLASSES, 40)
    assert Counter(row["category"] for row in exam) == dict.fromkeys(CLASSES, 12)


def test_ids_and_questions_are_unique_over_both_files(qa, exam):
    assert [row["id"] for row in qa] == [f"sample-qa-{n:03d}" for n in range(1, 201)]
    assert [row["id"] for row in exam] == [f"sample-exam-{n:03d}" for n in range(1, 61)]
    questions = [_plain(row["question"]) for row in [*qa, *exam]]
    assert len(set(questions)) == len(questions)


def test_answers_are_self_contained_in_length(qa):
    assert all(40 <= len(row["answer"].split()) <= 110 for row in qa)
    assert len({row["answer"] for row in qa}) == len(qa)


def test_emergency_answers_begin_with_calling_for_help(qa):
    for row in qa:
        if row["category"] == "emergency":
            assert "emergency number" in " ".join(row["answer"].split()[:20]), row["id"]


def test_the_right_option_is_spread_evenly(exam):
    assert Counter(row["answer"] for row in exam) == dict.fromkeys(range(4), 15)
    for category in CLASSES:
        assert Counter(row["answer"] for row in exam if row["category"] == category) == dict.fromkeys(range(4), 3)


def test_options_are_four_different_texts(exam):
    for row in exam:
        assert len({_plain(option) for option in row["options"]}) == 4, row["id"]
        assert all(option.strip() for option in row["options"])
