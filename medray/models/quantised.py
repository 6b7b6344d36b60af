"""Models whose linear layers are replaced by bitsandbytes ones: 8-bit and 4-bit side by side, int8 embeddings too.

`quantise` replaces the layers that a `Quantisation` names, `save_quantised` writes the folder (safetensors, config,
`quantisation.json`), `load_quantised` builds the architecture without weights and fills it. A reloaded model's logits
equal those before saving, at the same dtype on the same device. Which layer gets which bits is the caller's business.
"""

import copy
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medray.errors import CapabilityError, ModelError
from medray.models.quantisation import ModuleFormat, Quantisation, read_quantisation
from medray.models.quantised_embedding import is_int8_embedding, load_embedding, quantise_embedding, tied_head
from medray.models.quantised_layers import load_linear, quantise_linear
from medray.models.reference import QUANTISATION, ModelRef

_SHARD_SIZE = "4GB"


def quantise(model: Any, quantisation: Quantisation, *, device: str = "cpu") -> Any:
    """Replace the named linear layers and embeddings of a 16- or 32-bit model in place; return the model.

    They compute in the model's own dtype; a head that is tied to an embedding follows it. Raises ModelError for a name
    that is neither, for a tied head by itself and for weights that are not finite.
    """
    _prepare(device)
    _refuse_tied_head(model, quantisation)
    for name, form in quantisation.modules.items():
        plain = _plain_at(model, name)
        if not bool(plain.weight.isfinite().all()):
            raise ModelError(f"{name}: expected finite weights, got NaN or infinity: the model is damaged")
        try:
            _replace(model, name, _quantised_layer(plain, form, device))
        except ModelError as error:
            raise ModelError(f"{name}: {error}") from None
    _tie(model, quantisation)
    return model.to(device).eval()


def save_quantised(model: Any, quantisation: Quantisation, folder: Path, *, dtype: Any) -> None:
    """Write a quantised model; what is not quantised is stored in `dtype`. The tokenizer is the caller's to add.

    Raises ModelError for a model that ran on a processor's fused kernel: that repacks its weights with rounded scales.
    """
    from huggingface_hub import save_torch_state_dict

    for name, layer in quantised_layers(model).items():
        if getattr(getattr(layer.weight, "quant_state", None), "packing_format_for_cpu", False):
            raise ModelError(f"{name}: expected weights as quantised, got repacked ones: save before the first forward")
    tied = tuple(f"{name}." for name in _tied_heads(model))
    kept = {name: tensor for name, tensor in model.state_dict().items() if not name.startswith(tied)}
    state = {name: _stored(name, tensor, dtype) for name, tensor in kept.items()}
    save_torch_state_dict(state, folder, max_shard_size=_SHARD_SIZE, metadata={"format": "pt"})
    config = copy.deepcopy(model.config)
    config.dtype = dtype
    config.save_pretrained(folder)
    model.generation_config.save_pretrained(folder)
    (folder / QUANTISATION).write_text(quantisation.model_dump_json(indent=1) + "\n", encoding="utf-8")


def load_quantised(ref: ModelRef, *, dtype: Any, device: str = "cpu") -> Any:
    """Load a folder that `save_quantised` wrote, in eval mode. `dtype` is what it computes in.

    Raises ModelError, naming the tensor, when one is missing, too many, damaged or does not fit; CapabilityError.
    """
    _prepare(device)
    folder = Path(ref.path)
    quantisation = read_quantisation(folder)
    model = _skeleton(ref, dtype)
    _refuse_tied_head(model, quantisation)
    with _Tensors(folder) as tensors:
        for name, form in quantisation.modules.items():
            plain = _plain_at(model, name)
            load = load_embedding if _is_embedding(plain) else load_linear
            try:
                layer = load(plain, form, tensors.below(name), dtype=dtype, device=device)
            except ModelError as error:
                raise ModelError(f"{ref.name}: {name}: {error}") from None
            _replace(model, name, layer)
        _fill_rest(model, tensors, dtype=dtype, device=device)
        _tie(model, quantisation)
        tensors.refuse_unused()
    return model.eval()


class _Tensors:
    """The tensors of a folder's safetensors files by name, read when asked for, and which were."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, Any] = {}
        self._used: set[str] = set()

    def __enter__(self) -> "_Tensors":
        from safetensors import SafetensorError, safe_open

        for path in sorted(self._folder.glob("*.safetensors")):
            try:
                opened = safe_open(path, framework="pt")
            except (SafetensorError, OSError) as error:
                raise ModelError(f"{path}: expected safetensors, got {type(error).__name__}: damaged?") from None
            names: list[str] = opened.keys()  # type: ignore[no-untyped-call]
            for name in names:
                if name in self._files:
                    raise ModelError(f"{self._folder}: expected tensor {name} once, got it in two files")
                self._files[name] = opened
        return self

    def __exit__(self, *_: object) -> None:
        self._files.clear()

    def take(self, name: str) -> Any:
        """Return one tensor. Raises ModelError."""
        if name not in self._files:
            raise ModelError(f"{self._folder}: expected tensor {name}, found none: incomplete or damaged")
        self._used.add(name)
        return self._files[name].get_tensor(name)

    def below(self, module: str) -> dict[str, Any]:
        """Return the tensors of a module, their names relative to it."""
        prefix = module + "."
        return {name.removeprefix(prefix): self.take(name) for name in self._files if name.startswith(prefix)}

    def refuse_unused(self) -> None:
        """Refuse a folder with tensors that the model has no place for."""
        unused = sorted(set(self._files) - self._used)
        if unused:
            raise ModelError(
                f"{self._folder}: expected no tensor beyond the model's, got {len(unused)}: {unused[0]} ..."
            )


def _skeleton(ref: ModelRef, dtype: Any) -> Any:
    """Build the architecture with parameters on the meta device; buffers that are computed, not stored, are real."""
    from accelerate import init_empty_weights
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        config = AutoConfig.from_pretrained(ref.path, trust_remote_code=False)
        with init_empty_weights(include_buffers=False):
            return AutoModelForCausalLM.from_config(config, dtype=dtype, trust_remote_code=False)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{ref.name}: cannot build the model of its config.json ({type(error).__name__})") from None


def _fill_rest(model: Any, tensors: _Tensors, *, dtype: Any, device: str) -> None:
    """Give every parameter that is still empty its tensor, tie the head, and move computed buffers."""
    import torch

    tied = {f"{name}.weight" for name in _tied_heads(model)}
    for name, empty in list(model.named_parameters(remove_duplicate=False)):
        if not empty.is_meta or name in tied:
            continue
        tensor = tensors.take(name)
        if tensor.shape != empty.shape or not tensor.is_floating_point() or not bool(tensor.isfinite().all()):
            raise ModelError(
                f"{name}: expected finite floats of shape {tuple(empty.shape)}, got another or damaged tensor"
            )
        owner, attribute = _owner(model, name)
        setattr(owner, attribute, torch.nn.Parameter(tensor.to(device=device, dtype=dtype), requires_grad=False))
    for module in model.modules():
        for key, buffer in module.named_buffers(recurse=False):
            setattr(module, key, buffer.to(device))


def _tie(model: Any, quantisation: Quantisation) -> None:
    """Give a tied head the embedding's weight, as it is now."""
    embedding = model.get_input_embeddings()
    for head in _tied_heads(model):
        if is_int8_embedding(embedding):
            name = next(name for name, module in model.named_modules() if module is embedding)
            _replace(model, head, tied_head(embedding, quantisation.modules[name]))
        else:
            model.get_submodule(head).weight = embedding.weight


def _tied_heads(model: Any) -> list[str]:
    """Return the name of the head where it is the embedding's twin."""
    head = model.get_output_embeddings()
    if not model.config.tie_word_embeddings or head is None:
        return []
    return [name for name, module in model.named_modules() if module is head]


def _refuse_tied_head(model: Any, quantisation: Quantisation) -> None:
    for name in _tied_heads(model):
        if name in quantisation.modules:
            raise ModelError(f"{name}: expected no format of its own for a head that is tied to the embedding, got one")


def _stored(name: str, tensor: Any, dtype: Any) -> Any:
    """Cast what is not quantised to the storage type; scales and codes keep theirs. Raises ModelError on overflow."""
    kept = ("SCB", "absmax", "quant_map")
    if not tensor.is_floating_point() or name.endswith(kept):
        return tensor
    cast = tensor.to(dtype)
    if not bool(cast.isfinite().all()):
        raise ModelError(f"{name}: does not fit {dtype}: choose dtype bfloat16 or float32")
    return cast


def _quantised_layer(plain: Any, form: ModuleFormat, device: str) -> Any:
    if _is_embedding(plain):
        return quantise_embedding(plain, form, device=device)
    return quantise_linear(plain, form, dtype=plain.weight.dtype, device=device)


def _is_embedding(module: Any) -> bool:
    import torch

    return type(module) is torch.nn.Embedding


def _plain_at(model: Any, name: str) -> Any:
    import torch

    try:
        module = model.get_submodule(name)
    except AttributeError:
        raise ModelError(f"expected a module {name} in the model, found none: made for another model?") from None
    if type(module) not in (torch.nn.Linear, torch.nn.Embedding):
        raise ModelError(f"{name}: expected a plain linear layer or embedding, got {type(module).__name__}")
    return module


def _replace(model: Any, name: str, layer: Any) -> None:
    owner, attribute = _owner(model, name)
    setattr(owner, attribute, layer)


def _owner(model: Any, name: str) -> tuple[Any, str]:
    path, _, attribute = name.rpartition(".")
    return model.get_submodule(path), attribute


def _prepare(device: str) -> None:
    """Check the device, and silence the warning that each forward of an 8-bit layer repeats about its float16 cast."""
    import torch

    if device.startswith("cuda") and not torch.cuda.is_available():
        raise CapabilityError(f"device '{device}' asked for, no CUDA device here: use cpu, see `medray doctor`")
    logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)


def quantised_layers(model: Any) -> Mapping[str, Any]:
    """Return the quantised layers of a model by name."""
    from bitsandbytes.nn import Linear4bit, Linear8bitLt

    return {name: module for name, module in model.named_modules() if isinstance(module, Linear4bit | Linear8bitLt)}
