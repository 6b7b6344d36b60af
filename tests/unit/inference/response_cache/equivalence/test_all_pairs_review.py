"""The review of all pairs: it finds what the rules call equivalent, resumes, and its page is its JSON."""

import json

import pytest

from jobs import cache_pairs_review as review
from medray.errors import DataError
from medray.inference.response_cache.equivalence import differences, profile

QUESTIONS = [
    "What is gout?",
    "What are the symptoms of hypertension?",
    "What are the symptoms of high blood pressure?",
    "What causes gout?",
]


@pytest.fixture(scope="module")
def result(root):
    return json.loads((root / review.RESULT).read_text())


def test_each_is_compared_with_each(tmp_path):
    seen = []
    profiles = [profile(question) for question in QUESTIONS]
    found = review.all_pairs(profiles, tmp_path / "done", "f", lambda a, b: seen.append((a, b)) or a != b)
    assert len(seen) == 6
    assert len(found) == 5  # the mutant calls everything equivalent but what is
    assert review.all_pairs(profiles, tmp_path / "other", "f") == [(1, 2)] == review.equal_pairs(QUESTIONS)


def test_a_stopped_run_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(review, "_BLOCK", 1)
    profiles = [profile(question) for question in QUESTIONS]
    progress = tmp_path / "done"
    calls = []

    def stopping(a, b):
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return a == b

    with pytest.raises(KeyboardInterrupt):
        review.all_pairs(profiles, progress, "f", stopping)
    progress.write_text(progress.read_text() + '{"of": "f", "fi')  # killed while it wrote
    progress.write_text(progress.read_text() + "\n")
    before = len(calls)
    assert review.all_pairs(profiles, progress, "f", lambda a, b: calls.append(1) or a == b) == [(1, 2)]
    assert len(calls) - before == 3  # the blocks of the first question are not compared again
    assert len(review.all_pairs(profiles, progress, "another", lambda a, b: True)) == 6


def test_different_means_more_than_case_and_punctuation():
    assert review.distinct(["What is Gout ?", "what is gout?", "What is gout in men?"]) == [
        "What is Gout ?",
        "What is gout in men?",
    ]


def test_a_hit_without_a_verdict_is_open_and_a_fix_that_does_not_hold_is_harmful():
    said = {frozenset(QUESTIONS[1:3]): {"a": "", "b": "", "verdict": "fixed", "reason": ""}}
    found = review.summary(QUESTIONS, [(0, 3), (1, 2)], said)
    assert (found["open"], found["harmful"], found["harmless"]) == (1, 1, 0)


def test_another_shape_of_review_is_refused(tmp_path):
    (tmp_path / "review").write_text('{"a": "x", "b": "y", "verdict": "fine", "reason": ""}\n')
    with pytest.raises(DataError, match="line 1"):
        review.read_review(tmp_path / "review")


def test_the_page_is_made_from_the_results(root, result):
    assert (root / review.PAGE).read_text() == review.render(result)


def test_every_hit_is_reviewed_and_none_is_harmful(result):
    assert result["pairs"] >= 12_000_000
    for found in (result, result["whole_corpus"]):
        assert (found["open"], found["harmful"]) == (0, 0)


def test_what_was_fixed_stays_fixed(result):
    assert len(result["fixed"]) >= 20
    assert [row["a"] for row in result["fixed"] if not differences(row["a"], row["b"])] == []


def test_hits_are_still_hits(result):
    """The listed hits are those of the present rules, not of some earlier ones."""
    rows = result["whole_corpus"]["hits"]
    assert [row["a"] for row in rows if differences(row["a"], row["b"])] == []
