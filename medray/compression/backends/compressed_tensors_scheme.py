"""Which modules share a scheme of the compressed-tensors format, from a plan alone. Pure.

"mixed": packed 4-bit weights in groups of 64, and 8-bit rows whose inputs are rounded to 8 bits too. "weights": both
packed, inputs stay as they are. "w8a8": 8 bits for all that is quantised, inputs rounded.
"""

import re
from collections.abc import Mapping
from typing import Any, Literal

from medray.compression.architecture import Architecture
from medray.compression.formats import W8A8, stored_bits
from medray.compression.plan import Bits, Plan, is_projection
from medray.errors import ConfigError, ModelError

GROUP = 64  # weights of a row that share one 4-bit scale
Variant = Literal["mixed", "weights", "w8a8"]


def linear_bits(plan: Plan, model: Architecture, variant: Variant) -> dict[str, Bits]:
    """Return the bits that each linear layer gets; what vLLM computes as one matrix has the same.

    Raises ModelError for another model and for 4 bits where a row is not whole groups.
    """
    bits = stored_bits(plan, model, W8A8 if variant == "w8a8" else "compressed-tensors")
    linear = [weight for weight in model.weights if is_projection(weight)]
    for weight in linear:
        if bits[weight.module] == 4 and weight.shape[-1] % GROUP:
            raise ModelError(
                f"{weight.module}: expected columns in groups of {GROUP} for 4 bits, got {weight.shape[-1]}: use 8 bits"
            )
    return {weight.module: bits[weight.module] for weight in linear}


def config_groups(bits: Mapping[str, Bits], variant: Variant) -> dict[str, dict[str, Any]]:
    """Return compressed-tensors' `config_groups`, one for each number of bits below 16. Raises ConfigError."""
    groups = {}
    for count in sorted(set(bits.values()) - {16}):
        scheme: dict[str, Any] = {"targets": targets(bits, count), "weights": _weights(count)}
        if count == 8 and variant != "weights":
            scheme["input_activations"] = {**_integers(8), "strategy": "token", "dynamic": True}
        groups[f"int{count}"] = scheme
    if not groups:
        raise ConfigError(
            "compressed-tensors: expected a plan that quantises a layer, got 16 bits throughout: use merged"
        )
    return groups


def targets(bits: Mapping[str, Bits], count: int) -> list[str]:
    """Return patterns that match exactly the modules with `count` bits: one a projection where all layers agree."""
    found: list[str] = []
    projections: dict[str, list[str]] = {}
    for module in bits:
        projections.setdefault(module.rpartition(".")[2], []).append(module)
    for name, modules in projections.items():
        chosen = [module for module in modules if bits[module] == count]
        found += [rf"re:.*\.{re.escape(name)}$"] if len(chosen) == len(modules) else chosen
    return found


def _weights(bits: int) -> dict[str, Any]:
    if bits == 8:
        return {**_integers(8), "strategy": "channel"}
    return {**_integers(bits), "strategy": "group", "group_size": GROUP}


def _integers(bits: int) -> dict[str, Any]:
    return {"num_bits": bits, "type": "int", "symmetric": True}
