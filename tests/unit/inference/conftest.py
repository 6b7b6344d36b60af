"""Tiny models for engine tests: made once, random, with the adapter large enough to change every answer."""

from pathlib import Path

import pytest

from medray.models import ModelRef, resolve
from medray.models.tiny import save_tiny, tiny_model

pytest.register_assert_rewrite("engine_checks")


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> ModelRef:
    return save_tiny(tmp_path_factory.mktemp("tiny") / "base")


@pytest.fixture(scope="session")
def tiny_adapter(tiny_base: ModelRef, tmp_path_factory: pytest.TempPathFactory) -> ModelRef:
    import torch
    from peft import LoraConfig, get_peft_model

    folder: Path = tmp_path_factory.mktemp("tiny") / "adapter"
    config = LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj", "down_proj"], task_type="CAUSAL_LM")
    model = get_peft_model(tiny_model(), config)
    generator = torch.Generator().manual_seed(7)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.3
    model.peft_config["default"].base_model_name_or_path = tiny_base.path
    model.save_pretrained(str(folder))
    return resolve(str(folder))
