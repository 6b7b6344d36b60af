"""ggml's own quantiser, through the library that llama-cpp-python ships: types and roundings that numpy lacks.

`ggml_quantize_chunk` is part of ggml's public C interface; the binding is here because llama-cpp-python has none.
"""

import ctypes
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from medray.errors import CapabilityError

_LIBRARIES = ("libggml-base.so", "libggml-base.dylib", "ggml-base.dll")


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
    floats = ctypes.POINTER(ctypes.c_float)
    written = _quantise_chunk()(
        ggml_type,
        source.ctypes.data_as(floats),
        stored.ctypes.data_as(ctypes.c_void_p),
        0,
        rows,
        columns,
        None if importance is None else importance.ctypes.data_as(floats),
    )
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
