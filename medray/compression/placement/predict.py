"""What a placement costs, added up block by block: seconds to the first token, seconds per token, bytes per device.

It knows nothing of the programme that found a placement, so every placement is judged by it, accelerate's own included.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from medray.compression.placement.blocks import Block, Chain
from medray.compression.placement.devices import Machine, Name
from medray.compression.placement.slots import CPU_COMPUTES, Slot
from medray.errors import ConfigError

Phase = Literal["prefill", "decode"]


@dataclass(frozen=True)
class Prediction:
    """`objective` is the weighted sum that is minimised, in seconds. `bytes` are needed per device that holds any."""

    first_token_s: float
    per_token_s: float
    objective: float
    bytes: dict[Name, int]

    def overflow(self, machine: Machine) -> dict[Name, int]:
        """Return the bytes by which devices are over-filled."""
        capacities = {name: machine[name].capacity for name in self.bytes}
        over = {name: used - c for name, used in self.bytes.items() if (c := capacities[name]) is not None}
        return {name: count for name, count in over.items() if count > 0}


def block_s(block: Block, slot: Slot, machine: Machine, phase: Phase) -> float:
    """Return the seconds of one block in one phase (roofline), weights copied first where they are streamed."""
    site, work = machine[slot.site], getattr(block, phase)
    computed = site.overhead_s + max(work.flops / site.flops_per_s, work.bytes / site.bytes_per_s)
    return float(computed + (_stream_s(block, slot, machine) if slot.streamed else 0.0))


def _stream_s(block: Block, slot: Slot, machine: Machine) -> float:
    """Drive to host, then host to the device, one after the other: accelerate overlaps nothing."""
    total, site = 0.0, machine[slot.site]
    if slot.home == "disk":
        drive = machine["disk"]
        total += block.leaves * drive.overhead_s + block.stream_bytes / drive.bytes_per_s
    if site.kind == "gpu":
        total += block.leaves * site.link_s + block.stream_bytes / site.link_bytes_per_s
    return total


def hop_s(chain: Chain, source: Slot, target: Slot, machine: Machine, phase: Phase) -> float:
    """Return the seconds that activations take from one block to the next."""
    count = chain.prompt_bytes if phase == "prefill" else chain.token_bytes
    return machine.transfer_s(source.site, target.site, count)


def return_s(chain: Chain, head: Slot, embedding: Slot, machine: Machine) -> float:
    """Return the seconds that logits take back to where the next token enters."""
    return machine.transfer_s(head.site, embedding.site, chain.logits_bytes)


def predict(chain: Chain, places: Sequence[Slot], machine: Machine) -> Prediction:
    """Add up the time and memory of a placement, one slot a block."""
    first, token = (_phase_s(chain, places, machine, phase) for phase in ("prefill", "decode"))
    load = chain.workload
    objective = load.first_token_weight * first + load.token_weight * token
    return Prediction(first, token, objective, memory(chain, places))


def memory(chain: Chain, places: Sequence[Slot]) -> dict[Name, int]:
    """Return the bytes per device: weights, KV cache, activations, room for the largest module that is streamed in."""
    used: dict[Name, int] = {}
    largest: dict[Name, int] = {}
    for block, slot in zip(chain.blocks, places, strict=True):
        used[slot.home] = used.get(slot.home, 0) + block.weight_bytes
        used[slot.site] = used.get(slot.site, 0) + block.kv_bytes
        if slot.streamed:
            largest[slot.site] = max(largest.get(slot.site, 0), block.leaf_bytes)
    for site in {slot.site for slot in places}:
        used[site] += chain.activation_bytes + largest.get(site, 0)
    return used


def places_of(device_map: Mapping[str, Name], chain: Chain, machine: Machine) -> list[Slot]:
    """Read a device map as accelerate would execute it: one slot a block. Raises ConfigError.

    The longest key that a block's name begins with decides; the final norm is counted with the head.
    """
    values = [_value(device_map, block.name) for block in chain.blocks]
    known = {device.name for device in machine.devices} | {CPU_COMPUTES}
    if not set(values) <= known:
        raise ConfigError(
            f"device map: expected devices of {sorted(map(str, known))}, got {sorted(map(str, set(values)))}"
        )
    named = [gpu.name for gpu in machine.gpus if gpu.name in device_map.values()]
    main: Name = named[0] if named else "cpu"
    if not named and not machine.has("cpu"):
        raise ConfigError("device map: expected a device that computes, got none")
    return [_slot(value, main) for value in values]


def _slot(value: Name, main: Name) -> Slot:
    if value == CPU_COMPUTES:
        return Slot("cpu", "cpu", CPU_COMPUTES)
    return Slot(value, main if value in ("cpu", "disk") else value, value)


def _value(device_map: Mapping[str, Name], name: str) -> Name:
    pieces = name.split(".")
    for length in range(len(pieces), -1, -1):
        key = ".".join(pieces[:length])
        if key in device_map:
            return device_map[key]
    raise ConfigError(f"device map: expected a device for {name}, got none")


def _phase_s(chain: Chain, places: Sequence[Slot], machine: Machine, phase: Phase) -> float:
    total = sum(block_s(block, slot, machine, phase) for block, slot in zip(chain.blocks, places, strict=True))
    total += sum(hop_s(chain, a, b, machine, phase) for a, b in pairwise(places))
    return total + return_s(chain, places[-1], places[0], machine)
