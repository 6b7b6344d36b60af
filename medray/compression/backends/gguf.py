"""The gguf format: one file for llama.cpp, each tensor in the type that the plan gives it.

16 bits are stored in `dtype`; 8 bits are Q8_0; 4 bits are the plan's code for that tensor, else Q4_0. Embedding and
head are at most Q8_0. A row that is no whole block of its type falls to Q8_0 and then to 16 bits.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from medray.compression.architecture import Architecture, architecture
from medray.compression.backends.gguf_blocks import blocks_of
from medray.compression.backends.gguf_runtime import GgufModel
from medray.compression.backends.gguf_tokenizer import tokenizer_entries
from medray.compression.backends.gguf_write import Content, write_gguf
from medray.compression.formats import stored_bits
from medray.compression.plan import Plan
from medray.errors import ConfigError, ParityError

FILE = "model.gguf"
# llama.cpp rounds the inputs of quantised rows to 8 bits, 32 at a time, so its logits are not those of the dequantised
# weights: 0.08 of their spread on SmolLM2-135M, 0.13 on its weights with noise. Two neighbouring layers swapped measure
# 1.26 there, one projection negated 1.32, query and key rows in the wrong order 2.6.
RUNTIME_LIMIT = 0.4
_UNQUANTISED = {"float16": "f16", "bfloat16": "bf16", "float32": "f32"}


class Gguf:
    """Writes GGUF files and loads them into llama.cpp."""

    def write(
        self,
        model: Any,
        plan: Plan,
        folder: Path,
        *,
        dtype: str,
        device: str,
        tokenizer: Any = None,
        importance: Mapping[str, Any] | None = None,
    ) -> Any:
        """Write `model.gguf` and `config.json`; return the model with the weights that the file holds.

        `tokenizer` goes into the file. `importance` holds mean squared inputs (columns,) by module and weights the
        rounding. Raises ConfigError without a tokenizer, ModelError for a family, tokenizer or weights that do not fit.
        """
        del device  # rounding is done on the CPU
        if tokenizer is None:
            raise ConfigError("gguf: expected a tokenizer, got none: the file carries its own")
        config = model.config.to_dict()
        shape = architecture(config)
        content = Content(config, shape, tensor_types(plan, shape, dtype), importance or {})
        entries = tokenizer_entries(tokenizer, model.config.vocab_size)
        write_gguf(model, content, folder / FILE, entries=entries, name=str(config.get("model_type")))
        model.config.save_pretrained(folder)
        return model.eval()

    def load(self, folder: Path, *, dtype: str, device: str) -> GgufModel:
        """Load into llama.cpp, which computes as its build does whatever `dtype` says. Raises ModelError."""
        del dtype, device
        return GgufModel(folder / FILE)


def check_runtime(before: Sequence[Any], after: Sequence[Any], limit: float = RUNTIME_LIMIT) -> float:
    """Compare logits (tokens, vocabulary) of the model that `write` returned with those of llama.cpp, per prompt.

    Return their distance as a share of the spread of the first. Raises ParityError above `limit`; NaN never passes.
    """
    far = sum(float((one - other).square().sum()) for one, other in zip(before, after, strict=True))
    spread = sum(float((one - one.mean(-1, keepdim=True)).square().sum()) for one in before)
    share = math.sqrt(far / spread) if spread > 0 else math.nan
    if not share <= limit:
        raise ParityError(
            f"gguf: expected llama.cpp's logits within {limit:g} of those of the weights written, got {share:g}: "
            "the file is wrong or its family is computed otherwise"
        )
    return share


def tensor_types(plan: Plan, model: Architecture, dtype: str) -> dict[str, str]:
    """Return each matrix's tensor type by module. Raises ConfigError for a dtype or for codes of another format."""
    if dtype not in _UNQUANTISED:
        raise ConfigError(f"gguf: expected dtype {', '.join(_UNQUANTISED)}, got '{dtype}'")
    own, bits = plan.within("gguf"), stored_bits(plan, model, "gguf")
    types: dict[str, str] = {}
    for weight in model.weights:
        if weight.is_matrix:
            count = bits[weight.module]
            wanted = own.code_of(weight.module, "gguf") if count == 4 else "q8_0" if count == 8 else _UNQUANTISED[dtype]
            # Q4_K has blocks of 256; what is left is a whole number of 32, or stored_bits would have said 16.
            types[weight.module] = wanted if blocks_of(wanted).fits(weight.shape[-1]) else "q8_0"
    return types
