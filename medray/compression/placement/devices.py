"""Devices and the links between them, as a config writes them and as the cost model reads them (SI units).

Names are accelerate's: an integer for a GPU, `cpu`, `disk`. What a config leaves out comes from the device table.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Literal

from pydantic import Field

from medray.compression.placement import table
from medray.config import Config
from medray.errors import ConfigError

Name = int | str
DeviceKind = Literal["gpu", "cpu", "disk"]


class DeviceConfig(Config):
    """One device. `type` names an entry of the device table; every figure given here wins over it."""

    name: Name
    type: str | None = None
    memory_gb: float | None = Field(default=None, gt=0)  # 10^9 bytes; a disk without it holds anything
    reserve_gb: float | None = Field(default=None, ge=0)  # of that, what is not for the model
    tflops: float | None = Field(default=None, gt=0)  # reached, not peak
    gb_per_s: float | None = Field(default=None, gt=0)  # memory bandwidth reached; of a disk: reading speed
    overhead_us: float | None = Field(default=None, ge=0)  # per block computed; of a disk: per module read
    link_gb_per_s: float | None = Field(default=None, gt=0)  # to and from host memory
    link_us: float | None = Field(default=None, ge=0)


class LinkConfig(Config):
    """A direct link between two GPUs; without one, data goes through host memory."""

    between: tuple[Name, Name]
    gb_per_s: float = Field(gt=0)
    us: float = Field(default=10.0, ge=0)


@dataclass(frozen=True)
class Device:
    """Rates in operations and bytes per second, times in seconds. `capacity` None: unbounded (a disk)."""

    name: Name
    kind: DeviceKind
    capacity: int | None
    flops_per_s: float
    bytes_per_s: float
    overhead_s: float
    link_bytes_per_s: float
    link_s: float


@dataclass(frozen=True)
class Machine:
    """All devices, GPUs in the order of the config, and direct links by unordered pair."""

    devices: tuple[Device, ...]
    links: dict[frozenset[Name], tuple[float, float]]

    @classmethod
    def of(cls, devices: Sequence[DeviceConfig], links: Sequence[LinkConfig] = ()) -> "Machine":
        """Fill in the device table and check the names. Raises ConfigError."""
        names = [device.name for device in devices]
        if not names or len(set(names)) != len(names):
            raise ConfigError(f"devices: expected distinct names, at least one, got {names}")
        if set(names) <= {"disk"}:
            raise ConfigError("devices: expected something that computes (a GPU or cpu), got a disk alone")
        for link in links:
            if not set(link.between) <= set(names) or link.between[0] == link.between[1]:
                raise ConfigError(f"links: expected two names of {names}, got {list(link.between)}")
        direct = {frozenset(link.between): (1e9 * link.gb_per_s, 1e-6 * link.us) for link in links}
        return cls(tuple(_device(device) for device in devices), direct)

    def __getitem__(self, name: Name) -> Device:
        return next(device for device in self.devices if device.name == name)

    @property
    def gpus(self) -> tuple[Device, ...]:
        """The accelerators, in order."""
        return tuple(device for device in self.devices if device.kind == "gpu")

    def has(self, kind: DeviceKind) -> bool:
        """Tell whether a device of this kind is there."""
        return any(device.kind == kind for device in self.devices)

    def transfer_s(self, source: Name, target: Name, count: float) -> float:
        """Return the seconds that `count` bytes take from one device's memory to another's."""
        if source == target:
            return 0.0
        rate, latency = self._link(source, target)
        return latency + count / rate

    def _link(self, source: Name, target: Name) -> tuple[float, float]:
        direct = self.links.get(frozenset((source, target)))
        if direct is not None:
            return direct
        ends = self[source], self[target]
        return min(end.link_bytes_per_s for end in ends), sum(end.link_s for end in ends)


def _device(config: DeviceConfig) -> Device:
    kind: DeviceKind = "disk" if config.name == "disk" else "cpu" if config.name == "cpu" else "gpu"
    entry = _entry(config)
    share = table.BANDWIDTH_SHARE if kind != "disk" else 1.0
    is_gpu = kind == "gpu"
    overhead = {"gpu": table.GPU_OVERHEAD_US, "cpu": table.CPU_OVERHEAD_US, "disk": table.DRIVE_US}[kind]
    return Device(
        name=config.name,
        kind=kind,
        capacity=_capacity(config, kind, entry),
        flops_per_s=1e12 * _given(config, "tflops", entry.tflops * table.COMPUTE_SHARE) if kind != "disk" else 0.0,
        bytes_per_s=1e9 * _given(config, "gb_per_s", entry.gb_per_s * share),
        overhead_s=1e-6 * (overhead if config.overhead_us is None else config.overhead_us),
        link_bytes_per_s=1e9 * _given(config, "link_gb_per_s", entry.link_gb_per_s * table.LINK_SHARE)
        if is_gpu
        else inf,
        link_s=1e-6 * (table.LINK_US if config.link_us is None else config.link_us) if is_gpu else 0.0,
    )


def _entry(config: DeviceConfig) -> table.Entry:
    if config.type is None:
        return table.Entry(None, 0, 0)
    if config.type not in table.DEVICES:
        raise ConfigError(f"device {config.name}: expected a type of {', '.join(table.DEVICES)}, got '{config.type}'")
    return table.DEVICES[config.type]


def _given(config: DeviceConfig, key: str, otherwise: float) -> float:
    value = getattr(config, key)
    found = otherwise if value is None else float(value)
    if found <= 0:
        raise ConfigError(
            f"device {config.name}: expected {key}, or a type of the device table that brings it, got none"
        )
    return found


def _capacity(config: DeviceConfig, kind: DeviceKind, entry: table.Entry) -> int | None:
    memory = entry.memory_gb if config.memory_gb is None else config.memory_gb
    if memory is None:
        if kind == "disk":
            return None
        raise ConfigError(f"device {config.name}: expected memory_gb, got none")
    reserve = config.reserve_gb
    if reserve is None:
        reserve = table.GPU_RESERVE_GB if kind == "gpu" else 0.0
    if reserve >= memory:
        raise ConfigError(f"device {config.name}: expected reserve_gb below memory_gb ({memory:g}), got {reserve:g}")
    return round(1e9 * memory) - round(1e9 * reserve)
