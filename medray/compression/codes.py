"""Which 4-bit code suits each tensor: the one with the least weighted error on its own weights (R1).

Candidates are those of the container that the tensor's shape allows and that take no more bits a weight than asked:
choosing never breaks a byte budget. `importance` (mean squared inputs, one a column) turns the error of the weights
into that of the layer's output; where the container can, the rounding is weighted by it too. Matrices are torch
tensors (rows, columns).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from math import isfinite
from typing import Any, Final

from medray import log
from medray.compression.formats import GGUF_BLOCKS, W8A8
from medray.compression.plan import FOUR_BIT_CODES, Plan
from medray.errors import ConfigError, ModelError

BITS_PER_WEIGHT: Final[Mapping[str, float]] = {
    "nf4": 4.5,  # float32 scale of 64 weights; 4.13 with double quantisation
    "fp4": 4.5,
    **{code: 8 * bytes_ / size for code, (size, bytes_) in GGUF_BLOCKS.items()},
}
MAX_BITS: Final = 4.5

_EIGHT_BIT: Final = {"bitsandbytes": "int8", "gguf": "q8_0", "compressed-tensors": "int8-row", W8A8: "int8-row"}
_ONLY_FOUR_BIT: Final = {"compressed-tensors": "int4-group"}


@dataclass(frozen=True)
class TensorCodes:
    """One matrix: its bits, the code it gets and the relative round-trip error of every code that was tried."""

    module: str
    bits: int
    code: str
    errors: dict[str, float]

    @property
    def error(self) -> float:
        """The error of the code it gets: root of the weighted squared error over the weighted squares."""
        return self.errors[self.code]

    def record(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def choose_codes(
    matrices: Iterable[tuple[str, Any]],
    plan: Plan,
    container: str,
    *,
    importance: Mapping[str, Any] | None = None,
    max_bits: float = MAX_BITS,
) -> list[TensorCodes]:
    """Measure every quantised matrix of the plan, in the order given, and choose among its 4-bit codes.

    Candidates above `max_bits` a weight are measured and never chosen. Equal errors go to the container's default.
    Raises ConfigError for an unknown container, ModelError for weights that are not finite.
    """
    found = []
    for module, matrix in matrices:
        bits = plan.bits.get(module, 16)
        if bits != 16 and candidates(container, bits, matrix.shape[-1]):
            found.append(_measured(module, matrix, bits, plan, container, (importance or {}).get(module), max_bits))
    return found


def with_chosen_codes(plan: Plan, chosen: Iterable[TensorCodes]) -> Plan:
    """Return the plan with the 4-bit codes that were chosen. Raises ConfigError where they are not of one container."""
    return plan.with_codes({tensor.module: tensor.code for tensor in chosen if tensor.bits == 4})


def matrices_of(model: Any, plan: Plan) -> Iterator[tuple[str, Any]]:
    """Yield the matrices that a plan names, one at a time. Raises ModelError for one that the model lacks."""
    for module in plan.bits:
        try:
            weight = model.get_submodule(module).weight
        except AttributeError:
            raise ModelError(f"expected a module {module} in the model, found none: a plan for another model") from None
        yield module, weight.detach()


def default_code(container: str, bits: int) -> str:
    """Return the code that a container stores 8 or 4 bits in where nothing is chosen. Raises ConfigError."""
    if container not in _EIGHT_BIT or (bits == 4 and container == W8A8):
        raise ConfigError(f"expected a container of {', '.join(_EIGHT_BIT)} that holds {bits} bits, got '{container}'")
    if bits == 8:
        return _EIGHT_BIT[container]
    return _ONLY_FOUR_BIT.get(container) or FOUR_BIT_CODES[container][0]


def candidates(container: str, bits: int, columns: int) -> list[str]:
    """Return the codes that a matrix may take, the default first: that fit its rows and are installed here.

    None where a row is no whole block: such a matrix keeps 16 bits.
    """
    default = default_code(container, bits)
    codes = [default] if bits == 8 or container not in FOUR_BIT_CODES else list(FOUR_BIT_CODES[container])
    return [code for code in codes if container != "gguf" or _in_gguf(code, columns)]


def round_trip(matrix: Any, code: str, *, importance: Any = None, plan: Plan | None = None) -> Any:
    """Return a matrix as it comes back from a code, float32. Raises ConfigError, ModelError or CapabilityError.

    Of `plan` only `blocksize` and `double_quantisation` matter, to bitsandbytes.
    """
    if code not in _ROUND_TRIPS:
        raise ConfigError(f"expected a code of {', '.join(_ROUND_TRIPS)}, got '{code}'")
    return _ROUND_TRIPS[code](matrix.detach().float(), importance, plan)


def relative_error(matrix: Any, rounded: Any, importance: Any = None) -> float:
    """Return the root of the weighted squared error over the weighted squares; 0 for a matrix of zeros."""
    import torch

    exact, got = matrix.detach().double(), rounded.double()
    weights = 1.0 if importance is None else torch.as_tensor(importance, dtype=torch.float64, device=exact.device)
    total = float((exact.square() * weights).sum())
    off = float(((got - exact).square() * weights).sum())
    if not isfinite(total) or not isfinite(off):
        raise ModelError("expected finite weights, got NaN or infinity: the model is damaged")
    return (off / total) ** 0.5 if total else 0.0


def _measured(
    module: str, matrix: Any, bits: int, plan: Plan, container: str, importance: Any, max_bits: float
) -> TensorCodes:
    if not bool(matrix.isfinite().all()):
        raise ModelError(f"{module}: expected finite weights, got NaN or infinity: the model is damaged")
    errors = {}
    for code in candidates(container, bits, matrix.shape[-1]):
        errors[code] = relative_error(matrix, round_trip(matrix, code, importance=importance, plan=plan), importance)
    allowed = [code for code in errors if BITS_PER_WEIGHT.get(code, 0.0) <= max_bits] or list(errors)
    best = min(allowed, key=lambda code: errors[code])  # the first of equals: the default
    return TensorCodes(module, bits, best, errors)


def _in_gguf(code: str, columns: int) -> bool:
    from medray.compression.backends.gguf_blocks import blocks_of
    from medray.compression.backends.gguf_native import available

    if not blocks_of(code).fits(columns):
        return False
    if blocks_of(code).in_numpy or available():
        return True
    log.event("code_not_available", code=code, missing="llama_cpp")
    return False


def _four_bit_bitsandbytes(code: str, matrix: Any, _importance: Any, plan: Plan | None) -> Any:
    from bitsandbytes import functional

    packed, state = functional.quantize_4bit(
        matrix.contiguous(),
        blocksize=plan.blocksize if plan else 64,
        compress_statistics=plan.double_quantisation if plan else False,
        quant_type=code,
    )
    return functional.dequantize_4bit(packed, state).float()


def _int8_bitsandbytes(matrix: Any, _importance: Any, _plan: Plan | None) -> Any:
    from medray.models.quantised_layers import int8_rows

    codes, scales = int8_rows(matrix)
    return codes.float() * (scales[:, None] / 127.0)


def _gguf(code: str, matrix: Any, importance: Any, _plan: Plan | None) -> Any:
    import torch

    from medray.compression.backends.gguf_blocks import dequantise, quantise

    stored = quantise(matrix.cpu().numpy(), code, importance)
    return torch.from_numpy(dequantise(stored, code)).to(matrix.device)


def _integers(bits: int, group: int | None, matrix: Any, importance: Any, _plan: Plan | None) -> Any:
    import torch

    from medray.compression.backends.compressed_tensors_scales import search_scales

    rows, columns = matrix.shape
    size = group or columns
    scales = search_scales(matrix, bits=bits, group=size, dtype=torch.float16, importance=importance)
    top = 2 ** (bits - 1)
    whole = (matrix.reshape(rows, -1, size) / scales[..., None]).round().clamp(-top, top - 1)
    return (whole * scales[..., None]).reshape(rows, columns)


_RoundTrip = Callable[[Any, Any, Plan | None], Any]
_ROUND_TRIPS: Final[Mapping[str, _RoundTrip]] = {
    "int8": _int8_bitsandbytes,
    **{code: partial(_four_bit_bitsandbytes, code) for code in FOUR_BIT_CODES["bitsandbytes"]},
    **{code: partial(_gguf, code) for code in GGUF_BLOCKS},
    "int8-row": partial(_integers, 8, None),
    "int4-group": partial(_integers, 4, 64),
}
