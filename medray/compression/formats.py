"""What a plan costs in each container format: bytes per part, from shapes alone.

One `Format` per container, with its own block sizes and scales; `fp16` is the yardstick. Counted is what the weights
need (values, scales, code tables); file headers, padding and metadata are not, a few hundred bytes a tensor.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from medray.compression.architecture import PARTS, Architecture, Weight
from medray.compression.plan import Plan
from medray.errors import ConfigError

_GGUF_BLOCK = 32
_SECOND_BLOCK = 256  # bitsandbytes: first-level scales that share one second-level scale
_TABLE_BYTES = 16 * 4  # the 4-bit code's sixteen float32 values
_SECOND_TABLE_BYTES = 256 * 4
_GROUP = 64  # compressed-tensors: weights that share one 4-bit scale


@dataclass(frozen=True)
class Format:
    """A container: bytes of a matrix under a plan, bytes of one vector element, what its embedding bits are."""

    matrix_bytes: Callable[[Weight, int, Plan], int]
    vector_element_bytes: int
    fixed_embedding_bits: int | None = None  # None: as the plan says


def planned_bytes(plan: Plan, model: Architecture, name: str) -> dict[str, int]:
    """Return bytes per part of `model` in the format `name`. Raises ConfigError or ModelError."""
    if name not in FORMATS:
        raise ConfigError(f"expected a format of {', '.join(FORMATS)}, got '{name}'")
    plan.check(model)
    total = dict.fromkeys(PARTS, 0)
    for weight in model.weights:
        total[weight.part] += _weight_bytes(weight, plan, FORMATS[name])
    return {part: bytes_ for part, bytes_ in total.items() if bytes_}


def fp16_bytes(model: Architecture) -> dict[str, int]:
    """Return bytes per part at two bytes a weight: what every ratio is taken against."""
    total = dict.fromkeys(PARTS, 0)
    for weight in model.weights:
        total[weight.part] += 2 * weight.count
    return {part: bytes_ for part, bytes_ in total.items() if bytes_}


def plan_table(plan: Plan, model: Architecture) -> dict[str, dict[str, int]]:
    """Return bytes per part for FP16 and for every format."""
    return {"fp16": fp16_bytes(model), **{name: planned_bytes(plan, model, name) for name in FORMATS}}


def _weight_bytes(weight: Weight, plan: Plan, form: Format) -> int:
    if not weight.is_matrix:
        return form.vector_element_bytes * weight.count
    bits: int = plan.bits[weight.module]
    if weight.part in ("embedding", "head") and form.fixed_embedding_bits is not None:
        bits = form.fixed_embedding_bits
    return 2 * weight.count if bits == 16 else form.matrix_bytes(weight, bits, plan)


def _bitsandbytes(weight: Weight, bits: int, plan: Plan) -> int:
    if bits == 8:
        return weight.count + 4 * weight.shape[0]  # a float32 scale per row
    blocks = _ceil(weight.count, plan.blocksize)
    values = _ceil(weight.count, 2) + _TABLE_BYTES
    if not plan.double_quantisation:
        return values + 4 * blocks
    return values + blocks + 4 * _ceil(blocks, _SECOND_BLOCK) + _SECOND_TABLE_BYTES


def _gguf(weight: Weight, bits: int, _plan: Plan) -> int:
    rows, columns = weight.shape
    block_bytes = 34 if bits == 8 else 18  # Q8_0 and a 4-bit type of 4.5 bits a weight (Q4_0, IQ4_NL)
    return rows * _ceil(columns, _GGUF_BLOCK) * block_bytes


def _compressed_tensors(weight: Weight, bits: int, _plan: Plan) -> int:
    rows, columns = weight.shape
    if bits == 8:
        return weight.count + 2 * rows  # a 16-bit scale per output channel
    return _ceil(weight.count, 2) + 2 * rows * _ceil(columns, _GROUP)


def _ceil(count: int, size: int) -> int:
    return -(-count // size)


FORMATS: Mapping[str, Format] = {
    "bitsandbytes": Format(_bitsandbytes, vector_element_bytes=2),
    "gguf": Format(_gguf, vector_element_bytes=4, fixed_embedding_bits=8),
    "compressed-tensors": Format(_compressed_tensors, vector_element_bytes=2, fixed_embedding_bits=16),
}
