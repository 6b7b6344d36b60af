"""KRR, calibration and abstention: small cases worked by hand, laws, and mutants."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medray.errors import DataError
from medray.evaluation.metrics import calibration as calibrating
from medray.evaluation.metrics import retention as retaining
from medray.evaluation.metrics.abstention import abstention, area_under_risk, risk_coverage
from medray.evaluation.metrics.calibration import calibration, probabilities, stated
from medray.evaluation.metrics.retention import retained, retention
from medray.evaluation.metrics.retention_runs import retention_of_runs
from medray.evaluation.rows import Row, write_rows
from medray.evaluation.schema import Outcome

PAIRS = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60)


def outcome(item, chosen, *, right=0, repeat=0, shares=None, options=4, **changes):
    scores = {} if shares is None else {f"loglikelihood/{place}": math.log(p) - 7 for place, p in enumerate(shares)}
    values = {
        "item_id": item,
        "task": "exam",
        "stratum": "",
        "category": "",
        "repeat": repeat,
        "order": tuple(range(options)),
        "prompt_sha256": "",
        "status": "ok",
        "chosen": chosen,
        "correct": chosen == right,
        "scores": scores,
    }
    return Outcome(**{**values, **changes})


# --- knowledge retention --------------------------------------------------------------------------------------------


def test_retention_by_hand():
    answers = dict.fromkeys("abcd", 0)
    teacher = [outcome(item, 0 if item in "abc" else 1) for item in "abcd"]
    student = [outcome(item, 0 if item in "ad" else None) for item in "abcd"]
    found = retention(teacher, student, answers)
    assert (found.counted, found.taught, found.items) == (pytest.approx(1 / 3), 3, 4)
    assert (found.chance, found.independent, found.soft) == (0.25, 0.5, None)
    assert retained(teacher, student, answers) == {"a": 1.0, "b": 0.0, "c": 0.0}


def test_soft_retention_weighs_by_what_the_teacher_is_sure_of():
    answers = {"a": 0, "b": 0}
    teacher = [outcome("a", 0, shares=(0.9, 0.1), options=2), outcome("b", 1, shares=(0.1, 0.9), options=2)]
    student = [outcome("a", 0, shares=(0.6, 0.4), options=2), outcome("b", 0, shares=(1 - 1e-9, 1e-9), options=2)]
    found = retention(teacher, student, answers)
    assert found.soft == pytest.approx(0.9 * 0.6 + 0.1 * 1.0)
    assert found.chance == 0.5


def test_orders_are_averaged_and_the_teacher_needs_most_of_them():
    answers = {"a": 0, "b": 0}
    teacher = [outcome("a", 0, repeat=n) for n in range(3)] + [outcome("b", n % 2, repeat=n) for n in range(2)]
    student = [outcome("a", n, repeat=n) for n in range(4)] + [outcome("b", 0)]
    found = retention(teacher, student, answers)
    assert (found.taught, found.counted) == (1, 0.25)


def test_the_teacher_itself_retains_all_and_a_guesser_what_chance_says():
    rng = random.Random(0)
    answers = {str(n): rng.randrange(4) for n in range(4000)}
    teacher = [outcome(item, place if rng.random() < 0.7 else (place + 1) % 4, right=place)
               for item, place in answers.items()]  # fmt: skip
    guesser = [outcome(item, rng.randrange(4), right=place) for item, place in answers.items()]
    assert retention(teacher, teacher, answers).counted == 1
    found = retention(teacher, guesser, answers)
    assert found.counted == pytest.approx(found.chance, abs=0.03) == pytest.approx(found.independent, abs=0.03)


def test_items_of_one_side_do_not_count():
    answers = dict.fromkeys("ab", 0)
    found = retention([outcome("a", 0), outcome("b", 0)], [outcome("a", 0)], answers)
    assert (found.items, found.taught, found.counted) == (1, 1, 1.0)
    with pytest.raises(DataError, match="answers right"):
        retention([outcome("a", 1)], [outcome("a", 0)], answers)


def test_a_mutant_that_counts_the_students_own_items_is_seen(monkeypatch):
    answers = dict.fromkeys("abcd", 0)
    teacher = [outcome(item, 0 if item in "ab" else 1) for item in "abcd"]
    student = [outcome(item, 0 if item in "cd" else 1) for item in "abcd"]
    assert retention(teacher, student, answers).counted == 0
    monkeypatch.setattr(retaining, "_MOST", -1.0)  # everything counts as taught
    assert retention(teacher, student, answers).counted != 0


def test_runs_are_compared_by_their_rows(tmp_path):
    rng = random.Random(1)
    right = {str(n): rng.randrange(4) for n in range(60)}
    for name, share in (("teacher", 0.8), ("student", 0.6)):
        made = [
            Row(outcome(item, place if rng.random() < share else (place + 1) % 4, right=place), "choice", 4, place)
            for item, place in right.items()
        ]
        (tmp_path / name).mkdir()
        write_rows(tmp_path / name / "items.parquet", made)
    found = retention_of_runs(tmp_path / "teacher", tmp_path / "student")
    assert found["low"] < found["counted"] < found["high"] and found["items"] == 60
    assert retention_of_runs(tmp_path / "teacher", tmp_path / "teacher")["counted"] == 1
    with pytest.raises(DataError):
        retention_of_runs(tmp_path / "teacher", tmp_path)


# --- calibration ----------------------------------------------------------------------------------------------------


def test_calibration_by_hand():
    found = calibration([0.95, 0.95, 0.55, 0.55], [True, False, True, False])
    assert found.ece == pytest.approx((0.45 + 0.05) / 2)
    assert found.brier == pytest.approx((0.05**2 + 0.95**2 + 0.45**2 + 0.55**2) / 4)
    assert [(own.n, own.accuracy) for own in found.bins] == [(2, 0.5), (2, 0.5)]
    assert calibration([], []) is None
    assert calibration([1.0, 1.0], [True, True]).ece == 0
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        calibration([1.2], [True])


@given(PAIRS)
def test_calibration_is_bounded(pairs):
    found = calibration([value for value, _ in pairs], [hit for _, hit in pairs])
    assert 0 <= found.ece <= 1 and 0 <= found.ece_adaptive <= 1 and 0 <= found.brier <= 1
    assert sum(own.n for own in found.bins) == found.n == len(pairs)
    mean = abs(sum(value for value, _ in pairs) - sum(hit for _, hit in pairs)) / len(pairs)
    assert found.ece >= mean - 1e-9  # no binning can hide a gap of the means


def test_honest_confidence_has_less_error_than_boasting():
    rng = random.Random(0)
    honest = [rng.random() for _ in range(5000)]
    right = [rng.random() < value for value in honest]
    boasting = [min(1.0, value + 0.3) for value in honest]
    assert calibration(honest, right).ece < 0.03 < 0.15 < calibration(boasting, right).ece


def test_a_mutant_that_bins_by_correctness_is_seen(monkeypatch):
    honest, right = [0.5] * 100, [number % 2 == 0 for number in range(100)]
    assert calibration(honest, right).ece == 0
    whole = calibrating._bins

    def apart(groups):
        return whole([[pair for pair in group if pair[1] is hit] for group in groups for hit in (True, False)])

    monkeypatch.setattr(calibrating, "_bins", apart)
    assert calibration(honest, right).ece != 0


def test_probabilities_of_outcomes():
    assert probabilities(outcome("a", 0, shares=(0.5, 0.25, 0.25), options=3)) == pytest.approx([0.5, 0.25, 0.25])
    assert probabilities(outcome("a", 0)) is None
    assert probabilities(outcome("a", 0, shares=(0.5, 0.5), options=3)) is None
    assert probabilities(outcome("a", 0, options=0)) is None
    some = [
        outcome("a", 0, shares=(0.7, 0.3), options=2),
        outcome("b", None),
        outcome("c", 1, shares=(0.4, 0.6), options=2),
    ]
    confidence, right = stated(some)
    assert confidence == pytest.approx([0.7, 0.6]) and right == [True, False]


# --- abstention -----------------------------------------------------------------------------------------------------


def test_abstention_by_hand():
    outcomes = [
        outcome("a", 0),
        outcome("b", 1),
        outcome("c", None, scores={"abstained": 1.0}),
        outcome("d", None, scores={"abstained": 0.0}),
    ]
    found = abstention(outcomes)
    assert (found.answered, found.declined, found.other, found.n) == (0.5, 0.25, 0.25, 4)
    assert (found.accuracy, found.accuracy_answered) == (0.25, 0.5)
    assert abstention([]) is None
    assert abstention(outcomes[2:]).accuracy_answered is None


@given(PAIRS)
def test_risk_and_coverage(pairs):
    confidence, right = [value for value, _ in pairs], [hit for _, hit in pairs]
    curve = risk_coverage(confidence, right)
    assert curve[-1] == (1.0, pytest.approx(1 - sum(right) / len(right)))
    assert [share for share, _ in curve] == sorted({share for share, _ in curve})
    assert 0 <= area_under_risk(confidence, right) <= 1


def test_knowing_what_one_knows_is_worth_more():
    right = [True] * 50 + [False] * 50
    good, bad = [0.9] * 50 + [0.1] * 50, [0.1] * 50 + [0.9] * 50
    assert area_under_risk(good, right) < area_under_risk([0.5] * 100, right) < area_under_risk(bad, right)
    assert area_under_risk([0.5] * 100, right) == 0.5 and area_under_risk([], []) is None
