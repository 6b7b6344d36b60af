"""ggml's own quantiser, through the library that llama-cpp-python ships: types and roundings that numpy lacks.

`ggml_quantize_chunk` is part of ggml's public C interface; the binding is here because llama-cpp-python has none.
"""

import ctypes
import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from medray.errors import CapabilityError

_LIBRARIES = ("libggml-base.so", "libggml-base.dylib", "ggml-base.dll")
_ROWS = 256  # of one call


def available() -> bool:
    """Tell whether the library is installed."""
    return _folder() is not None


def quantise_native(matrix: Any, ggml_type: int, row_bytes: int, importance: Any) -> Any:
    """Return a C-contiguous float32 matrix (rows, columns) as uint8 (rows, row_bytes). Raises CapabilityError.

    `importance` is float32 (columns,) or None.
    """
    import numpy as np

    rows, columns = matrix.shape
    source, stored = np.ascontiguousarray(matrix, dtype=np.float32), np.empty((rows, row_bytes), dtype=np.uint8)
    floats, quantise_chunk = ctypes.POINTER(ctypes.c_float), _quantise_chunk()
    weights = None if importance is None else importance.ctypes.data_as(floats)

    def quantise_rows(start: int) -> int:
        """Round some rows; the call releases Python's lock."""
        count = min(_ROWS, rows - start)
        target = stored[start:].ctypes.data_as(ctypes.c_void_p)
        source_rows = source[start:].ctypes.data_as(floats)
        return int(quantise_chunk(ggml_type, source_rows, target, 0, count, columns, weights))

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        written = sum(threads.map(quantise_rows, range(0, rows, _ROWS)))
    if written != stored.nbytes:
        raise CapabilityError(f"ggml: expected {stored.nbytes} bytes, got {written}: another version of the library?")
    return stored


@cache
def _quantise_chunk() -> Any:
    folder = _folder()
    paths = [folder / name for name in _LIBRARIES if (folder / name).is_file()] if folder else []
    if not paths:
        raise CapabilityError(
            "this 4-bit type and weighted rounding need ggml's library: pip install 'medray[edge]', or plan q4_0 or "
            "q4_1 without importance"
        )
    function = ctypes.CDLL(str(paths[0])).ggml_quantize_chunk
    size, floats = ctypes.c_int64, ctypes.POINTER(ctypes.c_float)
    function.argtypes = [ctypes.c_int, floats, ctypes.c_void_p, size, size, size, floats]
    function.restype = ctypes.c_size_t
    return function


def _folder() -> Path | None:
    spec = find_spec("llama_cpp")
    return Path(spec.origin).parent / "lib" if spec is not None and spec.origin else None
