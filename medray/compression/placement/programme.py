"""The placement of a chain over one variant's slots, as an integer linear programme.

Blocks that cost the same and follow each other form a group, and the programme counts how many of a group a slot takes:
80 equal layers on 8 devices are 8 integers, not 640 binaries (prima.cpp counts too; general links and unlike layers are
added here). The way of the activations is a unit flow over the nodes (group, slot): arcs between neighbouring groups
and, inside a group, arcs between slots, along which the layers still to be placed travel as a commodity, so that the
way has no cycles. A slot takes its decoder layers in one run; embedding and head are free. Times are in microseconds
and memory in MiB: the solver's absolute tolerance of 1e-6 is then a picosecond and a byte.
"""

from collections.abc import Iterator, Mapping, Sequence

from medray.compression.placement.blocks import Block, Chain
from medray.compression.placement.devices import Machine, Name
from medray.compression.placement.linear import Programme, Solution
from medray.compression.placement.predict import block_s, hop_s, return_s
from medray.compression.placement.slots import Slot, Variant

US = 1e6
MIB = 2.0**20

Term = tuple[int, float]


class PathProgramme:
    """Variables, rows and how to read an answer.

    `margin` takes bytes off a device's capacity. With `slack`, the devices it names may be over-filled, the bytes above
    are what is minimised, and time is free.
    """

    def __init__(
        self,
        chain: Chain,
        machine: Machine,
        variant: Variant,
        *,
        margin: Mapping[Name, int] | None = None,
        slack: Sequence[Name] | None = None,
    ) -> None:
        self._chain, self._machine, self._slots, self._main = chain, machine, variant.slots, variant.main
        self._groups = chain.groups
        self._timed = slack is None
        self._lp = Programme()
        self._every = range(len(self._slots))
        self._count: dict[tuple[int, int], int] = {}
        self._used: dict[tuple[int, int], int] = {}  # the same variable as the count where a group is one block
        self._between: dict[tuple[int, int, int], int] = {}  # group, slot, slot of the next group
        self._inside: dict[tuple[int, int, int], int] = {}  # group, slot, slot of the same group
        self._excess: dict[Name, int] = {}
        self._nodes()
        self._arcs()
        for group in range(len(self._groups)):
            self._flow(group)
        self._one_run()
        self._return()
        self._tie()
        self._need_main()
        self._memory(dict(margin or {}), tuple(slack or ()))

    def solve(self, *, time_limit_s: float, relaxed: bool = False) -> Solution:
        """Run the solver. The objective is in microseconds, or in MiB with `slack`."""
        return self._lp.solve(time_limit_s=time_limit_s, relaxed=relaxed)

    def places(self, solution: Solution) -> list[Slot]:
        """Return one slot a block, in chain order."""
        found: list[Slot] = []
        for group in range(len(self._groups)):
            for slot in self._way(group, solution):
                found += [self._slots[slot]] * round(solution.values[self._count[group, slot]])
        return found

    def _way(self, group: int, solution: Solution) -> Iterator[int]:
        """Yield the slots of a group in the order in which the activations pass them."""

        def is_on(index: int) -> bool:
            return bool(solution.values[index] > 0.5)

        slot: int | None = next(
            s for s in self._every if sum(solution.values[i] for i in self._entries(group, s)) > 0.5
        )
        while slot is not None:
            yield slot
            arcs = (t for t in self._every if (group, slot, t) in self._inside and is_on(self._inside[group, slot, t]))
            slot = next(arcs, None)

    def _entries(self, group: int, slot: int) -> list[int]:
        """The variables that say that the way enters a group at a slot."""
        if group == 0:
            return [self._used[0, slot]]
        return [self._between[group - 1, before, slot] for before in self._every]

    def _nodes(self) -> None:
        for group, blocks in enumerate(self._groups):
            for slot in self._every:
                count = self._lp.variable(self._block_us(blocks[0], slot), upper=len(blocks), integral=True)
                self._count[group, slot] = count
                self._used[group, slot] = count if len(blocks) == 1 else self._lp.variable(0.0, integral=True)

    def _arcs(self) -> None:
        for group, blocks in enumerate(self._groups):
            for source in self._every:
                for target in self._every:
                    cost = self._hop_us(source, target)
                    if group + 1 < len(self._groups):
                        self._between[group, source, target] = self._lp.variable(cost)
                    if len(blocks) > 1 and source != target:
                        self._inside[group, source, target] = self._lp.variable(cost, integral=True)

    def _flow(self, group: int) -> None:
        """What enters a node leaves it, through used nodes only; a used node takes at least a block."""
        size, last = len(self._groups[group]), group + 1 == len(self._groups)
        self._lp.equal(((self._count[group, slot], 1.0) for slot in self._every), size)
        waiting = self._waiting(group, size)
        for slot in self._every:
            used: Term = (self._used[group, slot], -1.0)
            inner_in = [self._inside[group, t, slot] for t in self._every if (group, t, slot) in self._inside]
            inner_out = [self._inside[group, slot, t] for t in self._every if (group, slot, t) in self._inside]
            entries = self._entries(group, slot)
            exits = [] if last else [self._between[group, slot, t] for t in self._every]
            if group:
                self._lp.equal([*ones(entries + inner_in), used], 0.0)
            if not last:
                self._lp.equal([*ones(exits + inner_out), used], 0.0)
            if size > 1:
                self._take(group, slot, size, entries, waiting)

    def _waiting(self, group: int, size: int) -> dict[tuple[int, int], int]:
        """The commodity: layers still to be placed, carried along an inner arc where it is used."""
        carried: dict[tuple[int, int], int] = {}
        for (g, source, target), arc in self._inside.items():
            if g == group:
                carried[source, target] = self._lp.variable(0.0, upper=size - 1)
                self._lp.at_most([(carried[source, target], 1.0), (arc, 1.0 - size)], 0.0)
        return carried

    def _take(self, group: int, slot: int, size: int, entries: list[int], carried: dict[tuple[int, int], int]) -> None:
        count, used = self._count[group, slot], self._used[group, slot]
        self._lp.at_most([(count, 1.0), (used, -float(size))], 0.0)
        self._lp.at_most([(used, 1.0), (count, -1.0)], 0.0)
        brought: list[Term] = [(index, float(size)) for index in entries]
        brought += [(index, 1.0) for (_, target), index in carried.items() if target == slot]
        taken_on: list[Term] = [(index, -1.0) for (source, _), index in carried.items() if source == slot]
        self._lp.equal([*brought, *taken_on, (count, -1.0)], 0.0)

    def _one_run(self) -> None:
        """Each slot is entered once at most along the decoder layers."""
        last = len(self._groups) - 1
        for slot in self._every:
            entered = [self._between[0, before, slot] for before in self._every]
            for group in range(1, last):
                entered += [self._inside[group, t, slot] for t in self._every if (group, t, slot) in self._inside]
                if group > 1:
                    entered += [self._between[group - 1, t, slot] for t in self._every if t != slot]
            self._lp.at_most(ones(entered), 1.0)

    def _return(self) -> None:
        """The logits' way from the head's slot to the embedding's."""
        last = len(self._groups) - 1
        load = self._chain.workload
        weight = US * (load.first_token_weight + load.token_weight) if self._timed else 0.0
        pairs = {
            (head, start): self._lp.variable(
                weight * return_s(self._chain, self._slots[head], self._slots[start], self._machine)
            )
            for head in self._every
            for start in self._every
        }
        for slot in self._every:
            leaving, arriving = ([i for pair, i in pairs.items() if pair[end] == slot] for end in (0, 1))
            self._lp.equal([*ones(leaving), (self._used[last, slot], -1.0)], 0.0)
            self._lp.equal([*ones(arriving), (self._used[0, slot], -1.0)], 0.0)

    def _tie(self) -> None:
        if self._chain.tied:
            for slot in self._every:
                last = len(self._groups) - 1
                self._lp.equal([(self._used[0, slot], 1.0), (self._used[last, slot], -1.0)], 0.0)

    def _need_main(self) -> None:
        """Streamed weights go to the first GPU that a map names, so the map must name it."""
        if self._main is None:
            return
        main = self._slots.index(self._main)
        named: list[Term] = [(self._used[group, main], -1.0) for group in range(len(self._groups))]
        for slot in self._every:
            if self._slots[slot].streamed:
                for group in range(len(self._groups)):
                    self._lp.at_most([(self._used[group, slot], 1.0), *named], 0.0)

    def _memory(self, margin: Mapping[Name, int], slack: Sequence[Name]) -> None:
        for device in self._machine.devices:
            if device.capacity is None:
                continue
            row = [*self._kept(device.name), *self._working(device.name)]
            if device.name in slack:
                self._excess[device.name] = self._lp.variable(1.0, upper=float("inf"))
                row.append((self._excess[device.name], -1.0))
            if row:
                self._lp.at_most(row, (device.capacity - margin.get(device.name, 0)) / MIB)

    def _kept(self, name: Name) -> Iterator[Term]:
        """Weights at home and KV cache where it is computed."""
        for (group, slot), count in self._count.items():
            block, place = self._groups[group][0], self._slots[slot]
            bytes_ = block.weight_bytes * (place.home == name) + block.kv_bytes * (place.site == name)
            if bytes_:
                yield count, bytes_ / MIB

    def _working(self, name: Name) -> Iterator[Term]:
        """Activations of a device that computes, and room for the largest module that is streamed into it."""
        here = {slot for slot in self._every if self._slots[slot].site == name}
        if not here:
            return
        busy = self._lp.variable(0.0)
        room = self._lp.variable(0.0, upper=float("inf"))
        for (group, slot), used in self._used.items():
            if slot in here:
                self._lp.at_most([(used, 1.0), (busy, -1.0)], 0.0)
                if self._slots[slot].streamed:
                    self._lp.at_most([(used, self._groups[group][0].leaf_bytes / MIB), (room, -1.0)], 0.0)
        yield busy, self._chain.activation_bytes / MIB
        yield room, 1.0

    def _block_us(self, block: Block, slot: int) -> float:
        if not self._timed:
            return 0.0
        load, place = self._chain.workload, self._slots[slot]
        first = load.first_token_weight * block_s(block, place, self._machine, "prefill")
        return US * (first + load.token_weight * block_s(block, place, self._machine, "decode"))

    def _hop_us(self, source: int, target: int) -> float:
        if not self._timed:
            return 0.0
        load, ends = self._chain.workload, (self._slots[source], self._slots[target])
        first = load.first_token_weight * hop_s(self._chain, *ends, self._machine, "prefill")
        return US * (first + load.token_weight * hop_s(self._chain, *ends, self._machine, "decode"))


def ones(indices: Sequence[int]) -> list[Term]:
    """Return the indices with coefficient 1."""
    return [(index, 1.0) for index in indices]
