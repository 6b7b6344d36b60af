"""Leakage: what gives a test question away, what does not, and the mutants that must be caught."""

from collections.abc import Callable

import pytest
from corpora import qa
from hypothesis import given
from hypothesis import strategies as st

from medray.data import leakage
from medray.data.config import LeakageConfig
from medray.data.example import Example
from medray.data.leakage import LeakIndex, index_questions, leaks

CONFIG = LeakageConfig(ngram_words=5, overlap=0.5)
VIGNETTE = (
    "A 54-year-old farmer comes to the clinic with a week of fever, a painful knee and a rash on both shins "
    "after he had been clearing old hedges near a river"
)
TEMPLATES = [f"Which of the following is the most likely cause of {name}?" for name in "abcdefghijklmnop"]
Detector = Callable[[Example, LeakIndex], bool]


def check_laws(detects: Detector) -> None:
    """What any detector must do; mutants below must fail it."""
    index = index_questions([VIGNETTE, "What is gout?", *TEMPLATES], CONFIG)
    assert detects(qa(VIGNETTE, "Give doxycycline."), index)
    assert detects(qa("Discuss this case.", f"{VIGNETTE} The answer is given."), index)
    assert detects(qa(VIGNETTE.replace("farmer", "gardener"), "Give doxycycline."), index)
    assert detects(qa(VIGNETTE.upper() + "!", "Give doxycycline."), index)
    assert detects(qa("what is GOUT", "A joint disease."), index)
    assert not detects(qa("What is measles?", "Gout is something else: what is gout not?"), index)
    assert not detects(qa("Which of the following is the most likely cause of hiccups?", "A meal."), index)
    assert not detects(qa(" ".join(VIGNETTE.split()[:8]), "An answer of its own."), index)


def test_laws() -> None:
    check_laws(leaks)


def test_mutants_fail_the_laws(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AssertionError):
        check_laws(lambda example, index: False)  # a filter that is off
    with pytest.raises(AssertionError):
        check_laws(lambda example, index: True)
    monkeypatch.setattr(leakage, "_TEMPLATE_QUESTIONS", 1000)
    with pytest.raises(AssertionError):
        check_laws(leaks)  # templates counted as evidence
    monkeypatch.undo()
    monkeypatch.setattr(leakage, "_known", lambda grams, known: [])
    with pytest.raises(AssertionError):
        check_laws(leaks)  # only whole questions compared


def test_options_count_as_text() -> None:
    index = index_questions([VIGNETTE], CONFIG)
    assert leaks(Example("x#1", "x", 1, "exam", "g", "Which case?", VIGNETTE, (VIGNETTE, "none"), 0), index)


def test_no_test_set_drops_nothing() -> None:
    assert not leaks(qa("", ""), index_questions([], CONFIG))


@given(st.lists(st.sampled_from("abcdefgh"), min_size=5, max_size=30), st.lists(st.sampled_from("ijkl"), max_size=10))
def test_a_question_held_whole_always_leaks(asked: list[str], around: list[str]) -> None:
    index = index_questions([" ".join(asked)], CONFIG)
    assert leaks(qa("Other?", " ".join([*around, *asked, *around])), index)


@given(st.text(max_size=50), st.text(max_size=50))
def test_rows_without_a_common_word_never_leak(question: str, answer: str) -> None:
    index = index_questions([VIGNETTE], CONFIG)
    shared = set(leakage.words(question + " " + answer)) & set(leakage.words(VIGNETTE))
    assert shared or not leaks(qa(question, answer), index)
