"""Where a block can be: at home in one memory, computed on one device. What accelerate can express, and nothing else.

Accelerate computes a block on the device that the map names, except for `cpu` beside GPUs and for `disk`: these are
homes only, and at every forward the weights are copied to the main device, the first GPU that the map names (the CPU
where it names none). So the places that can go together depend on the main device: one `variant` for each.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from medray.compression.placement.devices import Machine, Name

CPU_COMPUTES = "cpu:0"  # a block that the CPU computes beside GPUs; see `dispatch`


@dataclass(frozen=True)
class Slot:
    """`home` keeps the weights, `site` computes and keeps the KV cache; `key` is the device map's value."""

    home: Name
    site: Name
    key: Name

    @property
    def streamed(self) -> bool:
        """Whether the weights are copied at every forward."""
        return self.home != self.site


@dataclass(frozen=True)
class Variant:
    """Slots that one device map may mix. Streamed slots need the resident slot of `main` to be used."""

    slots: tuple[Slot, ...]
    main: Slot | None

    @property
    def sites(self) -> tuple[Name, ...]:
        """The devices that compute."""
        return tuple(dict.fromkeys(slot.site for slot in self.slots))


def variants(machine: Machine, *, cpu_computes: bool) -> Iterator[Variant]:
    """List every set of slots that one map can mix, so that no better map exists outside of them."""
    gpus = tuple(Slot(gpu.name, gpu.name, gpu.name) for gpu in machine.gpus)
    homes: list[Name] = [name for name in ("cpu", "disk") if machine.has(name)]
    if gpus:
        yield from _gpu_variants(gpus, homes)
    if gpus and "cpu" in homes and cpu_computes:
        yield Variant((*gpus, Slot("cpu", "cpu", CPU_COMPUTES)), None)
    if "cpu" in homes:
        yield Variant(tuple(Slot(home, "cpu", home) for home in homes), None)


def _gpu_variants(gpus: tuple[Slot, ...], homes: list[Name]) -> Iterator[Variant]:
    for first, main in enumerate(gpus):
        streamed = tuple(Slot(home, main.site, home) for home in homes)
        yield Variant((*gpus[first:], *streamed), main)
        if not streamed:
            return
