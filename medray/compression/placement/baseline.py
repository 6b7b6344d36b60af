"""accelerate's own placement (`infer_auto_device_map`), and the random cases that ours is compared with it on.

accelerate fills devices in order and counts weights alone. So that its map can be executed under the same memory rules,
it is told less and less memory until KV cache, activations and copies fit as well.
"""

import logging
import random
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from medray.compression.architecture import architecture
from medray.compression.placement.blocks import Chain, Workload, chain
from medray.compression.placement.devices import DeviceConfig, LinkConfig, Machine, Name
from medray.compression.placement.encoding import WIDTHS, float_bytes
from medray.compression.placement.predict import Prediction, places_of, predict
from medray.compression.placement.solve import PlacementError, solve

_SHARES = tuple(share / 20 for share in range(20, 0, -1))  # of the memory that accelerate is told
_DTYPE = "float16"
_SAME = 1e-9


@dataclass(frozen=True)
class Case:
    """A model, a request and a machine."""

    config_json: Mapping[str, Any]
    workload: Workload
    machine: Machine

    @property
    def chain(self) -> Chain:
        """The model as it is placed, in 16 bits."""
        return chain(architecture(self.config_json), self.workload, float_bytes(_DTYPE), WIDTHS[_DTYPE])


@dataclass(frozen=True)
class Comparison:
    """Objectives in seconds, None where nothing fits: in accelerate's case, with no share of the memory."""

    ours: float | None
    theirs: float | None
    share: float | None
    proven: bool

    @property
    def worse(self) -> bool:
        """Whether accelerate's map is predicted to be faster."""
        return self.theirs is not None and (self.ours is None or self.ours > self.theirs * (1 + _SAME))


def compare(case: Case, *, time_limit_s: float = 60.0) -> Comparison:
    """Judge both placements of a case by `predict`."""
    try:
        placed = solve(case.chain, case.machine, time_limit_s=time_limit_s)
        ours, proven = placed.prediction.objective, placed.proven
    except PlacementError:
        ours, proven = None, True
    theirs = accelerate_prediction(case)
    share, prediction = theirs if theirs is not None else (None, None)
    return Comparison(ours, None if prediction is None else prediction.objective, share, proven)


def accelerate_prediction(case: Case) -> tuple[float, Prediction] | None:
    """Return the largest share of memory for which accelerate's map fits, and what it costs."""
    laid, model = case.chain, _empty_model(case.config_json)
    for share in _SHARES:
        places = places_of(accelerate_map(model, case.machine, share), laid, case.machine)
        prediction = predict(laid, places, case.machine)
        if not prediction.overflow(case.machine):
            return share, prediction
    return None


def accelerate_map(model: Any, machine: Machine, share: float) -> dict[str, Name]:
    """Return accelerate's map of an empty model, told `share` of each device's memory."""
    import torch
    from accelerate import infer_auto_device_map

    told = {device.name: int(share * device.capacity) for device in machine.devices if device.capacity is not None}
    with _quiet():
        found: dict[str, Name] = infer_auto_device_map(
            model, max_memory=told, no_split_module_classes=model._no_split_modules, dtype=torch.float16
        )
    return dict(found)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what accelerate says about devices that are not here, and about buffers of a few kilobytes."""
    logger = logging.getLogger("accelerate.utils.modeling")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _empty_model(config_json: Mapping[str, Any]) -> Any:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**config_json), dtype=torch.float16)
    model.tie_weights()
    return model


def random_cases(count: int, seed: int) -> Iterator[Case]:
    """Draw models of 4 to 40 layers and machines of one to four unlike GPUs, a CPU and a disk."""
    draw = random.Random(seed)  # noqa: S311 - cases, no secrets
    for _ in range(count):
        config_json = _model(draw)
        load = Workload(prompt_tokens=draw.choice((32, 256, 1024)), answer_tokens=draw.choice((16, 128, 512)))
        yield Case(config_json, load, _machine(draw, 2 * architecture(config_json).count))


def _model(draw: random.Random) -> dict[str, Any]:
    heads = draw.choice((4, 8, 16))
    hidden = heads * draw.choice((64, 128))
    return {
        "model_type": draw.choice(("llama", "qwen2")),
        "hidden_size": hidden,
        "num_hidden_layers": draw.randint(4, 40),
        "intermediate_size": hidden * draw.choice((2, 3, 4)),
        "num_attention_heads": heads,
        "num_key_value_heads": draw.choice((2, 4)),
        "vocab_size": draw.choice((8_000, 32_000, 128_000)),
        "tie_word_embeddings": draw.random() < 0.5,
    }


def _machine(draw: random.Random, weight_bytes: int) -> Machine:
    def gpu(index: int) -> DeviceConfig:
        return DeviceConfig(
            name=index,
            memory_gb=weight_bytes / 1e9 * draw.uniform(0.15, 0.9),
            reserve_gb=0.0,
            tflops=draw.uniform(5, 300),
            gb_per_s=draw.uniform(100, 2000),
            link_gb_per_s=draw.uniform(2, 30),
            link_us=draw.uniform(5, 50),
            overhead_us=draw.uniform(20, 200),
        )

    gpus = [gpu(index) for index in range(draw.randint(1, 4))]
    cpu = DeviceConfig(
        name="cpu", memory_gb=weight_bytes / 1e9 * draw.uniform(0.3, 1.5), tflops=draw.uniform(0.1, 2), gb_per_s=50.0
    )
    disk = DeviceConfig(name="disk", gb_per_s=draw.uniform(0.2, 7))
    links = [
        LinkConfig(between=(0, other.name), gb_per_s=draw.uniform(30, 300)) for other in gpus[1:] if draw.random() < 0.3
    ]
    return Machine.of((*gpus, cpu, disk), links)
