"""How many bytes a module takes: plain floats, or a plan in a container format, as `formats` counts it."""

from collections.abc import Sequence

from medray.compression.architecture import Architecture, Weight
from medray.compression.formats import FORMATS, planned_bytes
from medray.compression.placement.blocks import ModuleBytes
from medray.compression.plan import Plan
from medray.errors import ConfigError

WIDTHS = {"float16": 2, "bfloat16": 2, "float32": 4}


def float_bytes(dtype: str) -> ModuleBytes:
    """Return the byte count of weights kept as plain floats. Raises ConfigError."""
    if dtype not in WIDTHS:
        raise ConfigError(f"dtype: expected {', '.join(WIDTHS)}, got '{dtype}'")
    width = WIDTHS[dtype]

    def module_bytes(weights: Sequence[Weight]) -> int:
        return width * sum(weight.count for weight in weights)

    return module_bytes


def format_bytes(plan: Plan, model: Architecture, name: str) -> ModuleBytes:
    """Return the byte count of a plan's modules in the container `name`. Raises ConfigError or ModelError."""
    plan.check(model)
    if name not in FORMATS:
        raise ConfigError(f"format: expected {', '.join(FORMATS)}, got '{name}'")

    def module_bytes(weights: Sequence[Weight]) -> int:
        part = Architecture(model.family, model.tied, tuple(weights))
        return sum(planned_bytes(_cut(plan, part), part, name).values())

    return module_bytes


def _cut(plan: Plan, part: Architecture) -> Plan:
    """Return the plan of a few modules: every table of it that is kept by module, cut down to them."""
    kept = {weight.module for weight in part.weights if weight.is_matrix}
    tables = {name: value for name, value in plan if isinstance(value, dict)}
    cut = {name: {key: value for key, value in table.items() if key in kept} for name, table in tables.items()}
    return plan.model_copy(update={**cut, "fingerprint": part.fingerprint})
