"""Planned bytes against the paper's arithmetic, the containers' own block sizes, and what runtimes fuse."""

import json
import shutil
import time
from pathlib import Path

import pytest

from jobs import compress as job
from medray.compression import architecture, planned_bytes
from medray.compression.backends.gguf import tensor_types
from medray.compression.backends.gguf_blocks import blocks_of
from medray.compression.formats import GGUF_BLOCKS, W8A8, fused_groups, plan_table, stored_bits, variant_table
from medray.compression.plan import PlanOptions, paper_plan, uniform_plan

FIXTURE = Path(__file__).parent / "fixtures" / "deepseek-r1-distill-qwen-7b.json"
QWEN_7B = json.loads(FIXTURE.read_text())
UP, GATE = "model.layers.0.mlp.up_proj", "model.layers.0.mlp.gate_proj"
DOWN = "model.layers.0.mlp.down_proj"
PRINTED = {
    "FP16": "15.23",
    "GGUF": "5.24",
    "bitsandbytes, int8 embedding and head": "5.12",
    "bitsandbytes, double quantisation": "4.86",
    "bitsandbytes, 16-bit embedding and head": "6.21",
    "compressed-tensors": "6.03",
}


def total(plan, name, config=QWEN_7B):
    return sum(planned_bytes(plan, architecture(config), name).values())


@pytest.mark.parametrize("options", [PlanOptions(), PlanOptions(embedding_bits=16, double_quantisation=True)])
def test_the_printed_readings_do_not_depend_on_what_is_configured(options):
    table = variant_table(paper_plan(QWEN_7B, options), architecture(QWEN_7B))
    shown = {name: f"{sum(parts.values()) / 1e9:.2f}" for name, parts in table.items()}
    assert {name: shown[name] for name in PRINTED} == PRINTED
    assert shown["compressed-tensors, W8A8"] == "8.71"


def test_plan_only_prints_the_totals_from_a_config_alone_in_seconds(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "140")
    (tmp_path / "m").mkdir()
    shutil.copy(FIXTURE, tmp_path / "m" / "config.json")
    started = time.perf_counter()
    arguments = ["--plan-only", "--set", f"model={tmp_path / 'm'}", "--out", str(tmp_path / "plan")]
    assert job.main(arguments) == 0
    assert time.perf_counter() - started < 10
    lines = [[cell.strip() for cell in line.split("│")] for line in capsys.readouterr().out.splitlines()]
    shown = {cells[1]: cells[2] for cells in lines if len(cells) > 3}
    assert {name: shown[name] for name in PRINTED} == PRINTED
    record = json.loads((tmp_path / "plan" / "plan.json").read_text())
    assert round(record["bytes"]["bitsandbytes"] / 1e9, 2) == 5.12
    assert record["variants"]["GGUF"] == record["bytes"]["gguf"] == sum(record["bytes_per_part"]["gguf"].values())


def test_block_sizes_are_those_of_the_gguf_library():
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

    for code, sizes in GGUF_BLOCKS.items():
        assert GGML_QUANT_SIZES[GGMLQuantizationType[code.upper()]] == sizes


@pytest.mark.parametrize(("hidden", "ffn"), [(64, 128), (576, 1536), (40, 72), (96, 80)])
@pytest.mark.parametrize("code", ["q4_0", "q4_1", "iq4_nl", "q4_k"])
@pytest.mark.parametrize("embedding", [8, 16])
def test_gguf_bytes_are_those_of_the_types_that_are_written(hidden, ffn, code, embedding):
    config = {**QWEN_7B, "hidden_size": hidden, "intermediate_size": ffn, "num_hidden_layers": 1, "vocab_size": 96}
    config |= {"num_attention_heads": 4, "num_key_value_heads": 2}
    plan = paper_plan(config, PlanOptions(embedding_bits=embedding))
    plan = plan.with_codes({module: code for module, bits in plan.bits.items() if bits == 4})
    model, types = architecture(config), tensor_types(plan, architecture(config), "float16")
    expected = sum(
        blocks_of(types[weight.module]).bytes_of(*weight.shape) if weight.is_matrix else 4 * weight.count
        for weight in model.weights
    )
    assert total(plan, "gguf", config) == expected


def test_codes_change_the_bytes_of_their_own_container_only():
    plan = paper_plan(QWEN_7B)
    wider = plan.with_codes({UP: "q4_1"})
    rows, columns = 18944, 3584
    assert total(wider, "gguf") - total(plan, "gguf") == rows * columns // 32 * 2
    assert total(wider, "bitsandbytes") == total(plan, "bitsandbytes")
    assert plan_table(wider, architecture(QWEN_7B))["compressed-tensors"]
    assert total(plan.with_codes({UP: "fp4"}), "bitsandbytes") == total(plan, "bitsandbytes")


def mixed():
    plan = paper_plan(QWEN_7B)
    return plan.model_copy(update={"bits": {**plan.bits, UP: 8, "model.layers.1.self_attn.k_proj": 16}})


@pytest.mark.parametrize("plan", [mixed(), paper_plan(QWEN_7B), uniform_plan(QWEN_7B, 4), uniform_plan(QWEN_7B, 16)])
def test_query_key_value_share_their_bits_in_vllm_and_so_do_gate_and_up(plan):
    model = architecture(QWEN_7B)
    weights, rounded_inputs = (stored_bits(plan, model, name) for name in ("compressed-tensors", W8A8))
    assert {weights["lm_head"], weights["model.embed_tokens"]} == {16}
    for layer in range(28):
        for names in (("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"), ("mlp.gate_proj", "mlp.up_proj")):
            modules = [f"model.layers.{layer}.{name}" for name in names]
            most = max(plan.bits[module] for module in modules)
            assert [weights[module] for module in modules] == [most] * len(names)
            assert [rounded_inputs[module] for module in modules] == [max(most, 8)] * len(names)
        for name in ("self_attn.o_proj", "mlp.down_proj"):
            assert weights[f"model.layers.{layer}.{name}"] == plan.bits[f"model.layers.{layer}.{name}"]


def test_what_a_runtime_fuses_is_counted_at_the_most_bits_of_any():
    model = architecture(QWEN_7B)
    bits = stored_bits(mixed(), model, "compressed-tensors")
    assert (bits[GATE], bits[DOWN]) == (8, 4)
    assert stored_bits(mixed(), model, "gguf")[GATE] == 4
    assert sum(len(group) for group in fused_groups(model, "compressed-tensors")) == 28 * 7
    assert {len(group) for group in fused_groups(model, "gguf")} == {1}
    gained = total(mixed(), "compressed-tensors") - total(paper_plan(QWEN_7B), "compressed-tensors")
    assert gained > 2 * 18944 * 3584 * 0.46  # two matrices at 4 bits more, and a layer's q, k and v at 8 more
