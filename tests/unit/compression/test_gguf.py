"""The GGUF file of a plan: types, bytes and values as meant; damaged input leaves nothing behind."""

import numpy as np
import pytest
import torch

from medray.compression import architecture, paper_plan, planned_bytes
from medray.compression.backends import gguf_write
from medray.compression.backends.gguf import FILE, Gguf, tensor_types
from medray.compression.backends.gguf_layout import Layout
from medray.compression.backends.gguf_read import bytes_per_part, metadata, read_tensors, stored_types
from medray.errors import ConfigError, ModelError
from medray.models.tiny import tiny_model, tiny_tokenizer


def write(folder, model, plan=None, **options):
    plan = plan or paper_plan(model.config.to_dict())
    options = {"dtype": "float16", "device": "cpu", "tokenizer": tiny_tokenizer(), **options}
    return Gguf().write(model, plan, folder, **options)


@pytest.fixture(scope="module", params=[("llama", True), ("llama", False), ("qwen2", False)], ids=str)
def made(request, tmp_path_factory):
    family, tied = request.param
    folder = tmp_path_factory.mktemp("gguf")
    model = tiny_model(family=family, tied=tied)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    return folder, before, write(folder, model)


def test_types_follow_the_plan(made):
    types = stored_types(made[0] / FILE)
    assert types["token_embd.weight"] == types["blk.0.attn_q.weight"] == types["blk.3.attn_output.weight"] == "q8_0"
    assert types["blk.0.ffn_up.weight"] == types["blk.3.ffn_down.weight"] == "q4_0"
    assert types["blk.0.attn_norm.weight"] == types["output_norm.weight"] == "f32"
    assert ("output.weight" in types) == (not made[2].config.tie_word_embeddings)


def test_bytes_are_the_planned_ones(made):
    folder, _, model = made
    config = model.config.to_dict()
    assert bytes_per_part(folder / FILE) == planned_bytes(paper_plan(config), architecture(config), "gguf")


def test_the_model_returned_holds_what_the_file_holds(made):
    folder, before, model = made
    layout, tensors = Layout.of(model.config.to_dict()), read_tensors(folder / FILE)
    for weight in architecture(model.config.to_dict()).weights:
        stored = layout.restore(weight.module)(tensors[layout.name(weight.name)])
        assert torch.equal(torch.from_numpy(stored), model.state_dict()[weight.name]), weight.name
        error = float((before[weight.name] - model.state_dict()[weight.name]).norm() / before[weight.name].norm())
        limit = {"norm": 0.0, "ffn": 0.12}.get(weight.part, 0.01) if weight.is_matrix or weight.part == "norm" else 0.0
        assert error <= limit or not before[weight.name].any(), (weight.name, error)


def test_the_file_says_what_it_is(made):
    entries = metadata(made[0] / FILE)
    family = made[2].config.model_type
    assert entries["general.architecture"] == family
    assert entries[f"{family}.block_count"] == 4
    assert entries["tokenizer.chat_template"].startswith("{% for message")
    assert sorted(path.name for path in made[0].iterdir()) == ["config.json", FILE]


@pytest.mark.parametrize(("dtype", "code"), [("float16", "f16"), ("bfloat16", "bf16"), ("float32", "f32")])
def test_sixteen_bits_are_stored_in_the_dtype(tmp_path, dtype, code):
    model = tiny_model()
    plan = paper_plan(model.config.to_dict())
    plan = plan.model_copy(update={"bits": dict.fromkeys(plan.bits, 16)})
    write(tmp_path, model, plan, dtype=dtype)
    types = stored_types(tmp_path / FILE)
    assert types["blk.0.ffn_up.weight"] == code
    assert types["token_embd.weight"] == "q8_0"  # as every GGUF of ours, whatever the plan


def test_a_row_that_is_no_whole_block_takes_a_type_that_holds_it():
    config = tiny_model(hidden=72).config.to_dict()  # 72 = 2 blocks of 32 and a rest; the FFN's 144 likewise
    assert set(tensor_types(paper_plan(config), architecture(config), "float16").values()) == {"f16"}
    config = tiny_model().config.to_dict()
    plan = paper_plan(config)
    plan = plan.with_codes({module: "q4_k" for module, bits in plan.bits.items() if bits == 4})
    assert set(tensor_types(plan, architecture(config), "float16").values()) == {"q8_0"}  # 64 and 128 of Q4_K's 256


def test_codes_are_followed_and_another_container_s_are_none_of_ours():
    config = tiny_model().config.to_dict()
    plan, shape, up = paper_plan(config), architecture(config), "model.layers.1.mlp.up_proj"
    assert tensor_types(plan.with_codes({up: "iq4_nl"}), shape, "float16")[up] == "iq4_nl"
    assert tensor_types(plan.with_codes({up: "fp4"}), shape, "float16")[up] == "q4_0"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_leave_no_file(tmp_path, value):
    model = tiny_model()
    model.model.layers[2].mlp.up_proj.weight.data[1, 1] = value
    with pytest.raises(ModelError, match=r"layers\.2\.mlp\.up_proj.*finite"):
        write(tmp_path, model)
    assert list(tmp_path.iterdir()) == []


def test_weights_beyond_float16_are_refused(tmp_path):
    model = tiny_model()
    model.model.layers[0].self_attn.v_proj.weight.data[0, 0] = 1e5
    plan = paper_plan(model.config.to_dict())
    plan = plan.model_copy(update={"bits": dict.fromkeys(plan.bits, 16)})
    with pytest.raises(ModelError, match="bfloat16"):
        write(tmp_path, model, plan)


def test_a_zero_row_and_a_zero_column_are_written(tmp_path):
    model = tiny_model()
    weight = model.model.layers[0].mlp.gate_proj.weight.data
    weight[5], weight[:, 7] = 0, 0
    written = write(tmp_path, model).model.layers[0].mlp.gate_proj.weight
    assert not written[5].any()
    assert written[:, 7].abs().max() < 1e-3
    assert written.isfinite().all()


def test_a_write_cut_short_leaves_no_file(tmp_path, monkeypatch):
    right, seen = gguf_write.quantise, []

    def dies(*args):
        seen.append(1)
        if len(seen) == 9:
            raise KeyboardInterrupt
        return right(*args)

    monkeypatch.setattr(gguf_write, "quantise", dies)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, tiny_model())
    assert list(tmp_path.iterdir()) == []


def test_a_plan_for_another_model_a_missing_tokenizer_and_a_bad_dtype_are_refused(tmp_path):
    model = tiny_model()
    with pytest.raises(ModelError, match="plan was made for"):
        write(tmp_path, model, paper_plan(tiny_model(layers=3).config.to_dict()))
    with pytest.raises(ConfigError, match="tokenizer"):
        write(tmp_path, model, tokenizer=None)
    with pytest.raises(ConfigError, match="dtype"):
        write(tmp_path, model, dtype="int8")
    assert list(tmp_path.iterdir()) == []


def test_damaged_files_are_named(tmp_path):
    write(tmp_path, tiny_model())
    whole = (tmp_path / FILE).read_bytes()
    for broken in (b"", b"nonsense", whole[:100], whole[: len(whole) // 2]):
        (tmp_path / FILE).write_bytes(broken)
        with pytest.raises(ModelError, match=r"model\.gguf"):
            read_tensors(tmp_path / FILE)


def test_bytes_would_show_a_wrong_type(made):
    """The check of bytes can fail: one tensor of another type is seen."""
    folder, _, model = made
    config = model.config.to_dict()
    plan = paper_plan(config)
    wrong = plan.model_copy(update={"bits": {**plan.bits, "model.layers.0.mlp.up_proj": 8}})
    assert bytes_per_part(folder / FILE) != planned_bytes(wrong, architecture(config), "gguf")


def test_importance_is_used_where_given(tmp_path):
    pytest.importorskip("llama_cpp")
    importance = {f"model.layers.{n}.mlp.down_proj": np.linspace(1, 9, 128).astype(np.float32) for n in range(4)}
    plain = write(tmp_path, tiny_model()).state_dict()
    weighted = write(tmp_path, tiny_model(), importance=importance).state_dict()
    differing = {name for name in plain if not torch.equal(plain[name], weighted[name])}
    assert differing == {f"{module}.weight" for module in importance}
