"""Writing a GGUF file tensor by tensor: what is held beside the model is one matrix.

The header comes first and needs every tensor's size, which its type and shape give; the file appears under its name
only when it is whole. Which type each tensor gets is the caller's business.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medray.compression.architecture import Architecture, Weight
from medray.compression.backends.gguf_blocks import PLAIN, blocks_of, dequantise, quantise
from medray.compression.backends.gguf_layout import ROPE_FACTORS, Layout, hyper_parameters, rope_factors
from medray.errors import ModelError

_FILE_TYPES = {"q4_0": "MOSTLY_Q4_0", "q4_1": "MOSTLY_Q4_1", "iq4_nl": "MOSTLY_IQ4_NL", "q4_k": "MOSTLY_Q4_K_S"} | {
    "q8_0": "MOSTLY_Q8_0",
    "f16": "MOSTLY_F16",
    "bf16": "MOSTLY_BF16",
    "f32": "ALL_F32",
}
_FLOAT16_MAX = 65504.0


@dataclass(frozen=True)
class Content:
    """What a file is made of: the weights' places, their types by module, and weighted rounding where given."""

    config: Mapping[str, Any]
    model: Architecture
    types: Mapping[str, str]
    importance: Mapping[str, Any]

    def type_of(self, weight: Weight) -> str:
        """Return a tensor's type; biases and norms are float32, as the runtime's kernels need them."""
        return self.types[weight.module] if weight.is_matrix else "f32"


def write_gguf(
    model: Any, content: Content, path: Path, *, entries: Mapping[str, Any], name: str, requantised: bool = True
) -> None:
    """Write `model`'s weights; `entries` are further metadata (the tokenizer's).

    With `requantised` the model's own weights become what the file holds, dequantised. Raises ModelError for weights
    that are not finite or do not fit their type.
    """
    layout = Layout.of(content.config)
    state = model.state_dict()
    with Writer(path, layout.family) as writer:
        _header(writer, content, entries, name)
        factors = rope_factors(content.config)
        for weight in content.model.weights:
            shape = weight.shape
            writer.announce(layout.name(weight.name), shape, content.type_of(weight))
        if factors is not None:
            writer.announce(ROPE_FACTORS, (len(factors),), "f32")
        writer.begin()
        for weight in content.model.weights:
            writer.data(_stored(state[weight.name], weight, content, layout, requantised=requantised))
        if factors is not None:
            writer.data(_vector(factors))


class Writer:
    """A GGUF file in the making: header, announcements, then the data in the order announced."""

    def __init__(self, path: Path, family: str) -> None:
        from gguf import GGUFWriter

        self._path, self._partial = path, path.with_suffix(".partial")
        self.header: Any = GGUFWriter(None, family)

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self.header.flush()
            for stream in self.header.fout:
                os.fsync(stream.fileno())
        self.header.close()
        if kind is None:
            self._partial.replace(self._path)
        else:
            self._partial.unlink(missing_ok=True)

    def put(self, key: str, value: Any) -> None:
        """Add one entry of the metadata, typed by its Python type."""
        adders: tuple[tuple[type, Callable[[str, Any], None]], ...] = (
            (bool, self.header.add_bool),
            (int, self.header.add_uint32),
            (float, self.header.add_float32),
            (str, self.header.add_string),
            (list, self.header.add_array),
        )
        next(add for kind, add in adders if isinstance(value, kind))(key, value)

    def announce(self, name: str, shape: tuple[int, ...], code: str) -> None:
        """Say what comes. Shape as torch has it."""
        import numpy as np

        blocks = blocks_of(code)
        size = blocks.bytes_of(shape[0] if len(shape) == 2 else 1, shape[-1])
        dtype = np.dtype(np.float32)  # not uint8: the shape is in weights, not in bytes
        self.header.add_tensor_info(name, shape, dtype, size, raw_dtype=blocks.ggml_type)

    def begin(self) -> None:
        """Write all that was announced."""
        self.header.write_header_to_file(self._partial)
        self.header.write_kv_data_to_file()
        self.header.write_ti_data_to_file()

    def data(self, stored: Any) -> None:
        """Write the next tensor's bytes."""
        self.header.write_tensor_data(stored)


def finite_float32(tensor: Any, name: str) -> Any:
    """Return a tensor as a float32 numpy array. Raises ModelError, naming it, for NaN and infinity."""
    import numpy as np

    array = tensor.detach().float().cpu().numpy()
    if not np.isfinite(array).all():
        raise ModelError(f"{name}: expected finite weights, got NaN or infinity: the model is damaged")
    return array


def _header(writer: Writer, content: Content, entries: Mapping[str, Any], name: str) -> None:
    from gguf import GGML_QUANT_VERSION, LlamaFileType

    family = Layout.of(content.config).family
    by_type: dict[str, int] = {}
    for weight in content.model.weights:
        if weight.is_matrix:
            code = content.type_of(weight)
            by_type[code] = by_type.get(code, 0) + weight.count
    most = max(by_type, key=lambda code: by_type[code])
    writer.put("general.type", "model")
    writer.put("general.name", name)
    writer.put("general.file_type", int(LlamaFileType[_FILE_TYPES[most]]))
    writer.put("general.quantization_version", int(GGML_QUANT_VERSION))
    for key, value in hyper_parameters(content.config).items():
        writer.put(f"{family}.{key}", value)
    for key, value in entries.items():
        writer.put(key, value)


def _stored(tensor: Any, weight: Weight, content: Content, layout: Layout, *, requantised: bool) -> Any:
    code = content.type_of(weight)
    array = layout.reorder(weight.module)(finite_float32(tensor, weight.name))
    if code == "f16" and abs(array).max() > _FLOAT16_MAX:
        raise ModelError(f"{weight.name}: does not fit float16: choose dtype bfloat16 or float32")
    if not weight.is_matrix:
        return _vector(array)
    stored = quantise(array, code, None if code in PLAIN else content.importance.get(weight.module))
    if requantised:
        _put_back(tensor, layout.restore(weight.module)(dequantise(stored, code)))
    return stored


def _put_back(tensor: Any, array: Any) -> None:
    import torch

    with torch.no_grad():
        tensor.copy_(torch.from_numpy(array))


def _vector(values: Any) -> Any:
    import numpy as np

    return np.ascontiguousarray(values, dtype=np.float32)
