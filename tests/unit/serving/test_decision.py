"""Laws of Eq. 7, and mutants of the decision that must break one."""

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from serving_fakes import figures

from medray.inference.engine import Mode
from medray.knowledge import CATEGORIES
from medray.serving import decision
from medray.serving.decision import Candidate, Need, Policy, Target, rank
from medray.serving.snapshot import Snapshot, with_local_load

TARGETS = {category: Target(2.0, 30.0, 5.0) for category in CATEGORIES}
POLICY = Policy(1.0, 1.0, 1.0, TARGETS, max_age_s=5.0)
NEED = Need("medication", 128)
MODES: tuple[Mode, Mode] = ("adapter", "merged")

share = st.floats(0, 1)
a_figure = st.builds(
    figures,
    running=st.integers(0, 8),
    queued=st.integers(0, 20),
    slots=st.integers(0, 8),
    places=st.integers(0, 30),
    tokens_per_s=st.none() | st.floats(0.0, 500.0),
    ttft_s=st.none() | st.floats(0.0, 100.0),
    memory_share=share,
    kv_cache_share=st.none() | share,
    age_s=st.floats(0, 20),
)
a_pool = st.tuples(st.dictionaries(st.sampled_from(CATEGORIES), share), st.none() | a_figure)
weights = st.floats(0, 10)
a_policy = st.builds(lambda a, b, c: Policy(a, b, c, TARGETS, 5.0), weights, weights, weights)


def candidates_of(pools: list[Any]) -> tuple[list[Candidate], Snapshot]:
    named = [(f"pool{index}", quality, found) for index, (quality, found) in enumerate(pools)]
    made = [Candidate(name, MODES[0], quality) for name, quality, _ in named]
    return made, Snapshot({name: found for name, _, found in named if found is not None})


def one(found: Any, need: Need = NEED, policy: Policy = POLICY, **candidate: Any) -> decision.Scored:
    made = Candidate("one", "adapter", candidate.pop("quality", {}), **candidate)
    return rank(need, [made], Snapshot({"one": found} if found else {}), policy)[0]


@given(st.lists(a_pool, min_size=1, max_size=6), a_policy)
def test_terms_and_score_are_bounded(pools, policy):
    made, snapshot = candidates_of(pools)
    for item in rank(NEED, made, snapshot, policy):
        assert 0 <= item.performance <= 1
        assert 0 <= item.fit <= 1
        assert 0 <= item.cost <= 1
        expected = policy.w_performance * item.performance + policy.w_fit * item.fit - policy.w_cost * item.cost
        assert item.score == pytest.approx(expected)


@given(st.lists(a_pool, min_size=2, max_size=6), a_policy, st.randoms(use_true_random=False))
def test_the_order_of_the_candidates_does_not_matter(pools, policy, random):
    made, snapshot = candidates_of(pools)
    shuffled = made[:]
    random.shuffle(shuffled)
    assert rank(NEED, made, snapshot, policy) == rank(NEED, shuffled, snapshot, policy)


@given(a_figure, a_policy, st.integers(1, 5))
def test_more_load_never_raises_the_score(found, policy, more):
    for field in ("running", "queued"):
        loaded = dataclasses.replace(found, **{field: getattr(found, field) + more})
        assert one(loaded, policy=policy).score <= one(found, policy=policy).score


@given(a_figure, a_policy, st.floats(1.0, 10.0))
def test_a_faster_pool_never_scores_less(found, policy, factor):
    if found.tokens_per_s is None or found.ttft_s is None or found.tokens_per_s == 0:
        return
    faster = dataclasses.replace(found, tokens_per_s=found.tokens_per_s * factor, ttft_s=found.ttft_s / factor)
    assert one(faster, policy=policy).score >= one(found, policy=policy).score - 1e-12


@given(a_figure, a_policy, st.floats(5.001, 1e6))
def test_stale_is_never_better_than_fresh(found, policy, age_s):
    fresh, stale = (dataclasses.replace(found, age_s=age) for age in (0.0, age_s))
    assert one(stale, policy=policy).score <= one(fresh, policy=policy).score
    assert not one(stale, policy=policy).known


def test_a_stale_idle_pool_loses_to_a_fresh_busy_one():
    made = [Candidate("stale", "adapter", {}), Candidate("busy", "merged", {})]
    snapshot = Snapshot({"stale": figures(age_s=60.0), "busy": figures(running=2, queued=1)})
    assert rank(NEED, made, snapshot, POLICY)[0].pool == "busy"


def test_a_slot_is_not_a_place():
    idle, busy = figures(slots=1, places=4), figures(slots=1, places=4, running=1)
    assert one(idle).cost < one(busy).cost < 1


def test_fit_is_zero_outside_the_specialties():
    assert one(figures(), specialties=frozenset({"emergency"})).fit == 0
    assert one(figures(), specialties=frozenset({"medication"}), quality={"medication": 0.7}).fit == 0.7


def test_going_unmeasured_never_beats_a_measured_rival():
    made = [Candidate("measured", "adapter", {"medication": 0.3}), Candidate("unmeasured", "merged", {})]
    ranked = {item.pool: item for item in rank(NEED, made, Snapshot(), POLICY)}
    assert ranked["unmeasured"].fit == ranked["measured"].fit == 0.3


def test_without_figures_traffic_goes_where_this_selector_has_less_open():
    made = [Candidate("a", "adapter", {}), Candidate("b", "merged", {})]
    assert [item.pool for item in rank(NEED, made, Snapshot(), POLICY)] == ["a", "b"]
    assert [item.pool for item in rank(NEED, made, Snapshot(), POLICY, in_flight={"a": 2})] == ["b", "a"]


def test_local_load_counts_what_a_report_does_not_hold_yet():
    made = [Candidate("a", "adapter", {}), Candidate("b", "merged", {})]
    snapshot = Snapshot({"a": figures(), "b": figures()})
    seen = with_local_load(snapshot, {"a": 3})
    assert rank(NEED, made, seen, POLICY)[0].pool == "b"
    assert with_local_load(seen, {"a": 1}) == seen  # a report that holds more is believed


def test_deciding_among_sixteen_pools_takes_well_under_a_millisecond():
    made = [Candidate(f"p{index}", "adapter", {}) for index in range(16)]
    snapshot = Snapshot({candidate.name: figures() for candidate in made})
    times = []
    for _ in range(200):
        start = time.perf_counter()
        rank(NEED, made, snapshot, POLICY)
        times.append(time.perf_counter() - start)
    assert sorted(times)[len(times) // 2] < 1e-3


def _mutant(name: str, change: Callable[..., Any]) -> Any:
    return pytest.param(name, change, id=name)


MUTANTS = [
    _mutant("marginal_cost", lambda found: 0.0),
    _mutant("marginal_cost", lambda found: -1.0),
    _mutant("predicted_share", lambda found, target, tokens: min(1.0, 0.1 * (found.running + found.queued))),
    _mutant("predicted_share", lambda found, target, tokens: 2.0),
    _mutant("predicted_share", lambda found, target, tokens: 1.0 / (1.0 + (found.tokens_per_s or 0.0))),
]

LAWS: list[Callable[[], Any]] = [
    test_terms_and_score_are_bounded,
    test_more_load_never_raises_the_score,
    test_a_faster_pool_never_scores_less,
    test_a_slot_is_not_a_place,
]


def test_the_laws_hold_unchanged():
    assert _broken(LAWS) == []


@pytest.mark.parametrize(("name", "change"), MUTANTS)
def test_the_laws_catch_a_wrong_term(monkeypatch, name, change):
    monkeypatch.setattr(decision, name, change)
    assert _broken(LAWS)


def test_the_laws_catch_staleness_taken_for_idleness(monkeypatch):
    true_score = decision._score

    def forgetful(need, candidate, found, policy, floor):
        return true_score(need, candidate, found and dataclasses.replace(found, age_s=0.0), policy, floor)

    monkeypatch.setattr(decision, "_score", forgetful)
    assert _broken([test_stale_is_never_better_than_fresh, test_a_stale_idle_pool_loses_to_a_fresh_busy_one])


def _broken(laws: list[Callable[[], Any]]) -> list[str]:
    broken = []
    for law in laws:
        try:
            settings(database=None, max_examples=50)(law)() if hasattr(law, "hypothesis") else law()
        except Exception as error:
            broken.append(f"{law.__name__}: {type(error).__name__}")
    return broken
