"""Plans under a budget against every plan there is, and what the solver must say when there is none."""

import json
import time
from itertools import product
from math import fsum, inf
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medray.compression import architecture, planned_bytes
from medray.compression.formats import CONTAINERS, fused_groups, stored_bits
from medray.compression.plan import PlanOptions, paper_plan, uniform_plan
from medray.compression.solve import Budget, Choice, fewest_bytes, least_loss, solve_plan
from medray.errors import ConfigError, ModelError

QWEN_7B = json.loads((Path(__file__).parent / "fixtures" / "deepseek-r1-distill-qwen-7b.json").read_text())
SMALL = {**QWEN_7B, "hidden_size": 64, "num_hidden_layers": 2, "intermediate_size": 128, "num_attention_heads": 4}
SMALL |= {"num_key_value_heads": 2, "vocab_size": 96}

bytes_and_losses = st.tuples(st.integers(1, 10**9), st.floats(0, 1).map(lambda loss: round(loss, 12)))
groups = st.lists(st.tuples(bytes_and_losses, bytes_and_losses, bytes_and_losses), min_size=1, max_size=5)


def choices_of(drawn):
    return {
        f"m{n}": {b: Choice(*pair) for b, pair in zip((16, 8, 4), triple, strict=True)}
        for n, triple in enumerate(drawn)
    }


def every_plan(choices):
    for bits in product((16, 8, 4), repeat=len(choices)):
        chosen = [of_group[count] for of_group, count in zip(choices.values(), bits, strict=True)]
        yield sum(choice.bytes for choice in chosen), fsum(choice.loss for choice in chosen)


@settings(max_examples=120, deadline=None)
@given(groups, st.floats(0, 1))
def test_least_loss_is_that_of_the_best_of_all_plans(drawn, share):
    choices = choices_of(drawn)
    plans = list(every_plan(choices))
    low, high = min(p[0] for p in plans), max(p[0] for p in plans)
    budget = low + int(share * (high - low))
    found = least_loss(choices, budget)
    best = min(loss for size, loss in plans if size <= budget)
    assert found.bytes <= budget
    assert found.loss == pytest.approx(best, rel=1e-9, abs=1e-10)
    assert found.proven
    assert found.bound <= found.loss + 1e-9


@settings(max_examples=120, deadline=None)
@given(groups, st.floats(0, 1))
def test_fewest_bytes_are_those_of_the_smallest_of_all_plans(drawn, share):
    choices = choices_of(drawn)
    plans = list(every_plan(choices))
    low, high = min(p[1] for p in plans), max(p[1] for p in plans)
    budget = low + share * (high - low)
    found = fewest_bytes(choices, budget)
    within = budget + 1e-9 * sum(max(choice.loss for choice in of_group.values()) for of_group in choices.values())
    assert found.loss <= within
    assert found.bytes <= min(size for size, loss in plans if loss <= budget)
    assert found.bytes >= min(size for size, loss in plans if loss <= within)


def test_the_budget_is_kept_to_the_byte():
    choices = {f"m{n}": {16: Choice(2**30 + n, 0.0), 8: Choice(2**29 + n, 1.0 + n)} for n in range(6)}
    full = sum(of_group[16].bytes for of_group in choices.values())
    assert least_loss(choices, full).bits == dict.fromkeys(choices, 16)
    short = least_loss(choices, full - 1)
    assert [name for name, bits in short.bits.items() if bits == 8] == ["m0"]
    assert short.bytes <= full - 1
    assert least_loss(choices, full - 1 + 7, fixed=7).bits == short.bits


def test_of_plans_that_lose_the_same_the_smaller_is_taken():
    choices = {"m": {16: Choice(200, 0.0), 8: Choice(100, 0.0), 4: Choice(50, 0.5)}}
    assert least_loss(choices, 1000).bits == {"m": 8}
    assert fewest_bytes(choices, 0.0).bits == {"m": 8}


def measured(model, seed=0):
    """Losses as real ones lie: 4 bits lose some hundred times what 8 bits lose, layers differ by orders."""
    random, found = Random(seed), {}
    for weight in model.weights:
        if weight.is_matrix and weight.part in ("attention", "ffn"):
            level = 10 ** random.uniform(-4, -1.5)
            found[weight.module] = {4: level, 8: level * random.uniform(0.003, 0.02)}
    return found


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_solved_plan_is_within_its_bytes_and_no_worse_than_baseline_and_uniform(name):
    model = architecture(SMALL)
    losses = measured(model)
    for rival in (paper_plan(SMALL), uniform_plan(SMALL, 8), uniform_plan(SMALL, 4)):
        budget = sum(planned_bytes(rival, model, name).values())
        solved = solve_plan(model, losses, name, Budget(bytes=budget))
        assert solved.bytes == sum(planned_bytes(solved.plan, model, name).values()) <= budget
        assert solved.proven
        bits = stored_bits(rival, model, name)
        assert solved.loss <= fsum(losses[module].get(bits[module], 0.0) for module in losses) + 1e-12
        solved.plan.check(model)


def test_a_solved_plan_is_the_best_of_all_plans_of_a_layer():
    config = {**SMALL, "num_hidden_layers": 1}
    model, losses = architecture(config), measured(architecture(config), seed=4)
    groups = fused_groups(model, "compressed-tensors")
    assert sorted(len(group) for group in groups) == [1, 1, 2, 3]
    budget = sum(planned_bytes(paper_plan(config), model, "compressed-tensors").values())
    best = inf
    for bits in product((16, 8, 4), repeat=len(groups)):
        plan = uniform_plan(config, 16)
        given_bits = {module: b for group, b in zip(groups, bits, strict=True) for module in group}
        plan = plan.model_copy(update={"bits": {**plan.bits, **given_bits}})
        if sum(planned_bytes(plan, model, "compressed-tensors").values()) <= budget:
            best = min(best, fsum(losses[module].get(b, 0.0) for module, b in given_bits.items()))
    solved = solve_plan(model, losses, "compressed-tensors", Budget(bytes=budget))
    assert solved.loss == pytest.approx(best, rel=1e-9)
    assert all(len({solved.plan.bits[module] for module in group}) == 1 for group in groups)


def test_a_loss_budget_gives_the_fewest_bytes_and_more_loss_fewer_still():
    model = architecture(SMALL)
    losses = measured(model)
    sizes = [solve_plan(model, losses, "gguf", Budget(loss=loss)).bytes for loss in (0.0, 0.001, 0.01, 10.0)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == sum(planned_bytes(uniform_plan(SMALL, 16), model, "gguf").values())
    assert sizes[-1] == sum(planned_bytes(uniform_plan(SMALL, 4), model, "gguf").values())


@pytest.mark.parametrize("name", ["bitsandbytes", "gguf"])
def test_the_paper_student_is_solved_to_proven_optimality_in_seconds(name):
    model = architecture(QWEN_7B)
    budget = sum(planned_bytes(paper_plan(QWEN_7B), model, name).values())
    started = time.perf_counter()
    solved = solve_plan(model, measured(model), name, Budget(bytes=budget), time_limit_s=60)
    assert solved.proven
    assert solved.bytes <= budget
    assert time.perf_counter() - started < 60


def test_a_matrix_without_whole_blocks_never_gets_four_bits():
    config = {**SMALL, "intermediate_size": 96}
    model = architecture(config)
    plan = solve_plan(model, measured(model), "bitsandbytes", Budget(loss=99.0)).plan
    assert plan.bits["model.layers.0.mlp.down_proj"] == 8
    assert plan.bits["model.layers.0.mlp.up_proj"] == 4


def test_eight_bit_inputs_leave_eight_and_sixteen():
    model = architecture(SMALL)
    plan = solve_plan(model, measured(model), "compressed-tensors-w8a8", Budget(loss=99.0)).plan
    assert {plan.bits[module] for module in measured(model)} == {8}


def test_budgets_that_nothing_meets_say_what_would():
    model = architecture(SMALL)
    least = sum(planned_bytes(uniform_plan(SMALL, 4), model, "gguf").values())
    with pytest.raises(ConfigError, match=f"at least {least:,} bytes.*1 bytes short"):
        solve_plan(model, measured(model), "gguf", Budget(bytes=least - 1))
    assert solve_plan(model, measured(model), "gguf", Budget(bytes=least)).bytes == least
    with pytest.raises(ConfigError, match="at least 0"):
        fewest_bytes({"m": {8: Choice(1, 0.5)}}, 0.4)
    for both in ({}, {"bytes": 1, "loss": 0.0}):
        with pytest.raises(ValueError, match="both or neither"):
            Budget(**both)


def test_losses_of_another_model_or_not_finite_are_refused():
    model = architecture(SMALL)
    losses = measured(model)
    with pytest.raises(ModelError, match="another model"):
        solve_plan(architecture({**SMALL, "num_hidden_layers": 3}), losses, "gguf", Budget(loss=1.0))
    for bad in ({4: 0.1}, {4: 0.1, 8: float("nan")}):
        with pytest.raises(ModelError, match="finite loss"):
            solve_plan(model, {**losses, "model.layers.0.mlp.up_proj": bad}, "gguf", Budget(loss=1.0))


@pytest.mark.parametrize("level", [1e-313, 1e-40, 1e-12])
def test_losses_of_next_to_nothing_do_not_overflow(level):
    choices = {"m": {16: Choice(200, 0.0), 8: Choice(100, level)}}
    assert least_loss(choices, 200).loss <= level
    assert least_loss(choices, 100).bits == {"m": 8}


def test_noise_below_zero_is_no_gain():
    model = architecture(SMALL)
    losses = {module: {4: -1.0, 8: -2.0} for module in measured(model)}
    assert solve_plan(model, losses, "gguf", Budget(loss=0.0), PlanOptions()).loss == 0.0
