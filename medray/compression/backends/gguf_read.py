"""What a GGUF file holds, without the runtime: types and bytes by part, and the weights dequantised."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from medray.compression.architecture import PARTS
from medray.compression.backends.gguf_layout import part_of_gguf
from medray.errors import ModelError


def stored_types(path: Path) -> dict[str, str]:
    """Return each tensor's type, in lower case, by its name in the file. Raises ModelError."""
    with _reader(path) as reader:
        return {tensor.name: tensor.tensor_type.name.lower() for tensor in reader.tensors}


def bytes_per_part(path: Path) -> dict[str, int]:
    """Return the tensor bytes per part of the model, padding between tensors left out. Raises ModelError."""
    total = dict.fromkeys(PARTS, 0)
    with _reader(path) as reader:
        for tensor in reader.tensors:
            total[part_of_gguf(tensor.name)] += int(tensor.n_bytes)
    return {part: count for part, count in total.items() if count}


def metadata(path: Path) -> dict[str, Any]:
    """Return the file's metadata as plain values. Raises ModelError."""
    with _reader(path) as reader:
        return {name: field.contents() for name, field in reader.fields.items() if not name.startswith("GGUF.")}


def read_tensors(path: Path) -> dict[str, Any]:
    """Return all tensors as float32 arrays in the file's own order of rows. Raises ModelError."""
    from gguf.quants import dequantize

    with _reader(path) as reader:
        return {tensor.name: dequantize(tensor.data, tensor.tensor_type).copy() for tensor in reader.tensors}


@contextmanager
def _reader(path: Path) -> Iterator[Any]:
    from gguf import GGUFReader

    try:
        reader = GGUFReader(path)
    except (OSError, ValueError, IndexError, KeyError) as error:
        raise ModelError(f"{path}: expected a GGUF file, got {type(error).__name__}: damaged or cut short?") from None
    yield reader
