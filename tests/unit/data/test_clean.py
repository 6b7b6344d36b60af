"""Normalisation laws, bounds, and the deterministic split."""

import unicodedata

import pytest
from corpora import qa
from hypothesis import given
from hypothesis import strategies as st

from medray.data.clean import clean
from medray.data.config import LengthBounds
from medray.data.example import Example, Reason, Reject
from medray.data.splits import split_of
from medray.data.tally import Tally
from medray.data.text import group_key, normalise, words
from medray.errors import DataError

ANY_TEXT = st.text(st.characters(exclude_categories=[]), max_size=60)


@given(ANY_TEXT)
def test_normalising_twice_is_normalising_once(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once
    assert unicodedata.is_normalized("NFC", once)
    assert not any(unicodedata.category(char) in ("Cc", "Cs") and char != "\n" for char in once)
    assert "  " not in once and "\n\n\n" not in once and once == once.strip()
    once.encode()


def test_normalise_keeps_words_apart_and_paragraphs() -> None:
    assert normalise("a\tb\u00a0c\r\n\r\n\r\n\r\nd \u200be\x00f") == "a b c\n\nd ef"
    assert normalise("e\u0301") == "\u00e9"


@pytest.mark.parametrize(
    ("question", "answer", "reason"),
    [
        (" \u200b ", "An answer.", Reason.EMPTY_QUESTION),
        ("A question?", " \n ", Reason.EMPTY_ANSWER),
        ("A?", "An answer.", Reason.QUESTION_TOO_SHORT),
        ("A" * 51, "An answer.", Reason.QUESTION_TOO_LONG),
        ("A question?", "No.", Reason.ANSWER_TOO_SHORT),
        ("A question?", "A" * 61, Reason.ANSWER_TOO_LONG),
        ("A" * 50, "A" * 60, None),
    ],
)
def test_bounds(question: str, answer: str, reason: Reason | None) -> None:
    row = clean(qa(question, answer), LengthBounds(max_question_chars=50, max_answer_chars=60))
    assert (row.reason if isinstance(row, Reject) else None) is reason


def test_an_option_that_normalises_to_nothing_is_bad() -> None:
    exam = Example("x#1", "x", 1, "exam", "g", "Which one?", "a", ("a", "\u200b"), 0)
    row = clean(exam, LengthBounds())
    assert isinstance(row, Reject) and row.reason is Reason.BAD_OPTIONS


def test_a_group_without_words_falls_back_to_the_question() -> None:
    row = clean(qa("What is gout?", "A joint disease."), LengthBounds())
    assert isinstance(row, Example) and row.group == "what is gout"
    assert group_key("Heart  ATTACK") == group_key("heart attack")


def test_words_fold_compatibility_forms_and_keep_numbers_whole() -> None:
    assert words("2.5\u00b5g \u2264 3,000 Mg/dL can\u2019t") == [
        "2.5",
        "\u03bcg",
        "\u2264",
        "3,000",
        "mg",
        "dl",
        "can't",
    ]
    assert words("HER2+ or HER2\u2212, long-term - and -5 \u2013 x--y") == [
        *("her", "2", "+", "or", "her", "2", "-", "long", "term", "and", "-", "5", "x", "y")
    ]


@given(ANY_TEXT, st.integers(), st.floats(0, 0.99), st.floats(0, 0.99))
def test_a_split_is_a_function_of_the_group_and_grows_with_the_share(
    text: str, seed: int, left: float, right: float
) -> None:
    group = normalise(text)
    small, large = sorted((left, right))
    assert split_of(group, seed, small) == split_of(group, seed, small)
    if split_of(group, seed, small) == "valid":
        assert split_of(group, seed, large) == "valid"
    assert split_of(group, seed, 0.0) == "train"


@given(st.lists(st.text(max_size=8)), st.lists(st.text(max_size=8)))
def test_adding_rows_moves_none(groups: list[str], more: list[str]) -> None:
    before = {group: split_of(group, 7, 0.3) for group in groups}
    after = {group: split_of(group, 7, 0.3) for group in [*more, *groups]}
    assert all(after[group] == split for group, split in before.items())


def test_the_share_is_met_and_the_seed_matters() -> None:
    groups = [f"group {number}" for number in range(20_000)]
    valid = {group for group in groups if split_of(group, 0, 0.1) == "valid"}
    other = {group for group in groups if split_of(group, 1, 0.1) == "valid"}
    # Six standard deviations of a binomial share.
    assert abs(len(valid) / len(groups) - 0.1) < 6 * (0.09 / len(groups)) ** 0.5
    assert len(valid & other) < 0.3 * len(valid)


def test_only_bad_rows_count_towards_the_share() -> None:
    tally = Tally()
    tally.add(None, 40)
    tally.add(Reason.EMPTY_ANSWER, 58)
    tally.add(Reason.NO_KEY, 2)
    tally.check("x", 0.02)
    tally.add(Reason.NOT_JSON)
    with pytest.raises(DataError, match=r"got 3 of 101 \(no_key 2, not_json 1\)"):
        tally.check("x", 0.02)
