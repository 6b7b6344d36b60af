"""Depth pruning against an independent construction, and its laws."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from medray.errors import ConfigError, ModelError
from medray.models import kept_layers, prune_depth, pruned_layers
from medray.models.tiny import tiny_model


@given(st.integers(1, 200).flatmap(lambda total: st.tuples(st.just(total), st.integers(1, total))))
def test_kept_layers_are_distinct_ordered_and_hold_the_ends(case):
    total, keep = case
    kept = kept_layers(total, keep)
    assert len(kept) == keep
    assert kept == sorted(set(kept))
    assert kept[0] == 0
    assert keep == 1 or kept[-1] == total - 1
    gaps = {after - before for before, after in pairwise(kept)}
    assert max(gaps, default=0) - min(gaps, default=0) <= 1


@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_pruned_model_equals_one_built_from_the_kept_weights(family):
    teacher = tiny_model(family=family, layers=6)
    kept = kept_layers(6, 3)
    built = tiny_model(family=family, layers=3, seed=1)
    state = {}
    for name, tensor in teacher.state_dict().items():
        parts = name.split(".")
        if parts[:2] == ["model", "layers"]:
            if int(parts[2]) not in kept:
                continue
            parts[2] = str(kept.index(int(parts[2])))
        state[".".join(parts)] = tensor.clone()
    built.load_state_dict(state)
    pruned = prune_depth(teacher, 3)
    ids = torch.arange(16)[None]
    assert torch.equal(pruned(ids).logits, built(ids).logits)
    assert pruned.config.num_hidden_layers == 3


def test_pruned_model_generates_with_its_cache_and_round_trips(tmp_path):
    from transformers import AutoModelForCausalLM

    pruned = prune_depth(tiny_model(family="qwen2", layers=6), 2)
    ids = torch.arange(8)[None]
    mask = torch.ones_like(ids)
    cached = pruned.generate(ids, attention_mask=mask, max_new_tokens=6, do_sample=False, use_cache=True)
    plain = pruned.generate(ids, attention_mask=mask, max_new_tokens=6, do_sample=False, use_cache=False)
    assert torch.equal(cached, plain)
    pruned.save_pretrained(tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert torch.equal(again(ids).logits, pruned(ids).logits)


@pytest.mark.parametrize("text", ["prune:", "prune:0", "prune:-1", "prune:x", "prune:1.5", "prune: 3"])
def test_bad_spellings(text):
    with pytest.raises(ConfigError, match="prune:N"):
        pruned_layers(text)


def test_other_names_are_left_alone_and_bounds_are_checked():
    assert pruned_layers("prune:12") == 12
    assert pruned_layers("smollm2-135m") is None
    with pytest.raises(ConfigError, match="1 <= N <= 4"):
        prune_depth(tiny_model(), 5)
    with pytest.raises(ModelError, match="another family"):
        prune_depth(torch.nn.Linear(2, 2), 1)
