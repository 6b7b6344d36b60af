"""Layouts against the real state dicts, plans and their bytes against the paper's arithmetic (R1)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medray.compression import architecture, paper_plan, planned_bytes
from medray.compression.architecture import part_of
from medray.compression.formats import fp16_bytes
from medray.compression.plan import Plan, PlanOptions
from medray.errors import ConfigError, ModelError

QWEN_7B = {
    "model_type": "qwen2",
    "hidden_size": 3584,
    "num_hidden_layers": 28,
    "intermediate_size": 18944,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "vocab_size": 152064,
    "tie_word_embeddings": False,
}
SMALL = {**QWEN_7B, "hidden_size": 64, "num_hidden_layers": 2, "intermediate_size": 128, "num_attention_heads": 4}
SMALL |= {"num_key_value_heads": 2, "vocab_size": 96}


def total_gb(form, **options):
    plan = paper_plan(QWEN_7B, PlanOptions(**options))
    return sum(planned_bytes(plan, architecture(QWEN_7B), form).values()) / 1e9


def test_the_paper_student_has_7_615_billion_weights_and_15_23_gb():
    model = architecture(QWEN_7B)
    assert model.count == 7_615_616_512
    assert sum(fp16_bytes(model).values()) == 2 * model.count


@pytest.mark.parametrize(
    ("form", "options", "expected"),
    [
        ("bitsandbytes", {"embedding_bits": 16, "double_quantisation": False}, 6.21),
        ("bitsandbytes", {"embedding_bits": 8, "double_quantisation": False}, 5.12),
        ("bitsandbytes", {"embedding_bits": 8, "double_quantisation": True}, 4.86),
        ("gguf", {"embedding_bits": 16}, 5.24),
        ("compressed-tensors", {"embedding_bits": 8}, 6.03),
    ],
)
def test_planned_totals_of_the_paper_student(form, options, expected):
    assert round(total_gb(form, **options), 2) == expected


@pytest.mark.parametrize("family", ["llama", "qwen2", "mistral", "qwen3"])
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("biased", [True, False])
def test_the_layout_is_the_model_s_own_state_dict(family, tied, biased):
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    written = {**SMALL, "model_type": family, "tie_word_embeddings": tied}
    if family in ("llama", "qwen3"):
        written |= {"attention_bias": biased, "head_dim": 24}
    if family == "llama":
        written["mlp_bias"] = biased
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**written))
    expected = {name: tuple(weight.shape) for name, weight in model.named_parameters()}
    assert {weight.name: weight.shape for weight in architecture(written).weights} == expected


def test_the_paper_rule_and_its_summary():
    plan = paper_plan(SMALL)
    assert plan.bits["model.layers.1.self_attn.k_proj"] == 8
    assert plan.bits["model.layers.0.mlp.gate_proj"] == 4
    assert plan.bits_per_part() == {"embedding": 8, "attention": 8, "ffn": 4, "norm": 16, "head": 8}


def test_a_plan_survives_json_and_refuses_another_model():
    plan = Plan.model_validate_json(paper_plan(SMALL).model_dump_json())
    plan.check(architecture(SMALL))
    for other in ({**SMALL, "num_hidden_layers": 3}, {**SMALL, "intermediate_size": 192}, {**SMALL, "vocab_size": 97}):
        with pytest.raises(ModelError, match="made for"):
            plan.check(architecture(other))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model_type": "gpt2"}, "family"),
        ({"hidden_size": None}, "hidden_size"),
        ({"vocab_size": -1}, "vocab_size"),
        ({"num_hidden_layers": "28"}, "num_hidden_layers"),
        ({"quantization_config": {"quant_method": "gptq"}}, "quantised already"),
    ],
)
def test_impossible_configs_are_refused(change, said):
    with pytest.raises(ModelError, match=said):
        paper_plan({**SMALL, **change})


def test_unknown_formats_and_parts_are_refused():
    with pytest.raises(ConfigError, match="bitsandbytes"):
        planned_bytes(paper_plan(SMALL), architecture(SMALL), "zip")
    with pytest.raises(ModelError, match="known part"):
        part_of("model.vision_tower.weight")


@given(hidden=st.sampled_from([64, 128, 192]), layers=st.integers(1, 4), ffn=st.integers(1, 600), tied=st.booleans())
def test_fewer_bits_never_cost_more_and_parts_sum_to_fp16(hidden, layers, ffn, tied):
    config = {**SMALL, "hidden_size": hidden, "num_hidden_layers": layers, "intermediate_size": ffn}
    config["tie_word_embeddings"] = tied
    model = architecture(config)
    assert sum(fp16_bytes(model).values()) == 2 * model.count
    tables = 20_000 * layers  # code tables weigh something on toy layers
    single = planned_bytes(paper_plan(config, PlanOptions(double_quantisation=False)), model, "bitsandbytes")
    double = planned_bytes(paper_plan(config), model, "bitsandbytes")
    assert sum(double.values()) <= sum(single.values()) + tables
    assert sum(single.values()) <= sum(fp16_bytes(model).values()) + tables


def test_rows_that_are_not_whole_blocks_keep_eight_bits():
    plan = paper_plan({**SMALL, "intermediate_size": 96})
    assert plan.bits["model.layers.0.mlp.down_proj"] == 8  # 96 columns
    assert plan.bits["model.layers.0.mlp.up_proj"] == 4  # 64 columns
