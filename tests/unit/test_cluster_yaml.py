"""cluster.yaml passes Ray's own validation and keeps what we promise about it; Ray's check itself refuses mutants."""

import copy

import jsonschema
import pytest
import yaml


@pytest.fixture(scope="module")
def config(root):
    return yaml.safe_load((root / "cluster.yaml").read_text())


def validate(config) -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    validate_config(prepare_config(copy.deepcopy(config)))


def test_ray_accepts_it(config):
    validate(config)


@pytest.mark.parametrize(
    "mutate",
    [
        lambda c: c.update(head_node_type="nobody"),
        lambda c: c.update(surprise=1),
        lambda c: c["available_node_types"]["server"].update(min_workers=99),
        lambda c: c.pop("provider"),
    ],
)
def test_ray_refuses_mutants(config, mutate):
    broken = copy.deepcopy(config)
    mutate(broken)
    with pytest.raises((jsonschema.ValidationError, ValueError, KeyError)):
        validate(broken)


def promises(config) -> list[str]:
    """Return what the file fails to keep: bounded cost, spot trainers, token authentication, a private dashboard."""
    head, worker = config["head_start_ray_commands"][-1], config["worker_start_ray_commands"][-1]
    kinds = config["available_node_types"]
    checks = {
        "token on the head": "RAY_AUTH_MODE=token" in head,
        "token on workers": "RAY_AUTH_MODE=token" in worker,
        "token mounted": "~/.ray/auth_token" in config["file_mounts"],
        "dashboard on loopback": "--dashboard-host=127.0.0.1" in head,
        "bounded": config["max_workers"] <= sum(kind.get("max_workers", 0) for kind in kinds.values()),
        "scales to zero": all(kind.get("min_workers", 0) == 0 for kind in kinds.values()),
        "spot": kinds["trainer_spot"]["node_config"]["InstanceMarketOptions"]["MarketType"] == "spot",
    }
    return [name for name, kept in checks.items() if not kept]


def test_promises(config):
    assert promises(config) == []
    broken = copy.deepcopy(config)
    broken["head_start_ray_commands"][-1] = broken["head_start_ray_commands"][-1].replace("=127.0.0.1", "=0.0.0.0")
    assert promises(broken) == ["dashboard on loopback"]


def test_ray_version_is_the_projects(config, root):
    pins = dict(line.split("==") for line in (root / "constraints/gpu.txt").read_text().splitlines() if "==" in line)
    assert config["docker"]["image"].startswith(f"rayproject/ray:{pins['ray']}-")
