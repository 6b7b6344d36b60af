"""Whether predicted times rank placements as they really run: each map is dispatched and its decode step timed.

Maps are timed in turns and the least time of each counts, so that what else runs on a machine disturbs all alike.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from medray.compression.placement.blocks import Chain
from medray.compression.placement.devices import Machine, Name
from medray.compression.placement.dispatch import load_placed
from medray.compression.placement.measure import forward, least
from medray.compression.placement.predict import places_of, predict
from medray.models import ModelRef

Maps = Mapping[str, Mapping[str, Name]]  # by what a reader should call them


@dataclass(frozen=True)
class Timed:
    """Seconds per token of one map."""

    name: str
    predicted_s: float
    measured_s: float


def time_maps(
    ref: ModelRef, maps: Maps, chain: Chain, machine: Machine, *, dtype: str, rounds: int, budget_s: float
) -> list[Timed]:
    """Dispatch every map and time a decode step after the workload's prompt. All models are in memory at once."""
    models = [load_placed(ref, device_map, dtype=dtype) for device_map in maps.values()]
    runs = [forward(model, 1, chain.workload.prompt_tokens) for model in models]
    measured = least(runs, rounds=rounds, budget_s=budget_s)
    predicted = [predict(chain, places_of(found, chain, machine), machine).per_token_s for found in maps.values()]
    return [Timed(*one) for one in zip(maps, predicted, measured, strict=True)]


def misranked(timed: Sequence[Timed]) -> list[tuple[str, str]]:
    """Return the pairs that ran in another order than predicted: (predicted faster, measured faster)."""
    wrong: list[tuple[str, str]] = []
    for one, other in combinations(sorted(timed, key=lambda plan: plan.predicted_s), 2):
        if one.measured_s > other.measured_s:
            wrong.append((one.name, other.name))
    return wrong


def cpu_and_disk_maps(layers: int) -> dict[str, dict[str, Any]]:
    """Return five maps over CPU and disk: none, a third and two thirds of the layers, the tables, all on disk."""
    return {
        "all in memory": _map(layers, 0, "cpu"),
        "a third of the layers on disk": _map(layers, layers // 3, "cpu"),
        "embedding and head on disk": _map(layers, 0, "disk"),
        "two thirds of the layers on disk": _map(layers, 2 * layers // 3, "cpu"),
        "all on disk": _map(layers, layers, "disk"),
    }


def _map(layers: int, on_disk: int, ends: Name) -> dict[str, Name]:
    """The rotary tables are no weights and stay in memory; the norm goes with the head."""
    middle: dict[str, Name] = {f"model.layers.{n}": "cpu" if n < layers - on_disk else "disk" for n in range(layers)}
    return {"model.embed_tokens": ends, "model.rotary_emb": "cpu", **middle, "model.norm": ends, "lm_head": ends}
