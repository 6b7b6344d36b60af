"""Figures by hand, the fields that outsiders read, and notes that tell when accuracy says nothing."""

import dataclasses
import json
import math

import pytest
from evaluation_fakes import item, items, outcome

from medray.evaluation.rows import rows_of
from medray.evaluation.runner import failed
from medray.evaluation.summary import summarise
from medray.evaluation.summary_measures import BRIER, MARGIN, P_CORRECT, agreement, measures
from medray.statistics import wilson

ITEMS = items(200)


def rows(rule, of=ITEMS, repeats=1, **changes):
    def made(one):
        turns = range(repeats)
        return [
            outcome(one, rule(one, turn), turn, tuple((place + turn) % 4 for place in range(4)), **changes)
            for turn in turns
        ]

    return rows_of(of, {one.id: made(one) for one in of})


def right_until(number):
    return lambda one, _turn: one.answer_index if int(one.id.split("/")[1]) < number else (one.answer_index + 1) % 4


def test_the_fields_that_are_read_from_outside():
    summary = summarise(rows(right_until(150)))["medqa"]
    assert (summary["accuracy"], summary["n"], summary["unparsed"]) == (0.75, 200, 0.0)
    reference = wilson(150, 200)  # another method: the two agree to a percent at this n
    assert (summary["low"], summary["high"]) == pytest.approx((reference.low, reference.high), abs=0.012)
    assert summary["letters"] == {"A": 51, "B": 50, "C": 49, "D": 50} and sum(summary["letters"].values()) == 200
    assert summary["chance"] == summary["best_constant"] == 0.25
    assert summary["p_chance"] < 1e-10 and summary["notes"] == []
    assert {name: part["n"] for name, part in summary["strata"].items()} == {"step1": 100, "step2": 100}
    assert set(summary["categories"]) == {"diagnosis", "treatment"}
    json.dumps(summary, allow_nan=False)


def test_a_constant_letter_is_told_from_knowledge():
    summary = summarise(rows(lambda one, _: 0))["medqa"]
    assert summary["accuracy"] == 0.25 and summary["top_letter_share"] == 1.0
    text = " ".join(summary["notes"])
    assert "guessing" in text and "'A' is 100.0% of the answers" in text


def test_a_constant_answer_that_beats_chance_is_named():
    lopsided = [
        item(number, task="pubmedqa", options=3, answer=0 if number % 2 else number % 3) for number in range(200)
    ]
    made = rows_of(lopsided, {one.id: [outcome(one, 0)] for one in lopsided})
    summary = summarise(made)["pubmedqa"]
    assert summary["low"] > summary["chance"] == pytest.approx(1 / 3)
    assert any("Always giving one same answer" in note for note in summary["notes"])


def test_unparsed_and_failed_count_as_wrong_and_are_said():
    made = {one.id: [outcome(one, one.answer_index)] for one in ITEMS}
    for one in ITEMS[:40]:
        made[one.id] = [outcome(one, None)]
    for one in ITEMS[40:50]:
        made[one.id] = [failed(one, "WorkerDied")]
    summary = summarise(rows_of(ITEMS, made))["medqa"]
    assert summary["accuracy"] == 0.75 and summary["unparsed"] == 0.2 and summary["unparsed_rows"] == 40
    assert (summary["failed"], summary["failures"]) == (10, {"WorkerDied": 10})
    assert sum(summary["letters"].values()) + 40 + 10 == summary["rows"]
    assert "could not be read" in summary["notes"][0] and "WorkerDied 10" in summary["notes"][1]


def test_orders_of_options_are_one_item_and_their_agreement_is_reported():
    always_a = summarise(rows(lambda one, turn: turn, repeats=4))["medqa"]  # the option that stands first in each order
    assert (always_a["n"], always_a["rows"], always_a["repeats"]) == (200, 800, 4)
    assert always_a["consistency"]["value"] == 0.0 and always_a["accuracy"] == 0.25
    assert always_a["letters"]["A"] == 800 and always_a["p_chance"] is None
    knows = summarise(rows(right_until(150), repeats=4))["medqa"]
    assert knows["consistency"]["value"] == 1.0
    once = summarise(rows(right_until(150)))["medqa"]
    assert (knows["low"], knows["high"]) == (once["low"], once["high"])  # repeats are no new evidence
    assert knows["letters_right"] == {"A": 200, "B": 200, "C": 200, "D": 200}


def test_letters_are_those_shown_also_where_they_are_words():
    one = item(0, options=3, answer=2, task="pubmedqa")
    one = dataclasses.replace(one, options=("yes", "no", "maybe"))
    made = summarise(rows_of([one], {one.id: [outcome(one, 0, letter="yes")]}))["pubmedqa"]
    assert made["letters"] == {"maybe": 0, "yes": 1} and made["letters_right"] == {"maybe": 1, "yes": 0}


def test_proper_scores_by_hand():
    one = item(0, answer=2)
    scores = {f"loglikelihood/{place}": figure for place, figure in enumerate([-3.0, -2.0, -1.0, -4.0])}
    (row,) = rows_of([one], {one.id: [outcome(one, 2, scores=scores | {"bytes": 7.0})]})
    weights = [math.exp(-place) for place in (3, 2, 1, 4)]
    shares = [weight / sum(weights) for weight in weights]
    found = measures([row])
    assert found[P_CORRECT][one.id] == pytest.approx(shares[2])
    expected = sum(share**2 for share in shares) - shares[2] ** 2 + (1 - shares[2]) ** 2
    assert found[BRIER][one.id] == pytest.approx(expected)
    assert found[MARGIN][one.id] == pytest.approx(1.0)
    assert found["loglikelihood of the right option"][one.id] == -1.0 and found["bytes"][one.id] == 7.0


def test_incomplete_or_infinite_scores_make_no_probability():
    one = item(0)
    for scores in ({"loglikelihood/0": -1.0}, {f"loglikelihood/{place}": -math.inf for place in range(4)}):
        (row,) = rows_of([one], {one.id: [outcome(one, 0, scores=scores)]})
        assert P_CORRECT not in measures([row])
    assert agreement([1, 1, None]) == pytest.approx(1 / 3)


def test_open_answers_have_measures_and_no_accuracy():
    one = item(0, task="medquad", options=0, answer=0, kind="open", answer_index=None, stratum="")
    made = rows_of([one], {one.id: [outcome(one, None, 0, (), scores={"coverage": 0.5})]})
    summary = summarise(made)["medquad"]
    assert "accuracy" not in summary and summary["measures"]["coverage"]["value"] == 0.5 and summary["unparsed"] == 0.0


def test_small_strata_give_a_count_and_no_figure():
    few = items(6)
    summary = summarise(rows(right_until(3), few))["medqa"]
    assert summary["strata"]["step1"] == {
        "n": 3,
        "chance": 0.25,
        "unparsed": 0.0,
        "accuracy": None,
        "low": None,
        "high": None,
    }
    assert any("Only 6 items" in note for note in summary["notes"])


def test_tests_against_chance_are_adjusted_for_their_number():
    other = items(200, task="mmlu")
    both = rows(right_until(65)) + rows(right_until(65), other)
    found = summarise(both)
    assert list(found) == ["medqa", "mmlu"]
    assert found["medqa"]["p_chance_holm"] == pytest.approx(2 * found["medqa"]["p_chance"])


def test_effort_is_what_the_scorer_said():
    effort = summarise(rows(right_until(1)))["medqa"]["effort"]
    assert effort["tokens_per_answer"]["value"] == 2.0 and effort["seconds_per_answer"]["value"] == 0.5
    assert effort["tokens_per_s"] == 4.0
    nothing = summarise(rows_of(ITEMS[:1], {ITEMS[0].id: [failed(ITEMS[0], "WorkerDied")]}))["medqa"]
    assert set(nothing["effort"].values()) == {None}
