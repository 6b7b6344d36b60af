"""Loading resolved models and tokenizers, safely: safetensors only, never remote code.

Adapters load as PEFT models over their base (`merge=True` folds them in); quantised sub-folders load through
`medray.models.quantised`. Everything is put into `eval()` mode; callers that train switch it.
"""

import sys
from typing import Any

from medray.errors import CapabilityError, ConfigError, ModelError
from medray.models.reference import ModelRef

_DTYPES = ("float32", "bfloat16", "float16")


def torch_dtype(name: str) -> Any:
    """Return the torch dtype of a config's name; `auto` is bfloat16 on a CUDA device that has it, else float32."""
    import torch

    if name == "auto":
        return torch.bfloat16 if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else torch.float32
    if name not in _DTYPES:
        raise ConfigError(f"dtype: expected auto, {', '.join(_DTYPES)}, got '{name}'")
    return getattr(torch, name)


def load_model(
    ref: ModelRef,
    *,
    dtype: str = "float32",
    device: str = "cpu",
    device_map: dict[str, Any] | None = None,
    merge: bool = False,
    attention: str | None = None,
) -> Any:
    """Load a causal language model in eval mode. Raises ModelError or CapabilityError.

    `device_map` (module -> device, as accelerate takes it) wins over `device`. `merge` folds an adapter into its base.
    """
    if ref.kind == "bitsandbytes":
        from medray.models.quantised import load_quantised

        return load_quantised(ref, dtype=torch_dtype(dtype), device=device)
    if ref.kind == "adapter":
        return _load_adapter(ref, dtype=dtype, device=device, device_map=device_map, merge=merge, attention=attention)
    options: dict[str, Any] = {"dtype": torch_dtype(dtype), "use_safetensors": True, "trust_remote_code": False}
    if attention is not None:
        options["attn_implementation"] = attention
    if device_map is not None:
        options["device_map"] = device_map
    model = _from_pretrained(ref, options)
    if device_map is None:
        model = _to_device(model, device)
    return model.eval()


def load_tokenizer(ref: ModelRef) -> Any:
    """Load the fast tokenizer of a model. A missing pad token becomes the end-of-text token. Raises ModelError."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(ref.tokenizer_path, trust_remote_code=False, use_fast=True)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(
            f"{ref.name}: expected a tokenizer there, got {type(error).__name__}: check the folder"
        ) from None
    if tokenizer.pad_token_id is None:
        if tokenizer.eos_token_id is None:
            raise ModelError(f"{ref.name}: the tokenizer has neither a pad nor an end-of-text token: set one")
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def _from_pretrained(ref: ModelRef, options: dict[str, Any]) -> Any:
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    if not sys.stderr.isatty():
        logging.disable_progress_bar()  # a bar in a log file is one long line of control characters

    try:
        return AutoModelForCausalLM.from_pretrained(ref.path, **options)
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise ModelError(
            f"{ref.name}: cannot load the weights ({type(error).__name__}): incomplete or damaged?"
        ) from None


def _load_adapter(ref: ModelRef, *, merge: bool, device: str, device_map: Any, **options: Any) -> Any:
    from peft import PeftModel

    if ref.base is None:
        raise ModelError(f"{ref.name}: the adapter names no base model: give the artifact it belongs to")
    base = load_model(ref.base, device=device, device_map=device_map, **options)
    try:
        model = PeftModel.from_pretrained(base, ref.path, is_trainable=False)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ModelError(f"{ref.name}: the adapter does not fit its base ({type(error).__name__})") from None
    return (model.merge_and_unload(safe_merge=True) if merge else model).eval()


def _to_device(model: Any, device: str) -> Any:
    import torch

    if device.startswith("cuda") and not torch.cuda.is_available():
        raise CapabilityError(f"device '{device}' asked for, no CUDA device here: use cpu, see `medray doctor`")
    return model.to(device)
