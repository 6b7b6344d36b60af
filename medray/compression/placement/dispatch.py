"""Loading a model by a device map, also one on which the CPU computes beside GPUs.

accelerate reads `cpu` beside a GPU as a home only, and does not dispatch `cpu:0`; a `torch.device` it takes for a place
that computes. Everything else in a map goes through as it is.
"""

from collections.abc import Mapping
from typing import Any

from medray.compression.placement.devices import Name
from medray.compression.placement.slots import CPU_COMPUTES
from medray.models import ModelRef, load_model


def torch_device_map(device_map: Mapping[str, Name]) -> dict[str, Any]:
    """Return a map that accelerate executes as it was planned."""
    import torch

    return {name: torch.device("cpu") if value == CPU_COMPUTES else value for name, value in device_map.items()}


def load_placed(ref: ModelRef, device_map: Mapping[str, Name], *, dtype: str) -> Any:
    """Load a model over several devices. Weights on `disk` are read from its safetensors at every forward.

    Raises ModelError or CapabilityError.
    """
    return load_model(ref, dtype=dtype, device_map=torch_device_map(device_map))
