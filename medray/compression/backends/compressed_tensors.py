"""The compressed-tensors format, which vLLM runs: integer weights with scales, written by the library of that name.

Its three variants are named in `compressed_tensors_scheme`. "mixed" and "w8a8" run in vLLM on GPUs and on CPUs (4 bits
only with AVX512 there), "weights" on GPUs alone, with inputs unrounded. Embedding and head keep 16 bits in all.
"""

import contextlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medray.compression.architecture import architecture
from medray.compression.backends.compressed_tensors_scales import search_scales
from medray.compression.backends.compressed_tensors_scheme import Variant, config_groups, linear_bits
from medray.compression.plan import Plan
from medray.errors import ModelError
from medray.models import load_model, resolve, torch_dtype


class CompressedTensors:
    """Writes and loads the format in one of its variants."""

    def __init__(self, variant: Variant) -> None:
        self.variant = variant

    def write(
        self,
        model: Any,
        plan: Plan,
        folder: Path,
        *,
        dtype: str,
        device: str,
        importance: Mapping[str, Any] | None = None,
    ) -> Any:
        """Quantise in place and save, the rest in `dtype`; return the model, decompressed, in the dtype it came in.

        `importance` holds mean squared inputs (columns,) by module. Raises ConfigError, ModelError.
        """
        library = _library()
        shape = architecture(model.config.to_dict())
        groups = config_groups(linear_bits(plan, shape, self.variant), self.variant)
        stored, computed = torch_dtype(dtype), next(model.parameters()).dtype
        _refuse_bad_weights(model, stored)
        config = library.quantization.QuantizationConfig(config_groups=groups, ignore=["lm_head"])
        library.quantization.apply_quantization_config(model, config)
        for name, module in _quantised(model).items():
            _quantise(library, module, stored, device, (importance or {}).get(name))
        _cast(model, stored)
        _save(library, model, folder)
        _cast(model, computed)  # scales are exact in both: what is computed now is what a reload computes
        for module in _quantised(model).values():
            library.compressors.decompress_module(module)
        return model.eval()

    def load(self, folder: Path, *, dtype: str, device: str) -> Any:
        """Load into transformers, which dequantises; inputs are still rounded where the variant rounds them."""
        with contextlib.redirect_stderr(io.StringIO()):  # the library's own progress bars
            model = load_model(resolve(str(folder)), dtype=dtype, device=device)
            model.hf_quantizer.compressor.decompress_model(model)
        return model.to(torch_dtype(dtype))


def _quantise(library: Any, module: Any, stored: Any, device: str, importance: Any) -> None:
    """Replace one layer's weight by integers and scales, rounded in float32."""
    import torch

    args = module.quantization_scheme.weights
    weight = module.weight.detach().to(device=device, dtype=torch.float32)
    group = args.group_size or weight.shape[-1]
    scales = search_scales(weight, bits=args.num_bits, group=group, dtype=stored, importance=importance)
    module.weight = torch.nn.Parameter(weight, requires_grad=False)
    module.weight_scale = torch.nn.Parameter(scales, requires_grad=False)
    module.weight_zero_point = torch.nn.Parameter(torch.zeros_like(scales, dtype=torch.int8), requires_grad=False)
    library.compressors.compress_module(module)


def _cast(model: Any, dtype: Any) -> None:
    """Cast floating parameters; buffers stay, among them rotary frequencies that float16 would round."""
    for weight in model.parameters():
        if weight.is_floating_point():
            weight.data = weight.data.to(dtype)


def _save(library: Any, model: Any, folder: Path) -> None:
    compressor = library.compressors.ModelCompressor.from_pretrained_model(model)
    compressor.quantization_config.quantization_status = library.quantization.QuantizationStatus.COMPRESSED
    model.save_pretrained(folder)
    compressor.update_config(str(folder))


def _quantised(model: Any) -> dict[str, Any]:
    found = {name: module for name, module in model.named_modules() if hasattr(module, "quantization_scheme")}
    return {name: module for name, module in found.items() if module.quantization_scheme is not None}


def _refuse_bad_weights(model: Any, stored: Any) -> None:
    for name, weight in model.named_parameters():
        if not bool(weight.to(stored).isfinite().all()):
            raise ModelError(f"{name}: not finite in {stored}: choose dtype bfloat16 or float32, or check the model")


def _library() -> Any:
    import compressed_tensors
    import compressed_tensors.compressors
    import compressed_tensors.quantization

    return compressed_tensors
