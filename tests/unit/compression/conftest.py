"""Tiny models with an adapter that does something, and lessons of our own."""

from dataclasses import dataclass

import pytest
import torch

from medray.models import load_model, load_tokenizer, resolve
from medray.models.tiny import save_tiny


@dataclass(frozen=True)
class FakeLesson:
    id: str
    system: str
    user: str
    target: str


def add_adapter(base, folder, *, seed=1):
    """Write a rank-stabilised LoRA adapter with random, non-zero B over a saved tiny model."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=4, lora_alpha=8, use_rslora=True, target_modules=["q_proj", "v_proj", "down_proj"], task_type="CAUSAL_LM"
    )
    model = get_peft_model(load_model(base), config)
    model.peft_config["default"].base_model_name_or_path = base.path
    generator = torch.Generator().manual_seed(seed)
    for name, weight in model.named_parameters():
        if "lora_" in name:
            weight.data = torch.randn(weight.shape, generator=generator) * 0.1
    model.save_pretrained(folder)
    return resolve(str(folder))


@pytest.fixture(autouse=True)
def _quiet_cpu():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def lessons():
    system = "You are a careful medical assistant."
    return [FakeLesson(str(n), system, f"What helps against asthma, {n}?", "Inhaler. " * (n + 1)) for n in range(6)]


@pytest.fixture(scope="session")
def base(tmp_path_factory):
    return save_tiny(tmp_path_factory.mktemp("base") / "model")


@pytest.fixture(scope="session")
def adapter(base, tmp_path_factory):
    return add_adapter(base, tmp_path_factory.mktemp("adapter") / "adapter")


@pytest.fixture
def rows(base, lessons):
    from medray.compression.rows import draw

    return draw(lessons, load_tokenizer(base), rows=6, max_tokens=96, seed=0)
