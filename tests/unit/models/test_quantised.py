"""8-bit and 4-bit layers in one model: what is reloaded computes what was saved, and damage is named."""

import json
import shutil

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from medray.errors import ModelError
from medray.models import load_model, resolve
from medray.models.quantisation import ModuleFormat, Quantisation, int8_format, nf4_format
from medray.models.quantised import quantise, quantised_layers, save_quantised
from medray.models.quantised_layers import quantise_linear
from medray.models.tiny import tiny_model

IDS = torch.arange(40).reshape(2, 20)
ATTENTION, FFN = "model.layers.0.self_attn.q_proj", "model.layers.0.mlp.up_proj"


def mixed(model, *, double=True):
    modules = {}
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and name != "lm_head":
            modules[name] = int8_format() if "self_attn" in name else nf4_format(double=double)
    return Quantisation(modules=modules)


def logits(model):
    with torch.no_grad():
        return model(IDS).logits


def write(folder, model, *, double=True, dtype=torch.float32):
    form = mixed(model, double=double)
    quantise(model, form)
    folder.mkdir()
    save_quantised(model, form, folder, dtype=dtype)
    return model


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("quantised") / "model"
    return folder, write(folder, tiny_model(family="qwen2", tied=False))


@pytest.mark.parametrize("family", ["llama", "qwen2"])
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("double", [True, False])
def test_reloaded_logits_equal_those_before_saving(tmp_path, family, tied, double):
    original = tiny_model(family=family, tied=tied)
    before = logits(original)
    model = write(tmp_path / "m", original, double=double)
    reloaded = load_model(resolve(str(tmp_path / "m")))
    assert torch.equal(logits(model), logits(reloaded))
    assert 1e-4 < float((before - logits(reloaded)).abs().max()) < 0.2
    assert (reloaded.lm_head.weight is reloaded.model.embed_tokens.weight) == tied
    assert not any(weight.is_meta for weight in [*reloaded.parameters(), *reloaded.buffers()])
    assert len(quantised_layers(reloaded)) == 4 * 7


def test_saving_after_a_forward_and_saving_the_reloaded_give_the_same_bytes(tmp_path, saved):
    folder, _ = saved
    reloaded = load_model(resolve(str(folder)))
    logits(reloaded)  # moves codes from weights to layer states
    form = Quantisation.model_validate_json((folder / "quantisation.json").read_bytes())
    (tmp_path / "again").mkdir()
    save_quantised(reloaded, form, tmp_path / "again", dtype=torch.float32)
    first, second = (load_file(place / "model.safetensors") for place in (folder, tmp_path / "again"))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_weights_that_a_fused_kernel_repacked_are_not_saved(tmp_path, saved):
    from bitsandbytes.functional import _convert_weight_packed_for_cpu

    model = load_model(resolve(str(saved[0])), dtype="bfloat16")
    weight = model.get_submodule(FFN).weight
    weight.data, weight.quant_state = _convert_weight_packed_for_cpu(weight.data, weight.quant_state)
    with pytest.raises(ModelError, match="repacked"):
        save_quantised(model, mixed(tiny_model(family="qwen2")), tmp_path, dtype=torch.float32)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("rows", "columns"), [(32, 64), (48, 64), (32, 192), (1, 128)])
def test_layers_of_any_shape_compute_in_bfloat16_with_or_without_the_fused_kernel(rows, columns):
    torch.manual_seed(0)
    linear = torch.nn.Linear(columns, rows).requires_grad_(False)
    exact = quantise_linear(linear, nf4_format(double=True), dtype=torch.float32, device="cpu")
    layer = quantise_linear(linear, nf4_format(double=True), dtype=torch.bfloat16, device="cpu")
    inputs = torch.randn(3, columns)
    error = (layer(inputs.bfloat16()).float() - exact(inputs)).norm() / exact(inputs).norm()
    assert float(error) < 0.03


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_it_computes_in_the_dtype_that_is_asked_for(saved, dtype):
    model = load_model(resolve(str(saved[0])), dtype=dtype)
    got = logits(model)
    assert got.dtype == getattr(torch, dtype)
    assert float((got.float() - logits(saved[1])).abs().max()) < 0.05
    assert float(model.model.rotary_emb.inv_freq[0]) == 1.0


def test_it_generates_with_a_cache(saved):
    model = load_model(resolve(str(saved[0])))
    out = model.generate(IDS[:1], max_new_tokens=4, do_sample=False, eos_token_id=None)
    assert out.shape == (1, 24)


def test_half_precision_storage_halves_the_rest_only(tmp_path):
    write(tmp_path / "m", tiny_model(), dtype=torch.float16)
    kinds = {name: tensor.dtype for name, tensor in load_file(tmp_path / "m" / "model.safetensors").items()}
    assert kinds["model.embed_tokens.weight"] == torch.float16
    assert kinds[f"{ATTENTION}.SCB"] == torch.float32
    assert kinds[f"{FFN}.weight.nested_absmax"] == torch.float32
    assert "lm_head.weight" not in kinds


@settings(max_examples=25, deadline=None)
@given(rows=st.integers(1, 70), blocks=st.integers(1, 4), seed=st.integers(0, 99))
def test_round_trip_error_is_bounded_by_the_code(rows, blocks, seed):
    columns = 64 * blocks
    torch.manual_seed(seed)
    linear = torch.nn.Linear(columns, rows, bias=False).requires_grad_(False)
    linear.weight.data[0] = 0  # a zero row must stay zero
    eye = torch.eye(columns)
    for form, bound in ((int8_format(), 0.5 / 127 + 1e-3), (nf4_format(double=False), 0.16)):
        layer = quantise_linear(linear, form, dtype=torch.float32, device="cpu")
        weight = layer.weight
        got = weight.CB.float() * weight.SCB[:, None] / 127 if form.code == "int8" else layer(eye).T
        assert float((got - linear.weight).abs().max()) <= bound * float(linear.weight.abs().max())
        assert torch.equal(got[0], torch.zeros(columns))


@pytest.mark.parametrize("columns", [2, 80, 96])
def test_four_bits_are_refused_where_a_row_is_not_whole_blocks(columns):
    linear = torch.nn.Linear(columns, 8).requires_grad_(False)
    with pytest.raises(ModelError, match="blocks of 64"):
        quantise_linear(linear, nf4_format(double=False), dtype=torch.float32, device="cpu")
    quantise_linear(linear, int8_format(), dtype=torch.float32, device="cpu")


def damaged(saved, tmp_path, change):
    folder = shutil.copytree(saved[0], tmp_path / "damaged")
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return resolve(str(folder))


def repack(weights, **values):
    name = f"{FFN}.weight.quant_state.bitsandbytes__nf4"
    state = {**json.loads(bytes(weights[name].numpy())), **values}
    weights[name] = torch.tensor(list(json.dumps(state).encode()), dtype=torch.uint8)


def put(name, value):
    return lambda weights: weights.__setitem__(name, value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda w: w.pop(f"{FFN}.weight.absmax"), "absmax"),
        (lambda w: w.pop(f"{FFN}.weight"), "missing"),
        (lambda w: w.pop(f"{ATTENTION}.SCB"), "SCB"),
        (lambda w: w.pop(f"{ATTENTION}.bias"), "bias"),
        (lambda w: w.pop("model.norm.weight"), r"model\.norm\.weight"),
        (lambda w: w.pop("lm_head.weight"), r"lm_head\.weight"),
        (put("stowaway", torch.zeros(2)), "stowaway"),
        (put(f"{FFN}.extra", torch.zeros(2)), "extra"),
        (put(f"{FFN}.weight", torch.zeros(7, 1, dtype=torch.uint8)), "weight: expected shape"),
        (put(f"{ATTENTION}.weight", torch.zeros(64, 64)), "int8"),
        (put(f"{ATTENTION}.SCB", torch.full((64,), float("nan"))), "finite"),
        (put(f"{ATTENTION}.weight_format", torch.tensor(2, dtype=torch.uint8)), "row major"),
        (put("model.embed_tokens.weight", torch.zeros(5, 64)), "embed_tokens"),
        (put("model.norm.weight", torch.full((64,), float("inf"))), "norm"),
        (put(f"{FFN}.weight.quant_map", torch.linspace(-1, 1, 16)), "NF4"),
        (lambda w: repack(w, quant_type="fp4"), "quant_type"),
        (lambda w: repack(w, dtype="__class__"), "dtype"),
        (lambda w: repack(w, shape=[64, 128]), "shape"),
        (lambda w: repack(w, blocksize=128), "blocks"),
        (lambda w: repack(w, nested_offset=None), "nested"),
        (lambda w: repack(w, surprise=1), "surprise"),
        (put(f"{FFN}.weight.quant_state.bitsandbytes__nf4", torch.zeros(9, dtype=torch.uint8)), "quant_state"),
    ],
)
def test_damage_is_named_and_refused(saved, tmp_path, change, said):
    with pytest.raises(ModelError, match=said):
        load_model(damaged(saved, tmp_path, change))


def test_a_cut_file_is_refused(saved, tmp_path):
    folder = shutil.copytree(saved[0], tmp_path / "cut")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ModelError, match="damaged"):
        load_model(resolve(str(folder)))


@pytest.mark.parametrize(
    "change",
    [
        lambda q: "not json",
        lambda q: json.dumps({**q, "format_version": 2}),
        lambda q: json.dumps({**q, "surprise": 1}),
        lambda q: json.dumps({"modules": {FFN: {"bits": 4, "code": "fp4", "blocksize": 64}}}),
        lambda q: json.dumps({"modules": {FFN: {"bits": 2, "code": "nf4", "blocksize": 64}}}),
        lambda q: json.dumps({"modules": {FFN: {"bits": 4, "code": "nf4"}}}),
        lambda q: json.dumps({"modules": {FFN: {"bits": 8, "code": "int8", "double": True}}}),
        lambda q: json.dumps({**q, "modules": {**q["modules"], "model.layers.9.mlp.up_proj": q["modules"][FFN]}}),
        lambda q: json.dumps({**q, "modules": {**q["modules"], "model.norm": q["modules"][FFN]}}),
        lambda q: json.dumps({**q, "modules": {**q["modules"], ATTENTION: q["modules"][FFN]}}),
        lambda q: json.dumps({**q, "modules": {k: v for k, v in q["modules"].items() if k != FFN}}),
    ],
)
def test_a_quantisation_file_that_lies_is_refused(saved, tmp_path, change):
    folder = shutil.copytree(saved[0], tmp_path / "lying")
    form = json.loads((folder / "quantisation.json").read_text())
    (folder / "quantisation.json").write_text(change(form))
    with pytest.raises(ModelError):
        load_model(resolve(str(folder)))


def test_weights_that_are_not_finite_are_not_quantised():
    model = tiny_model()
    model.get_submodule(FFN).weight.data[0, 0] = float("nan")
    with pytest.raises(ModelError, match="finite"):
        quantise(model, mixed(model))


def test_formats_check_themselves():
    with pytest.raises(ValueError, match="nf4 means"):
        ModuleFormat(bits=4, code="nf4", blocksize=64, outlier_threshold=6.0)
    with pytest.raises(ValueError, match="outlier_threshold"):
        ModuleFormat(bits=8, code="int8", outlier_threshold=-1.0)


EMBEDDING = "model.embed_tokens"


def whole(model, *, code="nf4"):
    """Every linear layer and the embedding; an untied head as well."""
    form = mixed(model)
    modules = {n: f if f.bits == 8 else nf4_format(double=True, code=code) for n, f in form.modules.items()}
    modules[EMBEDDING] = int8_format()
    if not model.config.tie_word_embeddings:
        modules["lm_head"] = int8_format()
    return Quantisation(modules=modules)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("code", ["nf4", "fp4"])
def test_int8_embedding_and_head_are_reloaded_as_they_were(tmp_path, tied, code):
    original = tiny_model(family="qwen2", tied=tied)
    before, form = logits(original), whole(original, code=code)
    model = quantise(original, form)
    save_quantised(model, form, tmp_path, dtype=torch.float32)
    reloaded = load_model(resolve(str(tmp_path)))
    stored, expected = load_file(tmp_path / "model.safetensors"), model.state_dict()
    assert stored[f"{EMBEDDING}.weight"].dtype == torch.int8
    assert stored[f"{EMBEDDING}.SCB"].dtype == torch.float32
    assert any(name.startswith("lm_head") for name in stored) == (not tied)
    assert all(torch.equal(tensor, expected[name]) for name, tensor in reloaded.state_dict().items())
    assert torch.equal(logits(model), logits(reloaded))
    assert 1e-4 < float((before - logits(reloaded)).abs().max()) < 0.3


@pytest.mark.parametrize("tied", [True, False])
def test_the_int8_embedding_gives_rows_within_half_a_step_and_the_head_uses_the_same_codes(tied):
    model = tiny_model(tied=tied)
    rows = model.model.embed_tokens.weight.detach().clone()
    quantise(model, whole(model))
    got = model.model.embed_tokens(torch.arange(len(rows)))
    half_step = rows.abs().amax(-1, keepdim=True) / 127 / 2
    assert bool(((got - rows).abs() <= half_step * 1.15).all())  # 1.15: float16 comes first
    same = model.lm_head.weight.data_ptr() == model.model.embed_tokens.weight.data_ptr()
    assert same == tied
    assert len(list(model.generate(IDS[:1], max_new_tokens=3, do_sample=False, eos_token_id=None)[0])) == 23


def test_an_embedding_takes_int8_only_and_a_tied_head_no_format_of_its_own(tmp_path):
    four = Quantisation(modules={EMBEDDING: nf4_format(double=False)})
    with pytest.raises(ModelError, match="int8 for an embedding"):
        quantise(tiny_model(), four)
    with pytest.raises(ModelError, match="tied"):
        quantise(tiny_model(), Quantisation(modules={"lm_head": int8_format()}))
    model = tiny_model()
    model.model.embed_tokens.weight.data[3] = 1e5
    with pytest.raises(ModelError, match="float16"):
        quantise(model, Quantisation(modules={EMBEDDING: int8_format()}))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda w: w.pop(f"{EMBEDDING}.SCB"), "expected the tensors"),
        (put(f"{EMBEDDING}.SCB", torch.full((384,), float("nan"))), "finite"),
        (put(f"{EMBEDDING}.weight", torch.zeros(5, 64, dtype=torch.int8)), "shape"),
        (put(f"{EMBEDDING}.weight", torch.zeros(384, 64)), "int8"),
        (put("lm_head.weight", torch.zeros(384, 64)), "beyond"),
    ],
)
def test_a_damaged_int8_embedding_is_named(tmp_path, change, said):
    model = tiny_model()
    form = whole(model)
    (tmp_path / "m").mkdir()
    save_quantised(quantise(model, form), form, tmp_path / "m", dtype=torch.float32)
    with pytest.raises(ModelError, match=said):
        load_model(damaged((tmp_path / "m",), tmp_path, change))
