"""Names, order of rows and hyper-parameters of a GGUF file, against transformers' own arithmetic."""

import math

import numpy as np
import pytest
import torch
from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from medray.compression import architecture
from medray.compression.backends.gguf_layout import Layout, hyper_parameters, part_of_gguf, rope_factors
from medray.errors import ModelError
from medray.models.tiny import tiny_model


def config(family="llama", **changes):
    return {**tiny_model(family=family, tied=False).config.to_dict(), **changes}


def llama3(**rope):
    parameters = {
        "rope_type": "llama3",
        "rope_theta": 500000.0,
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 128,
    }
    return config(rope_parameters={**parameters, **rope})


@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_every_tensor_has_a_name_of_its_own_and_its_part(family):
    layout, model = Layout.of(config(family)), architecture(config(family))
    names = {layout.name(weight.name): weight.part for weight in model.weights}
    assert len(names) == len(model.weights)
    assert {name: part_of_gguf(name) for name in names} == names
    assert "blk.3.ffn_down.weight" in names
    assert ("blk.0.attn_q.bias" in names) == (family == "qwen2")


def test_names_are_those_of_the_gguf_package():
    from gguf import MODEL_ARCH, get_tensor_name_map

    known = get_tensor_name_map(MODEL_ARCH.LLAMA, 4)
    layout = Layout.of(config())
    for weight in architecture(config()).weights:
        assert layout.name(weight.name) == known.get_name(weight.name, try_suffixes=(".weight", ".bias"))


@pytest.mark.parametrize(("module", "heads"), [("q_proj", 4), ("k_proj", 2)])
def test_rotary_pairs_become_neighbours_and_come_back(module, heads):
    layout = Layout.of(config())
    rows = np.arange(heads * 16 * 3).reshape(heads * 16, 3)
    moved = layout.reorder(f"model.layers.0.self_attn.{module}")(rows)
    head = rows[16 : 2 * 16, 0]
    assert moved[16 : 2 * 16, 0].tolist() == [head[i // 2 + 8 * (i % 2)] for i in range(16)]
    assert (layout.restore(f"model.layers.0.self_attn.{module}")(moved) == rows).all()
    bias = layout.reorder(f"model.layers.0.self_attn.{module}")(rows[:, 0])
    assert (bias == moved[:, 0]).all()


def test_only_llama_s_query_and_key_move():
    rows = np.arange(64)
    for family, module in (("llama", "v_proj"), ("llama", "o_proj"), ("qwen2", "q_proj"), ("qwen2", "k_proj")):
        assert Layout.of(config(family)).reorder(f"model.layers.0.self_attn.{module}")(rows) is rows


def test_llama_3_1_s_frequencies_are_transformers_own():
    settings = llama3()
    plain = 500000.0 ** (-np.arange(0, 16, 2) / 16)
    theirs, _ = ROPE_INIT_FUNCTIONS["llama3"](LlamaConfig(**settings), torch.device("cpu"))
    ours = plain / np.array(rope_factors(settings))
    assert np.allclose(ours, theirs.numpy(), rtol=1e-5)
    assert not np.allclose(ours, plain, rtol=1e-2)
    assert rope_factors(config()) is None


@pytest.mark.parametrize("spelling", ["rope_parameters", "rope_scaling"])
def test_both_spellings_of_rotary_parameters_are_read(spelling):
    given = config(rope_parameters=None, rope_theta=10000.0, **{}) | {
        spelling: {"rope_type": "linear", "factor": 2.0, "rope_theta": 777.0}
    }
    values = hyper_parameters(given)
    assert (values["rope.scaling.type"], values["rope.scaling.factor"], values["rope.freq_base"]) == ("linear", 2, 777)


def test_hyper_parameters_survive_a_head_that_is_not_hidden_over_heads():
    values = hyper_parameters(config(head_dim=24))
    assert values["attention.key_length"] == values["rope.dimension_count"] == 24
    assert math.isclose(values["attention.layer_norm_rms_epsilon"], 1e-6)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model_type": "gpt2"}, "llama, qwen2"),
        ({"hidden_act": "gelu"}, "silu"),
        ({"use_sliding_window": True}, "window"),
    ],
)
def test_models_that_would_compute_something_else_are_refused(changes, said):
    with pytest.raises(ModelError, match=said):
        Layout.of(config(**changes))


def test_unknown_rotary_scaling_and_unknown_tensors_are_refused():
    with pytest.raises(ModelError, match="rope_type"):
        hyper_parameters(config(rope_parameters={"rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0}))
    with pytest.raises(ModelError, match="rotary_emb"):
        Layout.of(config()).name("model.layers.0.self_attn.rotary_emb.inv_freq")
    with pytest.raises(ModelError, match="known part"):
        part_of_gguf("blk.0.ssm_in.weight")
