"""Low-rank adapters on a student through PEFT (PAPER K3, K4): all settings in one place, loading and saving."""

from pathlib import Path
from typing import Any

from medray.distillation.config import LoraSettings
from medray.errors import ConfigError

WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"


def add_lora(model: Any, settings: LoraSettings, *, seed: int, name: str) -> Any:
    """Freeze the model and inject a fresh adapter, the same for equal seeds. Raises ConfigError.

    B starts at zero, so the student starts as its base. `name` is written as the adapter's base model.
    """
    import torch
    from peft import LoraConfig, get_peft_model

    require_targets(model, settings)
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        target_modules=list(settings.targets),
        use_rslora=settings.rank_stabilised,
        lora_dropout=settings.dropout,
        bias="none",
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        student = get_peft_model(model, config)
    student.peft_config["default"].base_model_name_or_path = name
    return student


def require_targets(model: Any, settings: LoraSettings) -> None:
    """Check that the model has every named projection. Raises ConfigError."""
    found = {name.rpartition(".")[2] for name, _ in model.named_modules()}
    missing = [target for target in settings.targets if target not in found]
    if missing:
        raise ConfigError(f"lora.targets: the student has no module named {', '.join(missing)}: name its projections")


def save_adapter(student: Any, folder: Path) -> None:
    """Write the adapter in PEFT's own format, safetensors only."""
    # "auto" would ask the hub whether the base was resized; no embedding is ever trained here.
    student.save_pretrained(str(folder), safe_serialization=True, save_embedding_layers=False)


def load_adapter(student: Any, folder: Path) -> None:
    """Load adapter weights into a student that already carries an adapter of the same shape."""
    from peft import set_peft_model_state_dict
    from safetensors.torch import load_file

    set_peft_model_state_dict(student, load_file(folder / WEIGHTS))
