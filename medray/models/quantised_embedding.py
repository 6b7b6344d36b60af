"""An embedding whose rows are int8 codes with one float32 scale each, and the head that is tied to it.

bitsandbytes' own `Embedding8bit` cannot be saved; this one keeps the same numbers as a parameter and a buffer. A tied
head is a `Linear8bitLt` over the very same codes, so that they lie in memory and on disk once.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from medray.errors import ModelError
from medray.models.quantisation import ModuleFormat
from medray.models.quantised_layers import check_tensor, int8_head, int8_rows

_TENSORS = ("weight", "SCB")


def quantise_embedding(embedding: Any, form: ModuleFormat, *, device: str) -> Any:
    """Return an int8 embedding with the weights of `embedding`, giving its dtype. Raises ModelError for other codes."""
    if form.code != "int8":
        raise ModelError(f"expected int8 for an embedding, got {form.code}: plan 8 or 16 bits")
    codes, scales = int8_rows(embedding.weight.to(device))
    return _int8_embedding()(codes, scales, embedding.weight.dtype)


def load_embedding(embedding: Any, form: ModuleFormat, tensors: Mapping[str, Any], *, dtype: Any, device: str) -> Any:
    """Return an int8 embedding of the shape of `embedding` from its tensors by name. Raises ModelError."""
    import torch

    if form.code != "int8":
        raise ModelError(f"expected int8 for an embedding, got {form.code}")
    if set(tensors) != set(_TENSORS):
        raise ModelError(f"expected the tensors {', '.join(_TENSORS)}, got {', '.join(sorted(tensors)) or 'none'}")
    check_tensor(tensors["weight"], "weight", (embedding.num_embeddings, embedding.embedding_dim), torch.int8)
    check_tensor(tensors["SCB"], "SCB", (embedding.num_embeddings,), torch.float32)
    return _int8_embedding()(tensors["weight"].to(device), tensors["SCB"].to(device), dtype)


def tied_head(embedding: Any, form: ModuleFormat) -> Any:
    """Return the head over an int8 embedding's own codes."""
    return int8_head(embedding.weight.data, embedding.SCB, form)


def is_int8_embedding(module: Any) -> bool:
    """Tell whether a module is such an embedding."""
    return isinstance(module, _int8_embedding())


@cache
def _int8_embedding() -> Any:
    """Return the class; made on first use, because importing this module must not import torch."""
    import torch

    class Int8Embedding(torch.nn.Module):
        """Looks up codes and scales. Shapes: weight int8 (rows, columns), SCB float32 (rows,)."""

        def __init__(self, codes: Any, scales: Any, dtype: Any) -> None:
            super().__init__()
            self.num_embeddings, self.embedding_dim = codes.shape
            self.weight = torch.nn.Parameter(codes, requires_grad=False)
            self.register_buffer("SCB", scales)
            self.dtype = dtype

        def forward(self, ids: Any) -> Any:
            rows = torch.nn.functional.embedding(ids, self.weight)
            scales = torch.nn.functional.embedding(ids, self.SCB[:, None])
            return (rows * (scales / 127.0)).to(self.dtype)

    return Int8Embedding
