"""One matrix as GGUF stores it: the tensor types that are written, their blocks, and the way there and back.

Q8_0, Q4_0 and Q4_1 are rounded by the `gguf` package in numpy. IQ4_NL, Q4_K and every rounding weighted by importance
come from ggml itself (`gguf_native`, the extra `edge`). Shapes: matrix (rows, columns) float32, importance (columns,).
"""

from dataclasses import dataclass
from typing import Any

from medray.compression.backends.gguf_native import quantise_native
from medray.errors import ConfigError, ModelError

_SMALLEST = 1e-30  # below it the inverse of a block's scale overflows float32


@dataclass(frozen=True)
class Blocks:
    """A tensor type: `size` weights of a row share a block of `bytes` bytes."""

    code: str
    size: int
    bytes: int
    in_numpy: bool = True

    @property
    def bits(self) -> float:
        """Bits a weight, scales included."""
        return 8 * self.bytes / self.size

    @property
    def ggml_type(self) -> Any:
        """The `gguf` package's constant."""
        from gguf import GGMLQuantizationType

        return GGMLQuantizationType[self.code.upper()]

    def fits(self, columns: int) -> bool:
        """Whether a row of so many columns is whole blocks: no other can be stored."""
        return columns % self.size == 0

    def bytes_of(self, rows: int, columns: int) -> int:
        """Return the bytes of a matrix."""
        return rows * (columns // self.size) * self.bytes


_TYPES = (
    Blocks("f32", 1, 4),
    Blocks("f16", 1, 2),
    Blocks("bf16", 1, 2),
    Blocks("q8_0", 32, 34),
    Blocks("q4_0", 32, 18),
    Blocks("q4_1", 32, 20),
    Blocks("iq4_nl", 32, 18, in_numpy=False),
    Blocks("q4_k", 256, 144, in_numpy=False),
)
TYPES = {blocks.code: blocks for blocks in _TYPES}
PLAIN = ("f32", "f16", "bf16")
FOUR_BIT = ("q4_0", "q4_1", "iq4_nl", "q4_k")


def blocks_of(code: str) -> Blocks:
    """Return a tensor type by its name in lower case. Raises ConfigError."""
    if code not in TYPES:
        raise ConfigError(f"gguf: expected a tensor type of {', '.join(TYPES)}, got '{code}'")
    return TYPES[code]


def quantise(matrix: Any, code: str, importance: Any = None) -> Any:
    """Return the stored form of a finite float32 matrix: uint8, (rows, bytes of a row).

    `importance` weights the squared error of each column (a mean squared input makes it the output's error); the scales
    are then searched, not taken from the largest weight. Raises ModelError, ConfigError, CapabilityError.
    """
    import gguf
    import numpy as np

    blocks = blocks_of(code)
    if not blocks.fits(matrix.shape[-1]):
        raise ModelError(f"{code}: expected columns in blocks of {blocks.size}, got {matrix.shape[-1]}")
    if code in PLAIN:
        return np.atleast_2d(gguf.quants.quantize(np.ascontiguousarray(matrix), blocks.ggml_type)).view(np.uint8)
    flushed = np.where(np.abs(matrix) < _SMALLEST, np.float32(0), matrix)
    if importance is None and blocks.in_numpy:
        return gguf.quants.quantize(flushed, blocks.ggml_type)
    row_bytes = blocks.bytes_of(1, matrix.shape[-1])
    return quantise_native(flushed, int(blocks.ggml_type), row_bytes, _checked(importance, matrix.shape[-1], code))


def dequantise(stored: Any, code: str) -> Any:
    """Return what the runtime multiplies by: float32, (rows, columns)."""
    import gguf

    return gguf.quants.dequantize(stored, blocks_of(code).ggml_type)


def _checked(importance: Any, columns: int, code: str) -> Any:
    import numpy as np

    if importance is None:
        return None
    weights = np.asarray(importance, dtype=np.float32)
    if weights.shape != (columns,) or not np.isfinite(weights).all() or (weights < 0).any() or not weights.any():
        raise ModelError(
            f"{code}: expected {columns} finite importances >= 0, not all zero, got shape {weights.shape}: "
            "gathered on another model?"
        )
    return np.ascontiguousarray(weights)
