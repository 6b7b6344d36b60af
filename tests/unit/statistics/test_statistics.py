"""Intervals cover and tests err as often as they say: by textbook values, by laws and by simulation."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medray.statistics import (
    bootstrap_mean,
    detectable_from_chance,
    detectable_paired,
    holm,
    mcnemar,
    paired_difference,
    wilson,
)
from medray.statistics.intervals import cluster_means


def test_wilson_is_the_textbook_formula():
    found = wilson(15, 50)
    z, share, n = 1.959963984540054, 0.3, 50
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    assert (found.low, found.high) == pytest.approx((middle - half, middle + half), abs=1e-12)
    assert (found.value, found.n, found.method) == (0.3, 50, "Wilson")


@pytest.mark.parametrize("given", [(-1, 5), (6, 5), (0, 0)])
def test_wilson_refuses_what_is_no_share(given):
    with pytest.raises((ValueError, ZeroDivisionError)):
        wilson(*given)


def coverage(interval, truth: float, draw, rounds: int = 200) -> float:
    rng = np.random.default_rng(1)
    found = [interval(draw(rng)) for _ in range(rounds)]
    return float(np.mean([one.low <= truth <= one.high for one in found]))


def test_the_bootstrap_covers_a_mean_as_often_as_it_says_and_a_narrow_one_does_not():
    def draw(rng):
        return (rng.random(120) < 0.3).astype(float).tolist()

    honest = coverage(lambda values: bootstrap_mean(values, resamples=600), 0.3, draw)
    narrow = coverage(lambda values: bootstrap_mean(values, resamples=600, level=0.7), 0.3, draw)
    # 200 rounds: the standard error of a coverage of 0.95 is 0.015.
    assert 0.91 <= honest <= 0.99
    assert narrow < 0.85


def test_repeats_of_an_item_are_not_new_evidence():
    rng = np.random.default_rng(3)
    items = (rng.random(80) < 0.5).astype(float)
    values, clusters = np.repeat(items, 5).tolist(), np.repeat(np.arange(80), 5).tolist()
    alone, repeated = bootstrap_mean(items.tolist()), bootstrap_mean(values, clusters=clusters)
    assert (repeated.low, repeated.high, repeated.n) == (alone.low, alone.high, 80)
    blind = bootstrap_mean(values)  # the mistake this guards against
    assert blind.high - blind.low < 0.6 * (alone.high - alone.low)


def test_clusters_of_different_size_count_alike():
    assert cluster_means([1, 1, 1, 0], ["a", "a", "a", "b"]).tolist() == [1.0, 0.0]
    assert bootstrap_mean([1, 1, 1, 0], clusters=["a", "a", "a", "b"]).value == 0.5


def test_all_right_is_no_certainty():
    found = bootstrap_mean([1.0] * 20)
    assert found.method == "Wilson" and found.low == pytest.approx(0.839, abs=1e-3) and found.high == 1.0
    assert bootstrap_mean([0.25] * 20).method == "constant"
    one = bootstrap_mean([0.4])
    assert (one.low, one.value, one.high) == (0.4, 0.4, 0.4)


@pytest.mark.parametrize("values, clusters", [([], None), ([1.0], ["a", "b"])])
def test_no_values_and_unequal_lengths_are_refused(values, clusters):
    with pytest.raises(ValueError, match="expected"):
        bootstrap_mean(values, clusters=clusters)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=30))
@settings(max_examples=40, deadline=None)
def test_an_interval_holds_its_value_and_is_the_same_each_time(values):
    found = bootstrap_mean(values, resamples=200)
    assert found.low <= found.value + 1e-12 and found.value - 1e-12 <= found.high
    assert found == bootstrap_mean(values, resamples=200)


def test_mcnemar_is_the_exact_binomial():
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(0, 6) == pytest.approx(2 / 64)
    assert mcnemar(6, 0) == mcnemar(0, 6)
    assert mcnemar(121, 59) == pytest.approx(4.434e-6, rel=1e-2)  # statsmodels' documented example


def test_paired_differences_have_a_sign_an_interval_and_the_right_test():
    first = [0.0] * 30 + [1.0] * 30
    second = [1.0] * 20 + [0.0] * 10 + [1.0] * 28 + [0.0] * 2
    found = paired_difference(first, second)
    assert found.difference == pytest.approx(18 / 60) and found.low < 0.3 < found.high
    assert (found.test, found.p) == ("exact McNemar", pytest.approx(mcnemar(2, 20)))
    back = paired_difference(second, first)
    assert (back.difference, back.p) == (-found.difference, found.p)
    scores = paired_difference([0.1, 0.2, 0.3, 0.4] * 5, [0.2, 0.3, 0.35, 0.6] * 5)
    assert scores.test == "sign-flip randomisation" and scores.p < 0.001


def test_paired_tests_of_equals_err_as_often_as_they_say():
    rng = np.random.default_rng(5)
    wrong = 0
    for _ in range(100):
        first, second = rng.normal(size=25), rng.normal(size=25)
        wrong += paired_difference(first.tolist(), second.tolist(), resamples=100).p < 0.05
    assert wrong / 100 <= 0.11  # 0.05 expected, standard error 0.022


def test_systems_that_agree_everywhere_may_still_differ_elsewhere():
    found = paired_difference([1.0] * 50, [1.0] * 50)
    assert (found.difference, found.p) == (0.0, 1.0) and found.low < 0 < found.high and found.high < 0.08


def test_unpaired_measurements_are_refused():
    with pytest.raises(ValueError, match="paired"):
        paired_difference([1.0], [1.0, 0.0])


def test_holm_on_the_textbook_example():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == [] and holm([0.9, 0.8]) == [1.0, 1.0]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_never_lowers_a_p_value_and_keeps_the_order(p_values):
    adjusted = holm(p_values)
    assert all(new >= old for new, old in zip(adjusted, p_values, strict=True))
    ranked = sorted(range(len(p_values)), key=p_values.__getitem__)
    assert [adjusted[i] for i in ranked] == sorted(adjusted)


def test_a_detectable_difference_is_detected_four_times_in_five():
    n, discordant = 400, 0.3
    difference = detectable_paired(n, discordant)
    rng = np.random.default_rng(7)
    better, worse = (discordant + difference) / 2, (discordant - difference) / 2

    def power(better: float, worse: float) -> float:
        counts = rng.multinomial(n, [better, worse, 1 - better - worse], size=1500)
        return float(np.mean([mcnemar(int(up), int(down)) < 0.05 for up, down, _ in counts]))

    # The exact test is a little less powerful than the normal approximation it was planned with.
    assert 0.74 <= power(better, worse) <= 0.84
    half = difference / 2
    assert power((discordant + half) / 2, (discordant - half) / 2) < 0.4


def test_detectable_differences_shrink_with_items_and_stay_possible():
    assert detectable_paired(100, 0.3) == pytest.approx(2 * detectable_paired(400, 0.3), rel=0.05)
    assert detectable_paired(3, 0.2) == 0.2  # every discordant item would have to go one way
    chance = detectable_from_chance(352, 0.25)
    assert 0.06 < chance < 0.07 and detectable_from_chance(2, 0.9) == pytest.approx(0.1)


@pytest.mark.parametrize("call", [(0, 0.3), (10, 0.0), (10, 1.5)])
def test_impossible_plans_are_refused(call):
    with pytest.raises(ValueError, match="expected"):
        detectable_paired(*call)
    if call[1] != 0.3 or call[0] == 0:
        with pytest.raises(ValueError, match="expected"):
            detectable_from_chance(*call)
