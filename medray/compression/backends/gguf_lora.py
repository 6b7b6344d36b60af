"""GGUF-LoRA: an adapter for llama.cpp, over the GGUF file of its base, with exactly the deltas that PEFT would add.

llama.cpp knows one alpha for all modules and divides it by the rank; rank-stabilised scaling and `alpha_pattern` have
no place there. So each module's scaling is folded into its B, and the file's alpha is 0, which llama.cpp reads as
"scale 1". Shapes: A (rank, inputs), B (outputs, rank).
"""

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medray.compression.architecture import Architecture, architecture
from medray.compression.backends.gguf_layout import Layout
from medray.compression.backends.gguf_write import Writer, finite_float32
from medray.errors import ConfigError, ModelError
from medray.models import ModelRef

FILE = "adapter.gguf"
_WEIGHTS = "adapter_model.safetensors"
_TENSOR = re.compile(r"base_model\.model\.(?P<module>.+)\.lora_(?P<factor>[AB])\.weight")
_DTYPES = {"float32": "f32", "float16": "f16"}
# What changes a model beyond A and B, so that the file would compute something else.
_REFUSED = (
    "use_dora",
    "modules_to_save",
    "layer_replication",
    "trainable_token_indices",
    "lora_bias",
    "target_parameters",
    "use_qalora",
    "use_bdlora",
    "alora_invocation_tokens",
    "arrow_config",
    "kasa_config",
    "monteclora_config",
    "fan_in_fan_out",
)
_CHANGES_THE_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga")


def write_gguf_lora(adapter: ModelRef, folder: Path, *, dtype: str = "float32") -> Path:
    """Write an adapter folder of PEFT's as `adapter.gguf` in `folder`; return its path. No base weights are read.

    Raises ConfigError for a dtype, ModelError for an adapter that GGUF cannot hold or that does not fit its base.
    """
    if dtype not in _DTYPES:
        raise ConfigError(f"gguf-lora: expected dtype {' or '.join(_DTYPES)}, got '{dtype}'")
    if adapter.kind != "adapter":
        raise ModelError(f"{adapter.name}: expected an adapter, got a model ({adapter.kind})")
    config, settings = adapter.config_json(), _settings(Path(adapter.path))
    layout, model = Layout.of(config), architecture(config)
    factors = _factors(Path(adapter.path))
    _check(factors, model)
    path = folder / FILE
    with Writer(path, layout.family) as writer:
        writer.put("general.type", "adapter")
        writer.put("adapter.type", "lora")
        writer.put("adapter.lora.alpha", 0.0)
        _write(writer, factors, layout, settings, _DTYPES[dtype])
    return path


def scaling(settings: Mapping[str, Any], module: str, rank: int) -> float:
    """Return what PEFT multiplies B A x by in one module: its alpha over its rank, or over the rank's square root."""
    from peft.utils.other import get_pattern_key

    pattern = settings.get("alpha_pattern") or {}
    alpha = pattern.get(get_pattern_key(pattern.keys(), module), settings["lora_alpha"])
    return float(alpha) / (math.sqrt(rank) if settings.get("use_rslora") else rank)


def _write(
    writer: Writer, factors: Mapping[str, Mapping[str, Any]], layout: Layout, settings: Mapping[str, Any], code: str
) -> None:
    names = [(module, factor) for module in factors for factor in ("A", "B")]
    for module, factor in names:
        name = f"{layout.name(module + '.weight')}.lora_{factor.lower()}"
        writer.announce(name, tuple(factors[module][factor].shape), code)
    writer.begin()
    for module, factor in names:
        matrix = factors[module][factor]
        if factor == "B":
            matrix = layout.reorder(module)(matrix) * scaling(settings, module, matrix.shape[1])
        writer.data(_cast(matrix, code, module))


def _cast(matrix: Any, code: str, module: str) -> Any:
    import numpy as np

    with np.errstate(over="ignore"):  # to infinity, which is refused below
        cast = np.ascontiguousarray(matrix, dtype=np.float16 if code == "f16" else np.float32)
    if not np.isfinite(cast).all():
        raise ModelError(f"{module}: its scaled B does not fit float16: choose dtype float32")
    return cast


def _settings(folder: Path) -> dict[str, Any]:
    try:
        settings: dict[str, Any] = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder}: expected adapter_config.json, got {type(error).__name__}") from None
    if str(settings.get("peft_type")).upper() != "LORA":
        raise ModelError(f"{folder}: expected a LoRA adapter, got '{settings.get('peft_type')}'")
    refused = [key for key in _REFUSED if settings.get(key)]
    if settings.get("bias", "none") != "none":
        refused.append("bias")
    if str(settings.get("init_lora_weights", True)).startswith(_CHANGES_THE_BASE):
        refused.append("init_lora_weights")
    if refused:
        raise ModelError(
            f"{folder}: expected plain LoRA, got {', '.join(refused)}, which GGUF cannot hold: merge the adapter"
        )
    return settings


def _factors(folder: Path) -> dict[str, dict[str, Any]]:
    """Return {module: {"A": ..., "B": ...}} as float32 arrays. Raises ModelError."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors = load_file(folder / _WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{folder / _WEIGHTS}: expected safetensors, got {type(error).__name__}: damaged?") from None
    found: dict[str, dict[str, Any]] = {}
    for name, tensor in tensors.items():
        match = _TENSOR.fullmatch(name)
        if match is None:
            raise ModelError(f"{folder}: expected LoRA factors only, got '{name}': merge the adapter instead")
        found.setdefault(match["module"], {})[match["factor"]] = finite_float32(tensor, name)
    if not found:
        raise ModelError(f"{folder}: expected LoRA factors, got none")
    return found


def _check(factors: Mapping[str, Mapping[str, Any]], model: Architecture) -> None:
    """Refuse a factor without its twin, or one that fits no matrix of the base."""
    shapes = {
        weight.module: weight.shape for weight in model.weights if weight.is_matrix and weight.part != "embedding"
    }
    for module, pair in factors.items():
        if module not in shapes:
            raise ModelError(f"{module}: expected a linear layer of the base with weights of its own, found none")
        if set(pair) != {"A", "B"}:
            raise ModelError(f"{module}: expected A and B, got only {', '.join(pair)}: the adapter is incomplete")
        rows, columns = shapes[module]
        rank = pair["A"].shape[0]
        if pair["A"].shape != (rank, columns) or pair["B"].shape != (rows, rank):
            raise ModelError(
                f"{module}: expected A (r, {columns}) and B ({rows}, r), got {pair['A'].shape} and {pair['B'].shape}: "
                "trained on another base?"
            )
