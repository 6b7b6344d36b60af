"""The plain format: 16- or 32-bit safetensors, as any Hugging Face tool reads them. The plan plays no part."""

from pathlib import Path
from typing import Any

from medray.compression.plan import Plan
from medray.errors import ModelError
from medray.models import load_model, resolve, torch_dtype


class Merged:
    """Writes and loads plain weights."""

    def write(self, model: Any, plan: Plan, folder: Path, *, dtype: str, device: str) -> Any:
        """Cast to `dtype` in place and save. Raises ModelError when a weight does not fit or is not finite."""
        del plan, device
        cast = model.to(torch_dtype(dtype))
        for name, weight in cast.named_parameters():
            if not bool(weight.isfinite().all()):
                raise ModelError(f"{name}: not finite in {dtype}: choose dtype bfloat16 or float32, or check the model")
        cast.save_pretrained(folder)
        return cast

    def load(self, folder: Path, *, dtype: str, device: str) -> Any:
        """Load, computing in `dtype`."""
        return load_model(resolve(str(folder)), dtype=dtype, device=device)
