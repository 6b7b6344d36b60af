"""The device-layer affinity matrix (R2, step 2): what each kind of block costs in each place, in milliseconds."""

from typing import Any

from medray.compression.placement.blocks import Chain
from medray.compression.placement.devices import Machine, Name
from medray.compression.placement.predict import block_s
from medray.compression.placement.slots import Slot, variants


def affinity(chain: Chain, machine: Machine, *, cpu_computes: bool) -> list[dict[str, Any]]:
    """Return a row per group of equal blocks and slot: milliseconds in the prefill and per token, bytes at home."""
    found = (slot for variant in variants(machine, cpu_computes=cpu_computes) for slot in variant.slots)
    slots: dict[tuple[Name, Name], Slot] = {(slot.home, slot.site): slot for slot in found}
    return [
        {
            "blocks": blocks[0].name if len(blocks) == 1 else f"{blocks[0].name} .. {blocks[-1].name}",
            "count": len(blocks),
            "home": slot.home,
            "computed_on": slot.site,
            "bytes_each": blocks[0].weight_bytes,
            "kv_bytes_each": blocks[0].kv_bytes,
            "prefill_ms": 1e3 * block_s(blocks[0], slot, machine, "prefill"),
            "decode_ms": 1e3 * block_s(blocks[0], slot, machine, "decode"),
        }
        for blocks in chain.groups
        for slot in slots.values()
    ]
