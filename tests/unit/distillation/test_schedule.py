import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medray.distillation.config import OptimiserSettings
from medray.distillation.schedule import learning_rate

settings = st.builds(
    OptimiserSettings,
    lr_max=st.floats(1e-4, 1e-2),
    lr_min=st.floats(0, 1e-5),
    cycles=st.integers(1, 7),
    warmup_steps=st.integers(0, 5),
)


def test_one_cycle_is_the_cosine_of_equation_5():
    given_ = OptimiserSettings(lr_max=1.0, lr_min=0.2)
    for step in range(10):
        expected = 0.2 + 0.8 / 2 * (1 + math.cos(step * math.pi / 10))
        assert learning_rate(step, 10, given_) == pytest.approx(expected, rel=1e-12)


def test_each_cycle_starts_again_at_the_maximum():
    given_ = OptimiserSettings(lr_max=1.0, lr_min=0.0, cycles=3)
    rates = [learning_rate(step, 30, given_) for step in range(30)]
    assert [step for step, rate in enumerate(rates) if rate == 1.0] == [0, 10, 20]
    assert rates[:10] == rates[10:20] == rates[20:]


def test_a_cycle_length_that_is_no_whole_number_still_restarts():
    given_ = OptimiserSettings(lr_max=1.0, lr_min=0.0, cycles=3)
    rates = [learning_rate(step, 100, given_) for step in range(100)]
    assert sum(later > earlier for earlier, later in pairwise(rates)) == 2


@given(settings, st.integers(1, 500), st.data())
def test_always_within_bounds(chosen, total, data):
    step = data.draw(st.integers(0, total - 1))
    rate = learning_rate(step, total, chosen)
    assert 0 < rate <= chosen.lr_max * (1 + 1e-12)
    if step >= chosen.warmup_steps:
        assert rate >= chosen.lr_min * (1 - 1e-12)


def test_warm_up_rises_to_the_maximum():
    given_ = OptimiserSettings(lr_max=1.0, lr_min=0.0, warmup_steps=4)
    rates = [learning_rate(step, 20, given_) for step in range(5)]
    assert rates == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
