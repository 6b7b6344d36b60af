"""Resolving model names: every shape a config may name, and every way it can be wrong."""

import json

import pytest

from medray.artifacts import Manifest, Output
from medray.errors import ArtifactError, ModelError
from medray.models import load_model, load_tokenizer, resolve, same_tokenizer
from medray.models.tiny import save_tiny, tiny_tokenizer


def test_plain_folder_and_tokenizer(tmp_path):
    ref = save_tiny(tmp_path / "m")
    assert (ref.kind, ref.artifact_id) == ("folder", None)
    model, tokenizer = load_model(ref), load_tokenizer(ref)
    assert not model.training
    assert ref.config_json()["num_hidden_layers"] == model.config.num_hidden_layers == 4
    assert same_tokenizer(tokenizer, tiny_tokenizer())
    assert not same_tokenizer(tokenizer, tiny_tokenizer(300))


def test_padding_settings_do_not_make_another_tokenizer():
    padded = tiny_tokenizer()
    padded("some text", padding="max_length", max_length=32, truncation=True)
    assert same_tokenizer(padded, tiny_tokenizer())


def test_hub_id_is_taken_as_such():
    ref = resolve("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B")
    assert (ref.kind, ref.path) == ("hub", "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "empty name"),
        ("no-such-model", "no model 'no-such-model'"),
        ("./runs/none", "no model"),
        ("/nowhere/at/all", "no model"),
        ("smollm2-135m", "medray models pull smollm2-135m"),
    ],
)
def test_names_that_lead_nowhere(name, words, medray_home):
    with pytest.raises(ModelError, match=words):
        resolve(name)


def test_folder_without_config_or_weights(tmp_path):
    with pytest.raises(ModelError, match=r"config\.json, found none"):
        resolve(str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError, match="download the weights"):
        resolve(str(tmp_path))
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(ModelError, match="pickled weights are never loaded"):
        resolve(str(tmp_path))
    with pytest.raises(ModelError, match="got a file"):
        resolve(str(tmp_path / "config.json"))


def test_truncated_weights_are_one_clear_error(tmp_path):
    ref = save_tiny(tmp_path / "m")
    weights = tmp_path / "m" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelError, match="incomplete or damaged"):
        load_model(ref)


@pytest.fixture
def distilled(tmp_path):
    """An artifact as distillation writes it: a base of its own and an adapter."""
    from peft import LoraConfig, get_peft_model

    with Output(tmp_path / "d", kind="distilled", config={}, inputs={}) as output:
        base = save_tiny(output.path / "base")
        model = get_peft_model(load_model(base), LoraConfig(target_modules=["q_proj"], init_lora_weights=False))
        model.save_pretrained(output.path / "adapter")
        manifest = output.commit(Manifest(kind="distilled", base_model="base"))
    return tmp_path / "d", manifest, model


@pytest.mark.parametrize("sub", ["", "adapter"])
def test_adapter_artifact_and_its_sub_folder(distilled, sub):
    import torch

    folder, manifest, trained = distilled
    ref = resolve(str(folder / sub))
    assert (ref.kind, ref.artifact_id) == ("adapter", manifest.artifact_id)
    assert ref.base is not None
    ids = torch.arange(12)[None]
    expected = trained.eval()(ids).logits
    assert torch.equal(load_model(ref)(ids).logits, expected)
    assert torch.allclose(load_model(ref, merge=True)(ids).logits, expected, atol=1e-5)
    assert not torch.allclose(load_model(ref.base)(ids).logits, expected, atol=1e-3)
    assert load_tokenizer(ref).chat_template


def test_adapter_that_does_not_fit_its_base(distilled, tmp_path):
    folder, _, _ = distilled
    save_tiny(tmp_path / "other", hidden=32)
    config = json.loads((folder / "adapter/adapter_config.json").read_text())
    (tmp_path / "loose").mkdir()
    config["base_model_name_or_path"] = str(tmp_path / "other")
    (tmp_path / "loose/adapter_config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="adapter_model"):
        resolve(str(tmp_path / "loose"))
    weights = (folder / "adapter/adapter_model.safetensors").read_bytes()
    (tmp_path / "loose/adapter_model.safetensors").write_bytes(weights)
    with pytest.raises(ModelError, match="does not fit"):
        load_model(resolve(str(tmp_path / "loose")))


def test_an_artifact_without_a_model_and_a_damaged_one(tmp_path):
    with Output(tmp_path / "l", kind="lessons", config={}, inputs={}) as output:
        (output.path / "rows").write_text("x")
        output.commit(Manifest(kind="lessons"))
    with pytest.raises(ModelError, match="kind 'lessons' holds no model"):
        resolve(str(tmp_path / "l"))
    (tmp_path / "l/rows").unlink()
    with pytest.raises(ArtifactError, match="not there"):
        resolve(str(tmp_path / "l"))
