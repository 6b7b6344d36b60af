"""The bitsandbytes format: 8-bit and 4-bit (NF4 or FP4) layers in one model, embedding and head in 8, 16 or 32 bits."""

from pathlib import Path
from typing import Any, Literal, cast

from medray.compression.plan import Plan
from medray.models import load_model, resolve, torch_dtype
from medray.models.quantisation import ModuleFormat, Quantisation, int8_format, nf4_format
from medray.models.quantised import quantise, save_quantised


class BitsAndBytes:
    """Writes and loads models whose linear layers are bitsandbytes ones."""

    def write(self, model: Any, plan: Plan, folder: Path, *, dtype: str, device: str) -> Any:
        """Quantise in place by the plan and save, the rest in `dtype`. Raises ConfigError or ModelError."""
        form = quantisation(plan)
        quantise(model, form, device=device)
        save_quantised(model, form, folder, dtype=torch_dtype(dtype))
        return model

    def load(self, folder: Path, *, dtype: str, device: str) -> Any:
        """Load, computing in `dtype`."""
        return load_model(resolve(str(folder)), dtype=dtype, device=device)


def quantisation(plan: Plan) -> Quantisation:
    """Translate a plan. Raises ConfigError for codes of another container."""
    return Quantisation(modules={name: _form(name, bits, plan) for name, bits in plan.bits.items() if bits != 16})


def _form(name: str, bits: int, plan: Plan) -> ModuleFormat:
    if bits == 8:
        return int8_format()
    code = cast(Literal["nf4", "fp4"], plan.code_of(name, "bitsandbytes"))
    return nf4_format(double=plan.double_quantisation, blocksize=plan.blocksize, code=code)
