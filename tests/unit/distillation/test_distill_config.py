import pytest

from medray.config import load, validate
from medray.distillation.config import DistillConfig
from medray.errors import ConfigError

GOOD = {"teacher": "a", "student": "b", "data": "c"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"loss": {"ce": 0, "kl": 0}}, "nothing would be trained"),
        ({"optimiser": {"lr_max": 1e-5, "lr_min": 1e-4}}, "lr_min <= lr_max"),
        ({"global_batch_size": 4, "micro_batch_size": 4, "num_workers": 2}, "one micro-batch a worker"),
        ({"lora": {"dropout": 1.0}}, "lora.dropout"),
        ({"lora": {"rnk": 8}}, "did you mean 'rank'"),
        ({"steps": 0}, "steps"),
        ({"steps": "ten"}, "steps"),
        ({"loss": {"temperature": 0}}, "loss.temperature"),
    ],
)
def test_contradictions_and_mistakes_are_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        validate(DistillConfig, {**GOOD, **change})


def test_every_shipped_yaml_loads(root):
    paths = sorted((root / "jobs" / "configs").glob("*distill*.yaml"))
    assert len(paths) >= 3
    for path in paths:
        config = load(DistillConfig, path)
        assert config.lora.rank_stabilised
        assert "down_proj" in config.lora.targets
