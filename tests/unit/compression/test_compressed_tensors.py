"""The compressed-tensors format: written by its library, read back by transformers, equal to the last bit."""

import json
import shutil

import pytest
import torch

from medray.compression import architecture, paper_plan, planned_bytes
from medray.compression.backends.compressed_tensors import CompressedTensors
from medray.compression.backends.compressed_tensors_scales import search_scales
from medray.compression.backends.compressed_tensors_scheme import config_groups, linear_bits, targets
from medray.compression.sizes import disk_bytes
from medray.errors import ConfigError, ModelError
from medray.models.tiny import tiny_model, tiny_tokenizer

IDS = torch.arange(3, 43)[None]


def plan_with(model, **bits):
    plan = paper_plan(model.config.to_dict())
    return plan.model_copy(update={"bits": {**plan.bits, **bits}})


def write(folder, model, variant, plan=None, **options):
    plan = plan or paper_plan(model.config.to_dict())
    return CompressedTensors(variant).write(model, plan, folder, **{"dtype": "float16", "device": "cpu", **options})


def logits(model):
    with torch.no_grad():
        return model(IDS).logits


@pytest.fixture(
    scope="module",
    params=[(family, variant) for family in ("llama", "qwen2") for variant in ("mixed", "weights", "w8a8")],
    ids="-".join,
)
def made(request, tmp_path_factory):
    family, variant = request.param
    folder = tmp_path_factory.mktemp("ct")
    model = tiny_model(family=family)
    for name, weight in model.named_parameters():  # as merged weights are: exact in 16 bits
        weight.data = weight.data.half().float() if "rotary" not in name else weight.data
    before = logits(model)
    return folder, variant, before, write(folder, model, variant)


def test_a_reload_computes_the_same_bits(made):
    folder, variant, before, written = made
    after = logits(CompressedTensors(variant).load(folder, dtype="float32", device="cpu"))
    assert torch.equal(logits(written), after)
    error = float((before - after).abs().max() / before.abs().max())
    assert 0 < error < (0.03 if variant == "w8a8" else 0.1)


def test_bytes_are_the_planned_ones(made, base_config):
    folder, variant, _, _ = made
    config = base_config(json.loads((folder / "config.json").read_text()))
    plan = paper_plan(config)
    name = "compressed-tensors-w8a8" if variant == "w8a8" else "compressed-tensors"
    planned, found = planned_bytes(plan, architecture(config), name), disk_bytes(folder)
    packed = {"mixed": ("ffn",), "weights": ("ffn", "attention"), "w8a8": ()}[variant]
    for part, count in found.items():
        # Not planned: the two int64 of each packed matrix's shape.
        slack = 16 * sum(1 for name in plan.bits if part in packed and (".mlp." in name) == (part == "ffn"))
        assert planned[part] <= count <= planned[part] + slack


@pytest.fixture
def base_config():
    return lambda config: {key: value for key, value in config.items() if key != "quantization_config"}


FORMATS = {"mixed": "mixed-precision", "weights": "pack-quantized", "w8a8": "int-quantized"}


def test_the_config_says_what_vllm_reads(made):
    folder, variant, _, _ = made
    written = json.loads((folder / "config.json").read_text())["quantization_config"]
    assert written["quant_method"] == "compressed-tensors"
    assert written["quantization_status"] == "compressed"
    assert written["format"] == FORMATS[variant]
    assert "lm_head" in written["ignore"]
    groups = {group["weights"]["num_bits"]: group for group in written["config_groups"].values()}
    assert set(groups) == ({8} if variant == "w8a8" else {4, 8})
    assert groups[8]["weights"]["strategy"] == "channel"
    assert (groups[8]["input_activations"] is not None) == (variant != "weights")
    if 4 in groups:
        assert (groups[4]["weights"]["group_size"], groups[4]["weights"]["strategy"]) == (64, "group")
        assert groups[4]["input_activations"] is None
        assert groups[4]["format"] == "pack-quantized"


def test_a_reload_of_other_integers_would_be_seen(made, tmp_path):
    from safetensors.torch import load_file, save_file

    folder, variant, _, written = made
    copied = shutil.copytree(folder, tmp_path / "copy")
    weights = load_file(copied / "model.safetensors")
    name = "model.layers.1.mlp.up_proj." + ("weight" if variant == "w8a8" else "weight_packed")
    weights[name][3] = weights[name][4].clone()
    save_file(weights, copied / "model.safetensors", metadata={"format": "pt"})
    loaded = CompressedTensors(variant).load(copied, dtype="float32", device="cpu")
    assert not torch.equal(logits(written), logits(loaded))


def test_the_plain_loader_reads_it_as_well(made):
    from medray.models import load_model, load_tokenizer, resolve

    folder, variant, _, written = made
    tiny_tokenizer().save_pretrained(folder)
    reference = resolve(str(folder))
    assert load_tokenizer(reference).chat_template
    assert torch.equal(logits(load_model(reference)), logits(written)), variant


def test_layers_of_sixteen_bits_stay_and_are_ignored(tmp_path):
    model = tiny_model()
    plan = plan_with(model, **{"model.layers.0.mlp.down_proj": 16, "model.layers.2.self_attn.o_proj": 16})
    before = model.model.layers[0].mlp.down_proj.weight.half().float()
    written = write(tmp_path, model, "weights", plan)
    assert torch.equal(written.model.layers[0].mlp.down_proj.weight, before)
    ignored = json.loads((tmp_path / "config.json").read_text())["quantization_config"]["ignore"]
    assert set(ignored) == {"lm_head", "model.layers.0.mlp.down_proj", "model.layers.2.self_attn.o_proj"}
    after = CompressedTensors("weights").load(tmp_path, dtype="float32", device="cpu")
    assert torch.equal(logits(written), logits(after))


def test_what_vllm_fuses_shares_the_most_bits_of_its_parts():
    model = tiny_model()
    shape = architecture(model.config.to_dict())
    plan = plan_with(
        model,
        **{
            "model.layers.0.self_attn.k_proj": 4,
            "model.layers.1.self_attn.q_proj": 4,
            "model.layers.1.self_attn.k_proj": 4,
            "model.layers.1.self_attn.v_proj": 4,
            "model.layers.2.mlp.gate_proj": 16,
        },
    )
    bits = linear_bits(plan, shape, "weights")
    assert {bits[f"model.layers.0.self_attn.{name}_proj"] for name in "qkv"} == {8}
    assert {bits[f"model.layers.1.self_attn.{name}_proj"] for name in "qkv"} == {4}
    assert (bits["model.layers.2.mlp.up_proj"], bits["model.layers.2.mlp.down_proj"]) == (16, 4)
    assert set(linear_bits(plan, shape, "w8a8").values()) == {8, 16}


def test_targets_are_patterns_where_all_layers_agree_and_names_elsewhere():
    bits = {"model.layers.0.mlp.up_proj": 4, "model.layers.1.mlp.up_proj": 4, "model.layers.0.mlp.down_proj": 4}
    bits["model.layers.1.mlp.down_proj"] = 8
    assert targets(bits, 4) == [r"re:.*\.up_proj$", "model.layers.0.mlp.down_proj"]
    assert targets(bits, 8) == ["model.layers.1.mlp.down_proj"]


def test_a_plan_without_quantised_layers_and_rows_without_whole_groups_are_refused():
    with pytest.raises(ConfigError, match="use merged"):
        config_groups({"model.layers.0.mlp.up_proj": 16}, "weights")
    model = tiny_model(hidden=80)
    plan = plan_with(model, **{"model.layers.1.mlp.down_proj": 4})
    with pytest.raises(ModelError, match=r"layers\.1\.mlp\.down_proj.*groups of 64"):
        linear_bits(plan, architecture(model.config.to_dict()), "weights")


def test_bad_weights_and_a_plan_for_another_model_are_refused(tmp_path):
    for value in (float("nan"), 1e6):
        model = tiny_model()
        model.model.layers[1].mlp.up_proj.weight.data[0, 0] = value
        with pytest.raises(ModelError, match=r"up_proj.*not finite"):
            write(tmp_path, model, "weights")
    with pytest.raises(ModelError, match="plan was made for"):
        write(tmp_path, tiny_model(), "weights", paper_plan(tiny_model(layers=3).config.to_dict()))
    assert list(tmp_path.iterdir()) == []


def test_a_zero_row_and_a_zero_column_stay_zero(tmp_path):
    model = tiny_model()
    for layer in model.model.layers:
        layer.mlp.gate_proj.weight.data[5] = 0
        layer.mlp.gate_proj.weight.data[:, 7] = 0
    weight = write(tmp_path, model, "weights").model.layers[0].mlp.gate_proj.weight
    assert not weight[5].any()
    assert not weight[:, 7].any()


class TestScales:
    """Scales by least squared error."""

    weight = torch.randn(32, 128, generator=torch.Generator().manual_seed(0)) * 0.02

    def error(self, scales, *, bits, group, importance=1.0):
        blocks, top = self.weight.reshape(32, -1, group), 2 ** (bits - 1)
        rounded = (blocks / scales[..., None]).round().clamp(-top, top - 1) * scales[..., None]
        return float(((rounded - blocks).reshape(32, 128).square() * importance).mean())

    @pytest.mark.parametrize(("bits", "group"), [(4, 64), (8, 128)])
    def test_they_are_better_than_the_largest_weight_s(self, bits, group):
        found = search_scales(self.weight, bits=bits, group=group, dtype=torch.float16)
        largest = (self.weight.reshape(32, -1, group).abs().amax(-1) / (2 ** (bits - 1) - 0.5)).half().float()
        gain = self.error(found, bits=bits, group=group) / self.error(largest, bits=bits, group=group)
        assert gain < (0.9 if bits == 4 else 1.0)
        assert torch.equal(found, found.half().float())

    def test_importance_is_followed(self):
        importance = torch.where(torch.arange(128) % 16 == 0, 100.0, 0.01)
        found = search_scales(self.weight, bits=4, group=64, dtype=torch.float16, importance=importance.numpy())
        plain = search_scales(self.weight, bits=4, group=64, dtype=torch.float16)
        weighted = [self.error(scales, bits=4, group=64, importance=importance) for scales in (found, plain)]
        assert weighted[0] < 0.9 * weighted[1]
        with pytest.raises(ModelError, match="128 columns"):
            search_scales(self.weight, bits=4, group=64, dtype=torch.float16, importance=importance[:5].numpy())
