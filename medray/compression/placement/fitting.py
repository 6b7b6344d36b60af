"""What would fit where the asked-for placement does not: fewer tokens, fewer bits, a disk."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from math import inf
from typing import Any

from medray.compression.placement.blocks import Chain, Workload
from medray.compression.placement.devices import Device, Machine
from medray.compression.placement.solve import fits

ChainOf = Callable[[Workload, dict[str, Any]], Chain]
_SMALLER: tuple[tuple[str, dict[str, Any]], ...] = (
    ("dtype=float16", {"dtype": "float16", "format": None, "plan": None}),
    ("format=bitsandbytes (the paper's plan)", {"format": "bitsandbytes", "plan": None, "dtype": "float16"}),
    ("format=gguf (the paper's plan)", {"format": "gguf", "plan": None, "dtype": "float16"}),
)


def what_fits(chain_of: ChainOf, workload: Workload, machine: Machine, *, cpu_computes: bool) -> list[str]:
    """Return sentences, each one change that makes the model fit; none where no single one does."""

    def check(load: Workload, form: dict[str, Any]) -> bool:
        return fits(chain_of(load, form), machine, cpu_computes=cpu_computes)

    hints = [*_fewer_tokens(check, workload), *_fewer_bits(check, chain_of, workload)]
    if not machine.has("disk") and fits(chain_of(workload, {}), _with_disk(machine), cpu_computes=cpu_computes):
        hints.append("a disk in devices (slow: its weights are read for every token)")
    return [f"what would fit: {'; or '.join(hints)}"] if hints else ["no single change of tokens, bits or disk helps"]


def _fewer_tokens(check: Callable[[Workload, dict[str, Any]], bool], workload: Workload) -> Iterator[str]:
    for key, name in (("prompt_tokens", "a prompt of at most {} tokens"), ("batch", "a batch of at most {}")):
        asked = getattr(workload, key)
        found = _largest(asked - 1, lambda value, key=key: check(workload.model_copy(update={key: value}), {}))  # type: ignore[misc]
        if found is not None:
            yield f"{name.format(found)} (asked: {asked})"


def _fewer_bits(
    check: Callable[[Workload, dict[str, Any]], bool], chain_of: ChainOf, workload: Workload
) -> Iterator[str]:
    now = _weights(chain_of(workload, {}))
    for name, form in _SMALLER:
        if _weights(chain_of(workload, form)) < now and check(workload, form):
            yield name
            return


def _weights(chain: Chain) -> int:
    return sum(block.weight_bytes for block in chain.blocks)


def _with_disk(machine: Machine) -> Machine:
    disk = Device("disk", "disk", None, 0.0, 1e8, 0.0, inf, 0.0)
    return replace(machine, devices=(*machine.devices, disk))


def _largest(high: int, holds: Callable[[int], bool]) -> int | None:
    """Return the largest number from 1 to `high` for which a falling predicate holds."""
    low = 0
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if holds(middle) else (low, middle - 1)
    return low or None
