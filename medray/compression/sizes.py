"""Bytes as they really are: in the files that were written, and in the memory of a loaded model."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from medray.compression.architecture import PARTS, part_of
from medray.errors import ModelError

_MAX_HEADER_BYTES = 100_000_000  # the format's own limit


def disk_bytes(folder: Path) -> dict[str, int]:
    """Return the tensor bytes per part, read from the headers of a folder's safetensors files. Raises ModelError."""
    total = dict.fromkeys(PARTS, 0)
    for path in sorted(folder.glob("*.safetensors")):
        for name, entry in _header(path).items():
            if name != "__metadata__":
                start, end = entry["data_offsets"]
                total[part_of(name)] += end - start
    return {part: bytes_ for part, bytes_ in total.items() if bytes_}


def file_bytes(folder: Path) -> int:
    """Return the size of a folder's weight files, headers included."""
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))


def resident_bytes(model: Any) -> int:
    """Return the bytes of all distinct storages that a model keeps: parameters, buffers, scales and code tables."""
    seen: dict[int, int] = {}
    for tensor in _tensors(model):
        storage = tensor.untyped_storage()
        seen[storage.data_ptr()] = storage.nbytes()
    return sum(seen.values())


def _tensors(model: Any) -> Iterator[Any]:
    yield from model.parameters()
    yield from model.buffers()
    for module in model.modules():
        weight = getattr(module, "weight", None)
        for holder in (weight, getattr(module, "state", None)):  # 8-bit: codes and scales move at the first forward
            yield from _held(holder, ("CB", "SCB"))
        state = getattr(weight, "quant_state", None)
        yield from _held(state, ("absmax", "code", "offset"))
        yield from _held(getattr(state, "state2", None), ("absmax", "code"))


def _held(holder: Any, names: tuple[str, ...]) -> Iterator[Any]:
    for name in names:
        tensor = getattr(holder, name, None) if holder is not None else None
        if tensor is not None:
            yield tensor


def _header(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            if length > _MAX_HEADER_BYTES:
                raise ValueError("header too long")
            header: dict[str, Any] = json.loads(stream.read(length))
    except (OSError, ValueError, struct.error) as error:
        raise ModelError(f"{path}: expected a safetensors header, got {type(error).__name__}: damaged?") from None
    return header
