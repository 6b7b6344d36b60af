"""From a config to a placement record: everything `jobs.device_map` prints and writes."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medray.compression.architecture import Architecture, architecture
from medray.compression.placement.affinity import affinity
from medray.compression.placement.blocks import Chain, Workload, chain
from medray.compression.placement.config import DeviceMapConfig
from medray.compression.placement.devices import DeviceConfig, Machine
from medray.compression.placement.encoding import WIDTHS, float_bytes, format_bytes
from medray.compression.placement.fitting import what_fits
from medray.compression.placement.measure import measured_machine
from medray.compression.placement.render import device_map, engine_settings
from medray.compression.placement.solve import Placed, PlacementError, solve
from medray.compression.plan import Plan, paper_plan
from medray.compression.source import config_of
from medray.config import validate
from medray.errors import ConfigError


def place(config: DeviceMapConfig) -> dict[str, Any]:
    """Solve a config and return its record. Raises ConfigError, ModelError, or PlacementError with what would fit."""
    config_json = _config_json(str(config.model))
    model = architecture(config_json)
    devices = config.devices or measured_machine(config_json, config.workload, config.dtype)
    machine = Machine.of(devices, config.links)
    laid = _chain(config, config_json, model, config.workload)
    try:
        placed = solve(laid, machine, cpu_computes=config.cpu_computes, time_limit_s=config.time_limit_s)
    except PlacementError as error:
        hints = what_fits(
            lambda load, form: _chain(config.model_copy(update=form), config_json, model, load),
            config.workload,
            machine,
            cpu_computes=config.cpu_computes,
        )
        raise PlacementError("; ".join([str(error), *hints]), error.overflow, error.alone) from None
    return _record(config, laid, machine, devices, placed)


def _config_json(name: str) -> Mapping[str, Any]:
    """Return a model's config.json; the file itself may be named as well."""
    path = Path(name).expanduser()
    return config_of(str(path.parent) if path.name == "config.json" and path.is_file() else name)


def _chain(config: DeviceMapConfig, config_json: Mapping[str, Any], model: Architecture, workload: Workload) -> Chain:
    count = float_bytes(config.dtype)
    if config.format is not None:
        plan = _plan(config.plan) if config.plan is not None else paper_plan(config_json)
        count = format_bytes(plan, model, config.format)
    return chain(model, workload, count, WIDTHS[config.dtype])


def _plan(name: str) -> Plan:
    """Read a plan: the file that `jobs.compress` writes, or the plan alone."""
    try:
        data = json.loads(Path(name).expanduser().read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"plan: expected a plan.json at {name}, got {type(error).__name__}") from None
    if not isinstance(data, dict):
        raise ConfigError(f"plan: expected an object in {name}, got {type(data).__name__}")
    return validate(Plan, data.get("plan", data), source=name)


def _record(
    config: DeviceMapConfig, laid: Chain, machine: Machine, devices: tuple[DeviceConfig, ...], placed: Placed
) -> dict[str, Any]:
    prediction = placed.prediction
    capacities = {device.name: device.capacity for device in machine.devices}
    return {
        "device_map": device_map(laid, placed.places),
        "predicted": {
            "first_token_s": prediction.first_token_s,
            "per_token_s": prediction.per_token_s,
            "objective_s": prediction.objective,
        },
        "optimal": placed.proven,
        "gap": placed.gap,
        "solver_seconds": placed.seconds,
        "memory": {
            str(name): {"needed_bytes": used, "capacity_bytes": capacities[name]}
            for name, used in sorted(prediction.bytes.items(), key=lambda item: str(item[0]))
        },
        "weight_bytes": sum(block.weight_bytes for block in laid.blocks),
        "engines": engine_settings(laid, placed.places, machine),
        "affinity": affinity(laid, machine, cpu_computes=config.cpu_computes),
        "devices": [device.model_dump(mode="json") for device in devices],
    }
