"""Eq. 1 by PAPER's reading: argmax over keyword points, defined ties, emergency never lost."""

import json
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medray.knowledge import CATEGORIES, classify
from medray.knowledge.classification import classify_with
from medray.knowledge.confusion import confusion
from medray.knowledge.labelled import read_labelled
from medray.knowledge.lexicon import parse_lexicon

HERE = Path(__file__).parent
TINY = """
version: "1"
ignored_words: [the]
negation: {negators: ["no"], exceptions: ["no pulse"], window: 3}
context: {topic: ["what is"], acute: ["right now"]}
categories:
  medication: {drug: {weight: 1, keywords: [pill, "blood pressure pill"]}}
  treatment: {care: {weight: 1, keywords: [heal, "blood pressure"]}}
  emergency:
    word: {weight: 1, keywords: [urgent]}
    flag: {weight: 1, kind: red_flag, keywords: [stroke]}
    sign: {weight: 1, kind: sign, keywords: ["no pulse"], near: [{first: [swallow], second: [battery], within: 3}]}
"""


@pytest.fixture(scope="module")
def tiny():
    return parse_lexicon(TINY)


@pytest.mark.parametrize(
    ("question", "category", "points"),
    [
        ("pill", "medication", 1),
        ("Pills, pills!", "medication", 2),
        ("the BLOOD the pressure", "treatment", 1),  # ignored words do not break a phrase
        ("blood pressure pill", "medication", 1),  # the longer phrase swallows the shorter, of whatever class
        ("urgent pill", "emergency", 1),  # tie
        ("pill heal", "medication", 1),  # tie of others: the order of CATEGORIES
        ("pill pill pill stroke", "emergency", 3),  # a red flag is lifted to the highest score
        ("What is the stroke pill", "medication", 1),
        ("What is the stroke happening right now", "emergency", 1),
        ("no stroke pill", "general", 0),
        ("no pain, stroke", "emergency", 1),  # a comma ends the negation
        ("no pulse", "emergency", 1),
        ("swallow a big battery", "emergency", 1),
        ("swallow. battery", "general", 0),
        ("swallow one two three four battery", "general", 0),
        ("", "general", 0),
    ],
)
def test_points_on_a_lexicon_that_fits_on_a_page(tiny, question, category, points):
    found = classify_with(tiny, question)
    assert found.category == category
    assert max(found.scores.values()) == points


def test_confidence_is_the_share_of_all_points(tiny):
    assert classify_with(tiny, "pill pill pill heal").confidence == pytest.approx(3 / 4)
    assert classify_with(tiny, "pill").confidence == 1.0
    assert classify_with(tiny, "hello").confidence == 0.0


def test_a_repeated_word_does_not_multiply_a_near_rule(tiny):
    assert classify_with(tiny, "swallow battery swallow battery").scores["emergency"] == 1


@pytest.mark.parametrize(
    "question",
    [
        "my son swallowed a battery",
        "I have chest pain right now, can I take ibuprofen with my tablets and what are the side effects?",
        "He is not breathing",
        "he isn't breathing",
        "she isn\u2019t breathing!",
        "my dad's face is drooping on one side",
        "I took too many sleeping pills",
        "I want to kill myself, which medicine is the best treatment for depression?",
        "the bleeding won't stop, how do I treat it and prevent infection?",
        "My daughter is having a severe allergic reaction",
        "No chest pain but she can't breathe",
        "What are the symptoms of asthma? My son is turning blue",
        "Chest pain and sweating",
        "What to do in case of emergency or overdose of Warfarin ?",
        "ＭＹ ＳＯＮ ＳＷＡＬＬＯＷＥＤ Ａ ＢＡＴＴＥＲＹ",
        "her seizure has not stopped, the seizure won't stop",
    ],
)
def test_an_acute_sign_is_never_lost(question):
    assert classify(question).category == "emergency"


@pytest.mark.parametrize(
    ("question", "category"),
    [
        ("What is a stroke?", "general"),
        ("What are the symptoms of epilepsy?", "diagnosis"),
        ("How can heart attack be prevented?", "prevention"),
        ("What are the treatments for stroke?", "treatment"),
        ("What is the outlook for anaphylaxis?", "general"),
        ("How do I reduce my risk of stroke?", "prevention"),
        ("is it ok to take ibuprofen with warfarin", "medication"),
        ("I have no chest pain", "general"),
        ("Emergency contraception: which pill and how soon?", "medication"),
        ("How is a seizure disorder diagnosed?", "diagnosis"),
        ("I had a lot of blood tests, what do they mean?", "diagnosis"),
    ],
)
def test_a_topic_is_not_an_emergency(question, category):
    assert classify(question).category == category


@pytest.mark.parametrize(
    ("question", "subtype"),
    [
        ("I forgot to take my pill", "missed_dose"),
        ("What are the stages of kidney cancer?", "staging"),
        ("my son swallowed a battery", "poisoning_signs"),
        ("hello", None),
    ],
)
def test_the_second_level(question, subtype):
    assert classify(question).subtype == subtype


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=300))
def test_any_text_gets_a_class_and_the_same_one_twice(text):
    found = classify(text)
    assert found == classify(text)
    assert found.category in CATEGORIES
    assert 0.0 <= found.confidence <= 1.0
    assert (found.confidence == 0.0) == (found.category == "general")


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(["dose of aspirin", "best treatment", "how to prevent the flu", "blood test for diabetes"]))
def test_a_sign_wins_beside_any_number_of_other_keywords(other):
    assert classify(f"{other}, {other} and {other}. My baby is not breathing").category == "emergency"


def test_the_cost_grows_with_the_text_and_no_faster():
    """A hostile text of near-rule words must stay linear: ten times the text, not a hundred times the time."""

    def seconds(words: int) -> float:
        text = "swallowed took stung " * words
        started = time.perf_counter()
        classify(text)
        return time.perf_counter() - started

    seconds(10)
    assert min(seconds(20_000) for _ in range(3)) < 40 * min(seconds(2_000) for _ in range(3))


def _accuracy(rows, predict):
    return confusion((gold, predict(question)) for question, gold in rows).accuracy.value


@pytest.mark.parametrize("name", ["plain_questions.jsonl", "unseen_questions.jsonl"])
def test_plain_speech_stays_above_its_floor(name):
    """A floor against regressions on known questions, not an estimate: that is in docs/classification.md."""
    rows = read_labelled(HERE / name).rows
    assert _accuracy(rows, lambda q: classify(q).category) >= 0.8
    emergencies = [row for row in rows if row[1] == "emergency"]
    assert _accuracy(emergencies, lambda q: classify(q).category) == 1.0
    for constant in CATEGORIES:  # a classifier that always says the same must fail the floor
        assert _accuracy(rows, lambda _, constant=constant: constant) < 0.8


def test_medquad_stays_above_its_floor(shared_data):
    rows = read_labelled(shared_data / "medquad_questions.parquet").rows
    assert len(rows) == 22_561
    assert _accuracy(rows, lambda q: classify(q).category) > 0.98
    assert max(_accuracy(rows, lambda _, constant=constant: constant) for constant in CATEGORIES) < 0.5


def test_the_sample_agrees(root):
    rows = read_labelled(root / "medray/data/sample/qa.jsonl").rows
    assert _accuracy(rows, lambda q: classify(q).category) >= 0.95
    exam = [json.loads(line) for line in (root / "medray/data/sample/exam.jsonl").read_text().splitlines()]
    assert {row["category"] for row in exam} <= set(CATEGORIES)
