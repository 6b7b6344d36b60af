"""`python -m jobs.device_map`: every shipped setting runs, files are whole or absent, refusals exit with 2."""

import json
from pathlib import Path

import pytest

from jobs.device_map import main
from medray.compression import architecture, paper_plan
from medray.compression.placement.config import DeviceMapConfig
from medray.config import load
from medray.errors import ConfigError

QWEN_7B = {
    "model_type": "qwen2", "hidden_size": 3584, "num_hidden_layers": 28, "intermediate_size": 18944,
    "num_attention_heads": 28, "num_key_value_heads": 4, "vocab_size": 152064, "tie_word_embeddings": False,
}  # fmt: skip
T4 = "devices=[{name: 0, type: t4}]"


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(QWEN_7B))
    return folder


def job(model, out, *settings):
    given = [item for setting in settings for item in ("--set", setting)]
    return main(["--set", f"model={model}", "--out", str(out), *given])


def test_the_shipped_config_places_the_paper_s_student(model, tmp_path, capsys):
    out = tmp_path / "sub" / "map.json"
    assert job(model, out) == 0
    record = json.loads(out.read_text())
    assert len(record["device_map"]) == 32 and set(record["device_map"].values()) == {0}
    assert record["optimal"] and record["gap"] == 0
    assert record["weight_bytes"] == 2 * architecture(QWEN_7B).count
    assert record["memory"]["0"]["needed_bytes"] <= record["memory"]["0"]["capacity_bytes"]
    assert record["config"]["devices"][0]["type"] == "a10"
    assert record["provenance"]["command"].startswith("python -m jobs.device_map")
    assert {"llama_cpp", "vllm"} == set(record["engines"])
    said = capsys.readouterr().out
    assert "proven optimal" in said and "first token" in said and str(out) in said.replace("\n", "")


def test_the_config_json_itself_may_be_named(model, tmp_path):
    assert job(model / "config.json", tmp_path / "map.json") == 0


def test_a_gpu_that_is_too_small_is_filled_and_the_rest_streamed(model, tmp_path):
    out = tmp_path / "map.json"
    devices = "devices=[{name: 0, type: t4, memory_gb: 8}, {name: cpu, type: cpu-ddr4-2ch, memory_gb: 12}]"
    assert job(model, out, devices) == 0
    assert set(json.loads(out.read_text())["device_map"].values()) == {0, "cpu"}


@pytest.mark.parametrize("source", ["paper", "file"])
def test_a_plan_in_a_format_fits_where_floats_do_not(model, tmp_path, source):
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps({"plan": paper_plan(QWEN_7B).model_dump(mode="json")}))
    settings = [T4, "format=bitsandbytes", *([f"plan={plan}"] if source == "file" else [])]
    assert job(model, tmp_path / "map.json", *settings) == 0
    assert json.loads((tmp_path / "map.json").read_text())["weight_bytes"] < 7e9


def test_nothing_fits_says_how_much_and_what_would_and_writes_nothing(model, tmp_path, capsys):
    assert job(model, tmp_path / "map.json", T4) == 2
    said = capsys.readouterr().err
    assert "nothing fits" in said and "bytes on 0" in said and "what would fit: format=bitsandbytes" in said
    assert not list(tmp_path.glob("*map.json*"))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["model=null"], "model"),
        (["plan=x.json"], "format"),
        (["format=zip"], "format"),
        (["format=gguf", "plan=missing.json"], "plan"),
        (["devices=[{name: 0, type: t5}]"], "type"),
        (["devices=[{name: 0, memori_gb: 3}]"], "memori_gb"),
        (["workload.prompt_tokens=0"], "prompt_tokens"),
        (["devices=[]", "links=[{between: [0, 1], gb_per_s: 1}]"], "links"),
    ],
)
def test_refusals_name_the_key(model, tmp_path, capsys, settings, said):
    assert job(model, tmp_path / "map.json", *settings) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "map.json").exists()


def test_a_file_is_replaced_only_when_asked(model, tmp_path, capsys):
    out = tmp_path / "map.json"
    out.write_text("mine")
    assert job(model, out) == 2
    assert "overwrite" in capsys.readouterr().err and out.read_text() == "mine"
    assert main(["--set", f"model={model}", "--out", str(out), "--overwrite"]) == 0
    assert "device_map" in json.loads(out.read_text())
    for place in (tmp_path, "s3://bucket/map.json"):
        assert job(model, place) == 2


def test_a_crash_while_writing_leaves_no_file(model, tmp_path, monkeypatch):
    def crash(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", crash)
    assert job(model, tmp_path / "map.json") == 130
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_plan_of_another_model_is_refused(model, tmp_path, capsys):
    plan = tmp_path / "plan.json"
    plan.write_text(paper_plan({**QWEN_7B, "num_hidden_layers": 2}).model_dump_json())
    assert job(model, tmp_path / "map.json", "format=gguf", f"plan={plan}") == 2
    assert "made for" in capsys.readouterr().err


def test_the_config_alone_needs_a_model():
    with pytest.raises(ConfigError, match="expected model"):
        load(DeviceMapConfig, Path("jobs/configs/device_map.yaml"))
