"""The best placement over all variants, proven; or, where nothing fits, by how much and on which device.

Each variant is one programme. They are solved from the most promising on (by the bound of its relaxation), and those
whose bound is no better than what is already found are left out: what remains is the optimum over everything that one
device map can express.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from medray.compression.placement.blocks import Chain
from medray.compression.placement.devices import Machine, Name
from medray.compression.placement.linear import Solution
from medray.compression.placement.predict import Prediction, memory, predict
from medray.compression.placement.programme import US, PathProgramme
from medray.compression.placement.slots import Slot, Variant, variants
from medray.errors import CapabilityError

_SAME = 1e-9  # relative: objectives closer than this are equal
_TRIES = 4


@dataclass(frozen=True)
class Placed:
    """A placement and how good it is known to be.

    `bound` (seconds, weighted as the objective) is what no placement can be better than; `proven`: none is better.
    """

    places: tuple[Slot, ...]
    prediction: Prediction
    bound: float
    proven: bool
    seconds: float

    @property
    def gap(self) -> float:
        """Relative distance between what was found and the bound."""
        if self.proven or self.prediction.objective == 0:
            return 0.0
        return max(0.0, 1 - self.bound / self.prediction.objective)


class PlacementError(CapabilityError):
    """No placement fits. `overflow`: the fewest bytes missing in all; `alone`: bytes that one device alone lacks."""

    def __init__(self, message: str, overflow: dict[Name, int], alone: dict[Name, int]) -> None:
        super().__init__(message)
        self.overflow, self.alone = overflow, alone

    def __reduce__(self) -> tuple[object, ...]:
        """Keep the fields across process borders."""
        return type(self), (str(self), self.overflow, self.alone)


def solve(chain: Chain, machine: Machine, *, cpu_computes: bool = False, time_limit_s: float = 60.0) -> Placed:
    """Return the best placement. Raises PlacementError where nothing fits, CapabilityError when time runs out."""
    started = time.perf_counter()
    best: tuple[list[Slot], Prediction] | None = None
    bounds: list[float] = []
    for bound, variant in _by_promise(chain, machine, list(variants(machine, cpu_computes=cpu_computes))):
        limit = inf if best is None else best[1].objective * (1 - _SAME)
        if bound >= limit:
            bounds.append(bound)
            continue
        left = time_limit_s - (time.perf_counter() - started)
        found, solution = _solve_one(chain, machine, variant, max(left, 0.1))
        bounds.append(max(bound, solution.bound / US) if not solution.proven else solution.objective / US)
        if found is not None and found[1].objective < limit:
            best = found
    if best is None:
        raise _failure(chain, machine, bounds, cpu_computes=cpu_computes)
    best = _in_order(chain, machine, *best)
    bound = min(*bounds, best[1].objective)
    proven = bound >= best[1].objective * (1 - _SAME)
    return Placed(tuple(best[0]), best[1], bound, proven, time.perf_counter() - started)


def _in_order(
    chain: Chain, machine: Machine, places: list[Slot], prediction: Prediction
) -> tuple[list[Slot], Prediction]:
    """Of placements that are equally good, take the one whose decoder layers follow the order of the config."""
    order = [device.name for device in machine.devices]
    layers = sorted(places[1:-1], key=lambda slot: (order.index(slot.home), slot.streamed))
    tidy = [places[0], *layers, places[-1]]
    judged = predict(chain, tidy, machine)
    if judged.overflow(machine) or judged.objective > prediction.objective * (1 + _SAME):
        return places, prediction
    return tidy, judged


def _by_promise(chain: Chain, machine: Machine, found: Sequence[Variant]) -> list[tuple[float, Variant]]:
    if len(found) == 1:
        return [(-inf, found[0])]
    bounds = [PathProgramme(chain, machine, v).solve(time_limit_s=10.0, relaxed=True).bound / US for v in found]
    return sorted(zip(bounds, found, strict=True), key=lambda pair: pair[0])


def _solve_one(
    chain: Chain, machine: Machine, variant: Variant, time_limit_s: float
) -> tuple[tuple[list[Slot], Prediction] | None, Solution]:
    """Solve a variant; where the solver's tolerance over-fills a device by bytes, solve again with that much less."""
    margin: dict[Name, int] = {}
    for _ in range(_TRIES):
        programme = PathProgramme(chain, machine, variant, margin=margin)
        solution = programme.solve(time_limit_s=time_limit_s)
        if solution.values is None:
            return None, solution
        places = programme.places(solution)
        prediction = predict(chain, places, machine)
        over = prediction.overflow(machine)
        if not over:
            return (places, prediction), solution
        margin = {name: margin.get(name, 0) + 2 * over.get(name, 0) for name in {*margin, *over}}
    raise CapabilityError("placement: the solver's answers kept over-filling a device: give its memory in larger steps")


def _failure(chain: Chain, machine: Machine, bounds: Sequence[float], *, cpu_computes: bool) -> CapabilityError:
    if any(bound < inf for bound in bounds):
        return CapabilityError("placement: the time limit passed before any placement was found: raise time_limit_s")
    overflow, alone = shortage(chain, machine, cpu_computes=cpu_computes)
    missing = ", ".join(f"{count:,} bytes on {name}" for name, count in overflow.items())
    message = f"placement: nothing fits: the closest placement lacks {missing or 'a device that holds the rest'}"
    least = [f"{count:,} bytes more on {name}" for name, count in alone.items()]
    return PlacementError(message + (f"; enough would be {' or '.join(least)}" if least else ""), overflow, alone)


def shortage(chain: Chain, machine: Machine, *, cpu_computes: bool) -> tuple[dict[Name, int], dict[Name, int]]:
    """Return the fewest bytes missing over all devices, and what each device alone would need more for a fit."""
    bounded = tuple(device.name for device in machine.devices if device.capacity is not None)
    overflow = _least(chain, machine, bounded, cpu_computes=cpu_computes) or {}
    alone = {name: _least(chain, machine, (name,), cpu_computes=cpu_computes) for name in bounded}
    return overflow, {name: found[name] for name, found in alone.items() if found and name in found}


def fits(chain: Chain, machine: Machine, *, cpu_computes: bool) -> bool:
    """Tell whether any placement fits."""
    return _least(chain, machine, (), cpu_computes=cpu_computes) is not None


def _least(chain: Chain, machine: Machine, slack: tuple[Name, ...], *, cpu_computes: bool) -> dict[Name, int] | None:
    """Return the least overflow over all variants, in exact bytes; None where even that much slack does not help."""
    best: dict[Name, int] | None = None
    for variant in variants(machine, cpu_computes=cpu_computes):
        programme = PathProgramme(chain, machine, variant, slack=slack)
        solution = programme.solve(time_limit_s=20.0)
        if solution.values is None:
            continue
        used = memory(chain, programme.places(solution))
        caps = {device.name: device.capacity for device in machine.devices}
        over = {name: used[name] - cap for name in used if (cap := caps[name]) is not None and used[name] > cap}
        if best is None or sum(over.values()) < sum(best.values()):
            best = over
    return best
