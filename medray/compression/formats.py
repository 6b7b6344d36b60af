"""What a plan costs in each container format: bytes per part, from shapes alone.

One `Format` per container, with its own block sizes and scales; `fp16` is the yardstick. A container that cannot hold
what a plan asks for a matrix stores more bits, and that is what is counted. Counted is what the weights need (values,
scales, code tables); file headers, padding and metadata are not, a few hundred bytes a tensor.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from medray.compression.architecture import PARTS, Architecture, Weight
from medray.compression.plan import Bits, Plan, is_projection
from medray.errors import ConfigError

_SECOND_BLOCK = 256  # bitsandbytes: first-level scales that share one second-level scale
_TABLE_BYTES = 16 * 4  # the 4-bit code's sixteen float32 values
_SECOND_TABLE_BYTES = 256 * 4
_GROUP = 64  # compressed-tensors: weights that share one 4-bit scale
_FUSED = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))

GGUF_BLOCKS: Final[Mapping[str, tuple[int, int]]] = {
    "q8_0": (32, 34),
    "q4_0": (32, 18),
    "q4_1": (32, 20),
    "iq4_nl": (32, 18),
    "q4_k": (256, 144),
}
"""Tensor type -> weights of a row in one block, bytes of the block."""


@dataclass(frozen=True)
class Format:
    """A container.

    `matrix_bytes` is a matrix's cost at so many bits; `stored` what a matrix gets when the plan asks for some bits;
    `fused` names projections that its runtime computes as one matrix: they share the most bits of any.
    """

    matrix_bytes: Callable[[Weight, Bits, Plan], int]
    vector_element_bytes: int
    stored: Callable[[Weight, Bits], Bits]
    fused: tuple[tuple[str, ...], ...] = ()


def planned_bytes(plan: Plan, model: Architecture, name: str) -> dict[str, int]:
    """Return bytes per part of `model` in the format `name`. Raises ConfigError or ModelError."""
    form, bits, own = format_of(name), stored_bits(plan, model, name), plan.within(name)
    total = dict.fromkeys(PARTS, 0)
    for weight in model.weights:
        vector = form.vector_element_bytes * weight.count
        total[weight.part] += form.matrix_bytes(weight, bits[weight.module], own) if weight.is_matrix else vector
    return {part: bytes_ for part, bytes_ in total.items() if bytes_}


def stored_bits(plan: Plan, model: Architecture, name: str) -> dict[str, Bits]:
    """Return the bits that each matrix really gets in the format `name`. Raises ConfigError or ModelError."""
    form = format_of(name)
    plan.check(model)
    bits = {
        weight.module: form.stored(weight, plan.bits[weight.module]) for weight in model.weights if weight.is_matrix
    }
    for group in fused_groups(model, name):
        most = max(bits[module] for module in group)
        bits.update(dict.fromkeys(group, most))
    return bits


def fused_groups(model: Architecture, name: str) -> list[tuple[str, ...]]:
    """Return the modules that must have the same bits in the format `name`, each projection in one group."""
    groups: dict[tuple[str, str], list[str]] = {}
    for weight in model.weights:
        if is_projection(weight):
            path, _, piece = weight.module.rpartition(".")
            together = next((names[0] for names in format_of(name).fused if piece in names), piece)
            groups.setdefault((path, together), []).append(weight.module)
    return [tuple(modules) for modules in groups.values()]


def fp16_bytes(model: Architecture) -> dict[str, int]:
    """Return bytes per part at two bytes a weight: what every ratio is taken against."""
    total = dict.fromkeys(PARTS, 0)
    for weight in model.weights:
        total[weight.part] += 2 * weight.count
    return {part: bytes_ for part, bytes_ in total.items() if bytes_}


def plan_table(plan: Plan, model: Architecture) -> dict[str, dict[str, int]]:
    """Return bytes per part for FP16 and for every container as the plan has it."""
    return {"fp16": fp16_bytes(model), **{name: planned_bytes(plan, model, name) for name in CONTAINERS}}


def variant_table(plan: Plan, model: Architecture) -> dict[str, dict[str, int]]:
    """Return bytes per part for FP16 and every format, bitsandbytes in the three readings that R1 gives figures for."""
    readings = {
        "bitsandbytes, int8 embedding and head": {"embedding_bits": 8, "double_quantisation": False},
        "bitsandbytes, double quantisation": {"embedding_bits": 8, "double_quantisation": True},
        "bitsandbytes, 16-bit embedding and head": {"embedding_bits": 16, "double_quantisation": False},
    }
    table = {"FP16": fp16_bytes(model), "GGUF": planned_bytes(plan, model, "gguf")}
    for title, options in readings.items():
        table[title] = planned_bytes(_reading(plan, model, **options), model, "bitsandbytes")
    table["compressed-tensors"] = planned_bytes(plan, model, "compressed-tensors")
    table["compressed-tensors, W8A8"] = planned_bytes(plan, model, W8A8)
    return table


def format_of(name: str) -> Format:
    """Return a format by its name. Raises ConfigError."""
    if name not in FORMATS:
        raise ConfigError(f"expected a format of {', '.join(FORMATS)}, got '{name}'")
    return FORMATS[name]


def _reading(plan: Plan, model: Architecture, **options: int) -> Plan:
    outer = {weight.module for weight in model.weights if weight.is_matrix and not is_projection(weight)}
    bits = {module: options["embedding_bits"] if module in outer else count for module, count in plan.bits.items()}
    return Plan.model_validate({**plan.within("bitsandbytes").model_dump(), **options, "bits": bits})


def _bitsandbytes(weight: Weight, bits: Bits, plan: Plan) -> int:
    if bits == 16:
        return 2 * weight.count
    if bits == 8:
        return weight.count + 4 * weight.shape[0]  # a float32 scale per row
    blocks = _ceil(weight.count, plan.blocksize)
    values = _ceil(weight.count, 2) + _TABLE_BYTES
    if not plan.double_quantisation:
        return values + 4 * blocks
    return values + blocks + 4 * _ceil(blocks, _SECOND_BLOCK) + _SECOND_TABLE_BYTES


def _gguf(weight: Weight, bits: Bits, plan: Plan) -> int:
    rows, columns = weight.shape
    if bits == 16:
        return 2 * weight.count
    code = plan.code_of(weight.module, "gguf") if bits == 4 else "q8_0"
    size, block_bytes = GGUF_BLOCKS[code] if columns % GGUF_BLOCKS[code][0] == 0 else GGUF_BLOCKS["q8_0"]
    return rows * (columns // size) * block_bytes


def _compressed_tensors(weight: Weight, bits: Bits, _plan: Plan) -> int:
    rows, columns = weight.shape
    if bits == 16:
        return 2 * weight.count
    if bits == 8:
        return weight.count + 2 * rows  # a 16-bit scale per output channel
    return _ceil(weight.count, 2) + 2 * rows * _ceil(columns, _GROUP)


def _as_planned(_weight: Weight, bits: Bits) -> Bits:
    return bits


def _in_gguf(weight: Weight, bits: Bits) -> Bits:
    """Embedding and head are at most Q8_0, and a row that is no whole block of 32 keeps 16 bits."""
    wanted: Bits = bits if is_projection(weight) or bits < 8 else 8
    return wanted if weight.shape[-1] % GGUF_BLOCKS["q8_0"][0] == 0 else 16


def _in_compressed_tensors(weight: Weight, bits: Bits) -> Bits:
    return bits if is_projection(weight) else 16


def _in_w8a8(weight: Weight, bits: Bits) -> Bits:
    """4-bit weights with 8-bit inputs have no kernel: they take 8."""
    return (16 if bits == 16 else 8) if is_projection(weight) else 16


def _ceil(count: int, size: int) -> int:
    return -(-count // size)


CONTAINERS: Final = ("bitsandbytes", "gguf", "compressed-tensors")
W8A8: Final = "compressed-tensors-w8a8"
FORMATS: Final[Mapping[str, Format]] = {
    "bitsandbytes": Format(_bitsandbytes, 2, _as_planned),
    "gguf": Format(_gguf, 4, _in_gguf),
    "compressed-tensors": Format(_compressed_tensors, 2, _in_compressed_tensors, _FUSED),
    W8A8: Format(_compressed_tensors, 2, _in_w8a8, _FUSED),
}
