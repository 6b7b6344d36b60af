"""GGUF files in llama.cpp itself: the same logits as transformers, the same tokens, and wrong files refused."""

import pytest
import torch
from tokenizers import Regex, pre_tokenizers
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from medray.compression import architecture, paper_plan
from medray.compression.backends.gguf import FILE, RUNTIME_LIMIT, Gguf, check_runtime
from medray.compression.backends.gguf_read import bytes_per_part, metadata
from medray.compression.backends.gguf_runtime import GgufModel
from medray.compression.backends.gguf_tokenizer import tokenizer_entries
from medray.compression.backends.gguf_write import Content, write_gguf
from medray.errors import CapabilityError, ModelError, ParityError
from medray.models.tiny import tiny_model, tiny_tokenizer

pytest.importorskip("llama_cpp", reason="needs llama-cpp-python (the extra edge)")

LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
TEXTS = [
    "Take 250 mg of ibuprofen twice a day, it's fine.",
    "<|im_start|>user\nWhat helps?<|im_end|>\n<|im_start|>assistant\n",
    "  two  spaces\n\n\ttab 1234567 and 3.5µg/kg ",
    "Grüße, 你好, naïve 😀",
]


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 1)


def lively(model, *, biases=True):
    """Make a random model's attention and biases matter, so that a wrong order of rows cannot hide."""
    generator = torch.Generator().manual_seed(3)
    for name, weight in model.named_parameters():
        if name.endswith("bias") and biases:
            weight.data = torch.randn(weight.shape, generator=generator) * 0.3
        elif ".q_proj." in name or ".k_proj." in name:
            weight.data *= 8
        elif weight.dim() == 2:
            weight.data *= 2
    return model


def write_as(model, folder, code):
    """Write every matrix in one type."""
    config = model.config.to_dict()
    shape = architecture(config)
    types = {weight.module: code for weight in shape.weights if weight.is_matrix}
    entries = tokenizer_entries(tiny_tokenizer(), model.config.vocab_size)
    write_gguf(model, Content(config, shape, types, {}), folder / FILE, entries=entries, name="tiny", requantised=False)
    return folder / FILE


def relative(model, path, ids, *, precise=False):
    """The largest difference of logits between transformers and llama.cpp, as a share of the largest logit."""
    with torch.no_grad():
        expected = model(ids).logits
    with GgufModel(path, precise=precise) as runtime:
        return float((runtime(ids).logits - expected).abs().max() / expected.abs().max())


def distance(model, path, ids):
    """The backend's own measure of how far llama.cpp is from transformers."""
    with torch.no_grad():
        expected = model(ids).logits
    with GgufModel(path) as runtime:
        return check_runtime(list(expected), list(runtime(ids).logits))


@pytest.fixture
def ids():
    return torch.randint(3, 380, (1, 60), generator=torch.Generator().manual_seed(0))


VARIANTS = {
    "llama": {"family": "llama"},
    "llama-untied": {"family": "llama", "tied": False},
    "qwen2": {"family": "qwen2"},
    "qwen2-untied": {"family": "qwen2", "tied": False},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_float32_files_compute_what_transformers_does(tmp_path, ids, variant):
    model = lively(tiny_model(**VARIANTS[variant]))
    path = write_as(model, tmp_path, "f32")
    assert relative(model, path, ids, precise=True) < 1e-4
    assert relative(model, path, ids) < 5e-3  # keys and values in float16, as llama.cpp has them by default


@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_a_wrong_order_of_rows_would_be_seen(tmp_path, ids, family, monkeypatch):
    swapped = ("qwen2",) if family == "qwen2" else ()
    monkeypatch.setattr("medray.compression.backends.gguf_layout._REORDERED_FAMILIES", swapped)
    model = lively(tiny_model(family=family))
    assert relative(model, write_as(model, tmp_path, "f32"), ids) > 5e-2


def rescaled(rope):
    config = tiny_model().config
    config.rope_parameters = rope
    torch.manual_seed(0)
    return lively(AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval())


@pytest.mark.parametrize(
    "rope", [LLAMA3, {"rope_type": "linear", "rope_theta": 1e4, "factor": 4.0}], ids=["3.1", "lin"]
)
def test_rescaled_positions_arrive(tmp_path, ids, rope, monkeypatch):
    model = rescaled(rope)
    assert relative(model, write_as(model, tmp_path, "f32"), ids, precise=True) < 1e-4
    model.config.rope_parameters = {"rope_type": "default", "rope_theta": 1e4}  # what it would be without
    assert relative(model, write_as(model, tmp_path, "f32"), ids) > 2e-2


@pytest.mark.parametrize("code", ["bf16", "f16", "q8_0", "q4_0", "q4_1", "iq4_nl"])
def test_every_type_is_read_as_it_was_written(tmp_path, ids, code):
    model = lively(tiny_model())
    config = model.config.to_dict()
    shape = architecture(config)
    types = {weight.module: code for weight in shape.weights if weight.is_matrix}
    entries = tokenizer_entries(tiny_tokenizer(), 384)
    write_gguf(model, Content(config, shape, types, {}), tmp_path / FILE, entries=entries, name="tiny")
    # `model` now holds the file's own weights: what is left is llama.cpp's rounding of inputs, to 8 bits where the
    # weights are quantised and to the weights' type where they have 16 bits.
    assert distance(model, tmp_path / FILE, ids) < (0.05 if code[0] in "qi" else 0.02)


@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_the_paper_s_plan_written_and_loaded_by_the_backend(tmp_path, ids, family):
    model, backend = lively(tiny_model(family=family)), Gguf()
    plan = paper_plan(model.config.to_dict())
    written = backend.write(model, plan, tmp_path, dtype="float16", device="cpu", tokenizer=tiny_tokenizer())
    with torch.no_grad():
        before = written(ids).logits
    after = backend.load(tmp_path, dtype="float32", device="cpu")(ids).logits
    assert 0 < check_runtime(list(before), list(after)) < 0.05
    assert float((before.argmax(-1) == after.argmax(-1)).float().mean()) > 0.9


def swap_layers(model):
    layers = model.model.layers
    layers[1], layers[2] = layers[2], layers[1]
    for index, layer in enumerate(layers):
        layer.self_attn.layer_idx = index


def negate_a_projection(model):
    model.model.layers[1].mlp.up_proj.weight.data *= -1


def swap_query_and_output(model):
    attention = model.model.layers[0].self_attn
    attention.q_proj, attention.o_proj = attention.o_proj, attention.q_proj


@pytest.mark.parametrize("damage", [swap_layers, negate_a_projection, swap_query_and_output])
def test_a_wrong_model_is_beyond_the_limit(tmp_path, ids, damage):
    model = lively(tiny_model())
    path = write_as(model, tmp_path, "q8_0")
    assert distance(model, path, ids) < RUNTIME_LIMIT / 4
    damage(model)
    with pytest.raises(ParityError, match="the file is wrong"):
        distance(model, path, ids)


def test_nan_is_beyond_every_limit():
    good, bad = torch.randn(3, 5), torch.full((3, 5), float("nan"))
    for pair in ((good, bad), (bad, good), (torch.zeros(3, 5), torch.zeros(3, 5))):
        with pytest.raises(ParityError):
            check_runtime([pair[0]], [pair[1]])


def test_a_padded_batch_is_its_rows(tmp_path, ids):
    with GgufModel(write_as(lively(tiny_model()), tmp_path, "f32")) as runtime:
        batch = torch.cat([ids, ids.clone()])
        mask = torch.ones_like(batch)
        batch[1, 20:], mask[1, 20:] = 0, 0
        found = runtime(input_ids=batch, attention_mask=mask, use_cache=False).logits
        assert found.shape == (2, 60, 384)
        assert torch.equal(found[0], runtime(ids).logits[0])
        assert torch.equal(found[1, :20], runtime(ids[:, :20]).logits[0])
        assert not found[1, 20:].any()


def test_tokens_are_the_tokenizer_s(tmp_path):
    tokenizer = tiny_tokenizer()
    with GgufModel(write_as(tiny_model(), tmp_path, "f32")) as runtime:
        for text in TEXTS:
            assert runtime.tokens(text) == tokenizer(text).input_ids


def rules(name):
    """The three families' pre-tokenizers, as the tokenizers library builds them."""
    words = (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )
    number = {"llama-bpe": r"\p{N}{1,3}", "qwen2": r"\p{N}"}.get(name)
    if number is None:
        first = pre_tokenizers.Digits(individual_digits=True)
    else:
        first = pre_tokenizers.Split(Regex(words % number), "isolated")
    return pre_tokenizers.Sequence([first, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=number is None)])


@pytest.mark.parametrize("name", ["smollm", "llama-bpe", "qwen2"])
def test_splitting_rules_named_are_splitting_rules_meant(tmp_path, name):
    backend = tiny_tokenizer().backend_tokenizer
    backend.pre_tokenizer = rules(name)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    model = tiny_model()
    plan = paper_plan(model.config.to_dict())
    Gguf().write(model, plan, tmp_path, dtype="float16", device="cpu", tokenizer=tokenizer)
    assert metadata(tmp_path / FILE)["tokenizer.ggml.pre"] == name
    with GgufModel(tmp_path / FILE) as runtime:
        for text in TEXTS:
            assert runtime.tokens(text) == tokenizer(text).input_ids


def test_weight_bytes_are_the_file_s(tmp_path):
    path = write_as(tiny_model(tied=False), tmp_path, "q8_0")
    with GgufModel(path) as runtime:
        assert runtime.weight_bytes == sum(bytes_per_part(path).values())


def test_too_long_a_row_and_damaged_files_are_refused(tmp_path):
    path = write_as(tiny_model(), tmp_path, "f32")
    with GgufModel(path, context=256) as runtime, pytest.raises(ModelError, match="at most 256 tokens, got 257"):
        runtime(torch.zeros(1, 257, dtype=torch.long))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match=r"model\.gguf"):
        GgufModel(path)
    with pytest.raises(ModelError, match="found none"):
        GgufModel(tmp_path / "nothing.gguf")


def test_without_llama_cpp_the_message_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "llama_cpp", None)
    with pytest.raises(CapabilityError, match=r"medray\[edge\]"):
        GgufModel(tmp_path / FILE)


def test_a_file_that_lacks_a_tensor_is_refused(tmp_path):
    path = write_as(tiny_model(family="qwen2"), tmp_path, "f32")
    path.write_bytes(path.read_bytes().replace(b"blk.0.attn_k.weight", b"blk.0.attn_x.weight", 1))
    with pytest.raises(ModelError, match=r"llama\.cpp cannot load"):
        GgufModel(path)
