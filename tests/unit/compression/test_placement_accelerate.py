"""Against accelerate: its maps are read as it would execute them, and never predicted to be faster than ours."""

import pytest

from medray.compression.placement import Machine, Slot, Workload, baseline, predict
from medray.compression.placement.baseline import Comparison, accelerate_prediction, compare, random_cases
from medray.compression.placement.devices import DeviceConfig
from medray.compression.placement.shows import summary

TEN = list(random_cases(10, seed=7))


@pytest.mark.parametrize("case", TEN, ids=range(10))
def test_ours_is_never_predicted_to_be_slower(case):
    compared = compare(case)
    assert compared.proven
    assert not compared.worse


def test_the_cases_make_accelerate_stream_and_split():
    from medray.compression.placement.baseline import _empty_model, accelerate_map

    values = [set(accelerate_map(_empty_model(c.config_json), c.machine, 1.0).values()) for c in TEN]
    assert sum(len(found) > 1 for found in values) >= 7
    assert any("cpu" in found and 0 in found for found in values)


def test_a_placement_that_is_not_optimal_is_found_out(monkeypatch):
    """A solver that answers with the slowest single place, where it fits, is worse than accelerate somewhere."""

    class Slow:
        proven = True

        def __init__(self, chain, machine):
            places = [Slot("cpu", "cpu", "cpu")] * len(chain.blocks)
            self.prediction = predict(chain, places, machine)

    monkeypatch.setattr(baseline, "solve", lambda chain, machine, **_: Slow(chain, machine))
    assert any(compare(case).worse for case in TEN)


def test_refusing_what_accelerate_can_place_counts_as_worse():
    assert Comparison(None, 1.0, 1.0, True).worse
    assert not Comparison(None, None, None, True).worse
    assert Comparison(1.01, 1.0, 1.0, True).worse
    assert not Comparison(1.0, 1.0, 0.5, True).worse


def test_accelerate_is_told_less_memory_until_its_map_fits():
    """Its map counts no KV cache: told everything it over-fills the GPU, told less it streams the rest."""
    config = {
        "model_type": "llama", "hidden_size": 512, "num_hidden_layers": 8, "intermediate_size": 1024,
        "num_attention_heads": 8, "num_key_value_heads": 8, "vocab_size": 1000, "tie_word_embeddings": False,
    }  # fmt: skip
    load = Workload(prompt_tokens=4000, answer_tokens=100)
    gpu = DeviceConfig(
        name=0, memory_gb=0.13, reserve_gb=0.0, tflops=1, gb_per_s=100, link_gb_per_s=1, link_us=1, overhead_us=1
    )
    cpu = DeviceConfig(name="cpu", memory_gb=1, tflops=0.1, gb_per_s=10)
    share, prediction = accelerate_prediction(baseline.Case(config, load, Machine.of([gpu, cpu])))
    assert share < 1
    assert prediction.bytes[0] <= 130_000_000


def test_the_summary_counts_every_kind_of_outcome():
    cases = [
        {"ours": 1.0, "theirs": 1.0, "share": 1.0, "proven": True},
        {"ours": 1.0, "theirs": 3.0, "share": 0.5, "proven": True},
        {"ours": 2.0, "theirs": 1.0, "share": 1.0, "proven": False},
        {"ours": 1.0, "theirs": None, "share": None, "proven": True},
        {"ours": None, "theirs": None, "share": None, "proven": True},
    ]
    found = summary(cases)
    assert found["cases"] == 5 and found["worse"] == 1 and found["proven"] == 4
    assert found["compared"] == 3 and found["only_ours_fits"] == found["neither_fits"] == 1
    assert found["equal"] == 2 and found["ratio_largest"] == 3.0  # the one that is slower is no more than equal
