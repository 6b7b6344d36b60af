"""The whole compression on a tiny model: what is written, what is refused, what a kill leaves."""

import json
import shutil

import pytest
import torch

from medray.artifacts import read
from medray.compression import architecture, planned_bytes
from medray.compression.config import CompressConfig
from medray.compression.plan import Plan
from medray.compression.run import compress, plan_only
from medray.compression.sizes import disk_bytes, resident_bytes
from medray.compression.stages import check_reload
from medray.config import load
from medray.errors import ArtifactError, ConfigError, ModelError, ParityError
from medray.models import load_model, load_tokenizer, resolve


class Killed(BaseException):
    """A kill, as far as the code can tell."""


def run(out, lessons, *, advance=lambda what, done, of: None, overwrite=False, **options):
    config = CompressConfig(**{"rows": 4, "max_tokens": 96, "parity_prompts": 2, **options})
    return compress(
        config, str(out), overwrite=overwrite, command=("test",), load_lessons=lambda config: lessons, advance=advance
    )


@pytest.fixture(scope="module")
def made(adapter, lessons, tmp_path_factory):
    out = tmp_path_factory.mktemp("made") / "artifact"
    return out, run(out, lessons, adapter=adapter.path)


def test_the_artifact_is_whole_and_says_what_it_is(made, adapter):
    out, summary = made
    manifest = read(out, kind="compressed", verify=True)
    assert manifest.bits == {"embedding": 8, "attention": 8, "ffn": 4, "norm": 16}
    assert set(manifest.parents) == {"model", "data"}
    assert manifest.tokenizer_hash
    assert manifest.metrics["bitsandbytes_kl"] == summary["formats"]["bitsandbytes"]["kl"] > 0
    assert manifest.details["merge_parity"]["max_abs_difference"] <= 1e-4
    written = json.loads((out / "summary.json").read_text())
    assert {key: summary[key] for key in written} == written
    assert not list(out.rglob(".*"))


def test_each_format_loads_with_its_tokenizer(made):
    out, _ = made
    ids = torch.arange(12)[None]
    merged, compressed = (load_model(resolve(str(out / name))) for name in ("merged", "bitsandbytes"))
    assert load_tokenizer(resolve(str(out / "bitsandbytes"))).chat_template
    with torch.no_grad():
        difference = (merged(ids).logits - compressed(ids).logits).abs().max()
    assert 0 < float(difference) < 0.5
    assert load_model(resolve(str(out))).config.hidden_size == 64


def test_planned_bytes_are_the_written_bytes(made):
    out, summary = made
    record = json.loads((out / "plan.json").read_text())
    plan = Plan.model_validate_json(json.dumps(record["plan"]))
    model = architecture(json.loads((out / "merged" / "config.json").read_text()))
    planned, written = planned_bytes(plan, model, "bitsandbytes"), disk_bytes(out / "bitsandbytes")
    assert written == summary["formats"]["bitsandbytes"]["bytes_per_part"]
    for part, count in written.items():
        # Not planned: the JSON beside each 4-bit weight (under 300 bytes) and a byte beside each 8-bit one.
        slack = sum(300 for name in plan.bits if (".mlp." in name) == (part == "ffn"))
        assert planned[part] <= count <= planned[part] + slack
    assert disk_bytes(out / "merged") == summary["fp16"]["bytes_per_part"]


def test_resident_bytes_count_scales_and_shared_storage_once(made):
    out, summary = made
    model = load_model(resolve(str(out / "bitsandbytes")))
    found = summary["formats"]["bitsandbytes"]["resident_bytes"]
    assert found == resident_bytes(model)
    model(torch.arange(4)[None])  # moves the 8-bit codes from the weight to the layer's state
    assert resident_bytes(model) == found
    assert summary["formats"]["merged"]["resident_bytes"] == resident_bytes(load_model(resolve(str(out / "merged"))))


def test_a_finished_artifact_is_not_touched(made, adapter, lessons):
    out, _ = made
    with pytest.raises(ArtifactError, match="overwrite"):
        run(out, lessons, adapter=adapter.path)


@pytest.mark.parametrize("at", [("merge", 0), ("merge", 1), ("bitsandbytes", 1), ("bitsandbytes-kl", 4)])
def test_a_killed_run_resumes_without_redoing_what_is_finished(tmp_path, adapter, lessons, at):
    out, seen = tmp_path / "out", []

    def kill(what, done, of):
        if (what, done) == at:
            raise Killed

    with pytest.raises(Killed):
        run(out, lessons, adapter=adapter.path, advance=kill)
    assert not out.exists()
    resumed = run(out, lessons, adapter=adapter.path, advance=lambda what, done, of: seen.append(what))
    assert ("merge" in seen) == (at[0] == "merge")
    assert ("bitsandbytes" in seen) == (at[0] != "bitsandbytes-kl")
    whole = run(tmp_path / "whole", lessons, adapter=adapter.path)
    assert resumed["formats"] == whole["formats"]
    assert read(out, verify=True).files.keys() == read(tmp_path / "whole").files.keys()


def test_only_bitsandbytes_leaves_no_merged_weights(tmp_path, base, lessons):
    summary = run(tmp_path / "out", lessons, model=base.path, formats=("bitsandbytes",))
    assert set(summary["formats"]) == {"bitsandbytes"}
    assert summary["merge_parity"] is None
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "bitsandbytes",
        "manifest.json",
        "plan.json",
        "summary.json",
    ]


def test_a_plan_needs_a_config_and_nothing_else(tmp_path, base):
    (tmp_path / "m").mkdir()
    shutil.copy(f"{base.path}/config.json", tmp_path / "m")
    config = CompressConfig(model=str(tmp_path / "m"), plan_only=True, embedding_bits=8)
    record = plan_only(config, str(tmp_path / "out"), overwrite=False, command=("test",))
    assert set(record["bytes"]) == {"fp16", "bitsandbytes", "gguf", "compressed-tensors"}
    assert read(tmp_path / "out", kind="plan").bits["embedding"] == 8


def test_the_adapter_s_own_base_is_accepted_and_another_is_not(tmp_path, base, adapter, lessons):
    from medray.models.tiny import save_tiny

    copied = shutil.copytree(base.path, tmp_path / "copy")
    run(tmp_path / "out", lessons, model=str(copied), adapter=adapter.path, formats=("merged",))
    other = save_tiny(tmp_path / "other", layers=3)
    with pytest.raises(ConfigError, match="trained on"):
        run(tmp_path / "no", lessons, model=other.path, adapter=adapter.path)
    with pytest.raises(ConfigError, match="adapter"):
        run(tmp_path / "no", lessons, adapter=base.path)
    assert not list(tmp_path.glob("no*"))


def test_weights_that_are_not_finite_are_refused(tmp_path, base, lessons):
    from safetensors.torch import load_file, save_file

    for value, dtype in ((float("nan"), "float32"), (float("inf"), "float32"), (1e6, "float16")):
        folder = shutil.copytree(base.path, tmp_path / f"bad-{value}")
        weights = load_file(folder / "model.safetensors")
        weights["model.layers.1.mlp.up_proj.weight"][3, 3] = value
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(ModelError, match=r"up_proj.*not finite"):
            run(tmp_path / "out", lessons, model=str(folder), dtype=dtype)
        assert not list(tmp_path.glob("out*"))


def test_a_compressed_model_is_not_compressed_again(made, tmp_path, lessons):
    with pytest.raises(ModelError, match="quantised"):
        run(tmp_path / "out", lessons, model=str(made[0] / "bitsandbytes"))


def test_a_reload_that_differs_in_one_bit_is_refused():
    one = torch.ones(2, 3)
    check_reload("bitsandbytes", [one], [one.clone()])
    with pytest.raises(ParityError, match="reloaded"):
        check_reload("bitsandbytes", [one], [one.nextafter(torch.tensor(2.0))])


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ([], "neither"),
        (["model=x", "formats=[gguf]"], "merged, bitsandbytes"),
        (["model=x", "formats=[]"], "merged, bitsandbytes"),
        (["model=x", "formats=[merged,merged]"], "distinct"),
        (["model=x", "embedding_bits=4"], "embedding_bits"),
        (["model=x", "rows=0"], "rows"),
        (["model=x", "double_quantization=true"], "double_quantisation"),
    ],
)
def test_contradictions_are_refused_by_name(root, overrides, said):
    with pytest.raises(ConfigError, match=said):
        load(CompressConfig, root / "jobs" / "configs" / "compress.yaml", overrides)


def test_the_shipped_config_only_lacks_a_model(root):
    config = load(CompressConfig, root / "jobs" / "configs" / "compress.yaml", ["model=smollm2-135m"])
    assert config == CompressConfig(model="smollm2-135m")
