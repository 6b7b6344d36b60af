"""What docs/placement.md reports: solver times, the comparison with accelerate, five plans predicted and run."""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from itertools import combinations
from typing import Any

from medray.compression.architecture import architecture
from medray.compression.placement.baseline import Comparison, compare, random_cases
from medray.compression.placement.blocks import Chain, Workload, chain
from medray.compression.placement.devices import DeviceConfig, LinkConfig, Machine
from medray.compression.placement.encoding import float_bytes, format_bytes
from medray.compression.placement.measure import measured_machine
from medray.compression.placement.ranking import Timed, cpu_and_disk_maps, misranked, time_maps
from medray.compression.placement.solve import solve
from medray.compression.plan import Plan, paper_plan
from medray.models import ModelRef

LLAMA_70B: Mapping[str, Any] = {
    "model_type": "llama",
    "hidden_size": 8192,
    "num_hidden_layers": 80,
    "intermediate_size": 28672,
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "tie_word_embeddings": False,
}
EIGHT = ("a100-40gb", "a10", "l4", "rtx-4090", "v100-32gb", "t4", "rtx-3090", "l40s")
_DTYPE = "float32"

Tell = Callable[[str], None]


def solver_times(count: int, seed: int, tell: Tell) -> list[dict[str, Any]]:
    """Solve 80 layers on eight GPUs of the device table, and on `count` sets of eight random ones."""
    load = Workload()
    line = chain(architecture(LLAMA_70B), load, float_bytes("float16"), 2)
    machines = {"of the device table": Machine.of([DeviceConfig(name=n, type=t) for n, t in enumerate(EIGHT)])}
    draw = random.Random(seed)  # noqa: S311 - cases, no secrets
    machines |= {f"random {n + 1}": _eight(draw) for n in range(count)}
    return [_timed(name, line, machine, tell) for name, machine in machines.items()]


def unlike_layers(seed: int, time_limit_s: float, tell: Tell) -> list[dict[str, Any]]:
    """Solve a 70B model whose layers differ: a quarter of them with 8-bit feed-forward, in blocks and scattered."""
    model, plan = architecture(LLAMA_70B), paper_plan(LLAMA_70B)
    scattered = random.Random(seed).sample(range(80), 20)  # noqa: S311 - cases, no secrets
    named = {"first and last ten layers": [*range(10), *range(70, 80)], "twenty scattered layers": scattered}
    types = ("a10", "t4", "t4", "l4", "v100-16gb", "t4", "a10", "l4")
    machine = Machine.of([DeviceConfig(name=n, type=t) for n, t in enumerate(types)])
    found = []
    for name, layers in named.items():
        mixed = _with_eight_bits(plan, layers)
        line = chain(model, Workload(), format_bytes(mixed, model, "gguf"), 2)
        found.append(_timed(name, line, machine, tell, time_limit_s=time_limit_s))
    return found


def comparisons(count: int, seed: int, tell: Tell) -> list[dict[str, Any]]:
    """Compare with accelerate on random cases."""
    found = []
    for number, case in enumerate(random_cases(count, seed)):
        compared = compare(case)
        gpus = len(case.machine.gpus)
        found.append({**asdict(compared), "gpus": gpus, "layers": case.config_json["num_hidden_layers"]})
        tell(f"case {number + 1} of {count}")
    return found


def summary(cases: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Count outcomes and summarise how much longer accelerate's placements take."""
    both = [Comparison(**{key: case[key] for key in _COMPARED}) for case in cases]
    ratios = sorted(c.theirs / c.ours for c in both if c.ours is not None and c.theirs is not None)
    return {
        "cases": len(both),
        "worse": sum(c.worse for c in both),
        "proven": sum(c.proven for c in both),
        "neither_fits": sum(c.ours is None and c.theirs is None for c in both),
        "only_ours_fits": sum(c.ours is not None and c.theirs is None for c in both),
        "compared": len(ratios),
        "equal": sum(ratio < 1 + 1e-6 for ratio in ratios),
        "ratio_median": ratios[len(ratios) // 2] if ratios else None,
        "ratio_90": ratios[int(0.9 * len(ratios))] if ratios else None,
        "ratio_largest": ratios[-1] if ratios else None,
    }


_COMPARED = ("ours", "theirs", "share", "proven")


def five_plans(ref: ModelRef, *, threads: int, rounds: int, budget_s: float, tell: Tell) -> dict[str, Any]:
    """Measure this machine, predict five maps over CPU and disk, dispatch them and time them."""
    import psutil
    import torch

    torch.set_num_threads(threads)
    config_json, load = ref.config_json(), Workload(prompt_tokens=64, answer_tokens=1)
    tell("measuring the machine")
    devices = measured_machine(config_json, load, _DTYPE)
    line = chain(architecture(config_json), load, float_bytes(_DTYPE), 4)
    tell("running five plans")
    maps = cpu_and_disk_maps(int(config_json["num_hidden_layers"]))
    timed = time_maps(ref, maps, line, Machine.of(devices), dtype=_DTYPE, rounds=rounds, budget_s=budget_s)
    return {
        "model": ref.name,
        "dtype": _DTYPE,
        "threads": threads,
        "prompt_tokens": load.prompt_tokens,
        "load_average": psutil.getloadavg()[0],
        "cores": psutil.cpu_count(),
        "devices": [device.model_dump(mode="json", exclude_none=True) for device in devices],
        "plans": [asdict(plan) for plan in timed],
        "misranked": misranked(timed),
    }


def rank_holds(found: Mapping[str, Any]) -> bool:
    """Tell whether recorded plans ran in the predicted order."""
    return not misranked([Timed(**plan) for plan in found["plans"]])


def _eight(draw: random.Random) -> Machine:
    """Eight unlike GPUs, a quarter of the pairs with a direct link."""
    pairs = [pair for pair in combinations(range(8), 2) if draw.random() < 0.25]
    links = [LinkConfig(between=pair, gb_per_s=draw.uniform(30, 300), us=draw.uniform(2, 20)) for pair in pairs]
    return Machine.of([_gpu(draw, index) for index in range(8)], links)


def _gpu(draw: random.Random, index: int) -> DeviceConfig:
    return DeviceConfig(
        name=index,
        memory_gb=draw.uniform(12, 48),
        tflops=draw.uniform(20, 200),
        gb_per_s=draw.uniform(200, 1500),
        link_gb_per_s=draw.uniform(4, 30),
        link_us=draw.uniform(5, 50),
        overhead_us=draw.uniform(50, 200),
    )


def _timed(name: str, line: Chain, machine: Machine, tell: Tell, *, time_limit_s: float = 60.0) -> dict[str, Any]:
    started, busy = time.perf_counter(), time.process_time()
    placed = solve(line, machine, time_limit_s=time_limit_s)
    seconds, processor = time.perf_counter() - started, time.process_time() - busy
    tell(f"{name}: {seconds:.2f} s")
    return {
        "name": name,
        "groups": len(line.groups) - 2,
        "seconds": seconds,
        "processor_seconds": processor,
        "proven": placed.proven,
        "gap": placed.gap,
        "used": len({slot.site for slot in placed.places}),
        "per_token_s": placed.prediction.per_token_s,
    }


def _with_eight_bits(plan: Plan, layers: Sequence[int]) -> Plan:
    raised = {f"model.layers.{layer}.mlp.{name}_proj": 8 for layer in layers for name in ("gate", "up", "down")}
    return plan.model_copy(update={"bits": {**plan.bits, **raised}})
