"""Configs and plans: what YAML may say, which model serves, and the shipped files."""

import json
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError
from serving_fakes import serving_args

from medray.config import load, validate
from medray.errors import ConfigError, ModelError
from medray.models.tiny import save_tiny
from medray.serving import app
from medray.serving.config import ServingArgs
from medray.serving.plan import plan_pools
from medray.serving.replicas import places, pool_options


def args_for(model: str, **changes: object) -> ServingArgs:
    pool = {"name": "a", "engine": {"model": model, "mode": "adapter"}}
    return ServingArgs.model_validate({"pools": [pool], **changes})


@pytest.fixture
def pulled(medray_home: Path) -> Path:
    """A tiny model where a pulled one would lie."""
    folder = medray_home / "models" / "smollm2-135m"
    save_tiny(folder)
    (folder / "manifest.json").write_text(json.dumps({"kind": "model", "content_hash": "c0ffee" * 10}))
    return folder


@pytest.mark.parametrize(
    "wrong",
    [
        {"pools": []},
        {"modelname": "x"},
        {"model_name": "a b"},
        {"weights": {"fit": -1}},
        {"limits": {"max_tokens": 1, "max_tokens_default": 2}},
        {"monitoring": {"probe_interval_s": 60, "stall_timeout_s": 61}},
        {"targets": {"surgery": {}}},
        {"pools": [{"name": "x", "engine": {"engine": "fake"}}] * 2},
        {"pools": [{"name": "x", "engine": {"engine": "fake"}, "replicas": {"min": 2, "max": 1}}]},
        {"pools": [{"name": "X!", "engine": {"engine": "fake"}}]},
        {"pools": [{"name": "x", "engine": {"engine": "warp"}}]},
        {"pools": [{"name": "x", "engine": {"engine": "fake"}, "specialties": []}]},
    ],
)
def test_contradictions_and_typos_are_refused(wrong):
    with pytest.raises(ValidationError):
        serving_args(**wrong)


def test_serve_and_our_own_loader_read_the_same():
    data = {"pools": [{"name": "x", "engine": {"engine": "fake"}, "specialties": ["emergency"], "num_cpus": 1}]}
    assert ServingArgs.model_validate(data) == validate(ServingArgs, data)


def test_shipped_configs_are_valid(root):
    files = sorted((root / "serve_configs").glob("*.yaml"))
    assert files
    for path in files:
        config = yaml.safe_load(path.read_text())
        for application in config["applications"]:
            assert application["import_path"] == "medray.serving.app:build_app"
            ServingArgs.model_validate(application["args"])
        assert config["http_options"]["host"] == "127.0.0.1"


def test_the_builder_is_typed_for_serve():
    assert app.build_app.__annotations__["args"] is ServingArgs


def test_a_folder_counts_from_medray_root(tmp_path, monkeypatch):
    save_tiny(tmp_path / "runs" / "quick" / "distilled")
    monkeypatch.chdir("/")
    monkeypatch.setenv("MEDRAY_ROOT", str(tmp_path))
    plan = plan_pools(args_for("runs/quick/distilled"))[0]
    assert plan.engine.model == str(tmp_path / "runs/quick/distilled")
    assert (plan.artifact, plan.fallback, plan.deployment) == ("distilled", False, "Adapter-a")


def test_an_absent_folder_falls_back_and_says_so(tmp_path, monkeypatch, pulled, capsys):
    monkeypatch.setenv("MEDRAY_ROOT", str(tmp_path))
    with pytest.raises(ConfigError, match="fallback_model"):
        plan_pools(args_for("runs/quick/distilled"))
    plan = plan_pools(args_for("runs/quick/distilled", fallback_model="smollm2-135m"))[0]
    assert (plan.engine.model, plan.fallback, plan.artifact) == ("smollm2-135m", True, "c0ffeec0ffee")
    assert "fallback_model_used" in capsys.readouterr().err


def test_a_fallback_that_is_not_pulled_says_what_to_run(tmp_path, monkeypatch, medray_home):
    monkeypatch.setenv("MEDRAY_ROOT", str(tmp_path))
    with pytest.raises(ModelError, match="medray models pull"):
        plan_pools(args_for("runs/quick/distilled", fallback_model="smollm2-135m"))


def test_a_hub_id_is_not_a_folder():
    plan = plan_pools(args_for("org/name", fallback_model="smollm2-135m"))[0]
    assert (plan.engine.model, plan.artifact, plan.fallback) == ("org/name", "org/name", False)


def test_quality_comes_from_the_manifest(pulled):
    manifest = pulled / "manifest.json"
    quality = {"medication": {"lower": 0.4, "mean": 0.5}, "emergency": {"lower": 7}, "general": "good"}
    manifest.write_text(json.dumps({"kind": "model", "content_hash": "ab" * 32, "quality": quality}))
    assert plan_pools(args_for(str(pulled)))[0].quality == {"medication": 0.4}


def test_a_proof_is_for_one_artifact_and_one_engine():
    first, second = plan_pools(serving_args())
    assert first.fingerprint != second.fingerprint


def test_pool_options():
    plan = plan_pools(serving_args())[0]
    options = pool_options(plan)
    assert (options["name"], options["num_replicas"], options["max_ongoing_requests"]) == ("Adapter-left", 1, 7)
    assert options["ray_actor_options"]["runtime_env"]["env_vars"] == {"OMP_NUM_THREADS": "2"}
    pool = {"name": "a", "engine": {"engine": "fake"}, "replicas": {"min": 0, "max": 3}}
    sleepy = plan_pools(serving_args(pools=[pool]))[0]
    scaling = pool_options(sleepy)["autoscaling_config"]
    assert (scaling["min_replicas"], scaling["initial_replicas"], scaling["max_replicas"]) == (0, 1, 3)
    assert places(sleepy) == 7


def test_a_config_file_of_ones_own(tmp_path):
    path = tmp_path / "args.yaml"
    path.write_text("pools: [{name: a, engine: {engine: fake}}]\nweigths: {fit: 1.0}\n")
    with pytest.raises(ConfigError, match="did you mean 'weights'"):
        load(ServingArgs, path)
