"""One linear layer as bitsandbytes holds it: made from weights, or filled from the tensors of a file.

Both ways end in the same construction, so that a reloaded layer computes what the saved one did. Every tensor that
comes from a file is checked against the layer it must fit before it is used. Shapes: weight (rows, columns).
"""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import ValidationError

from medray.config import Config
from medray.errors import ModelError
from medray.models.quantisation import ModuleFormat

_SECOND_BLOCK = 256
_FUSED_ROWS = 32  # bitsandbytes packs this many rows together for its processor kernel
_STATE = "weight.quant_state.bitsandbytes__{code}"


class _PackedState(Config):
    """The JSON that bitsandbytes stores as bytes beside a 4-bit weight."""

    quant_type: Literal["nf4", "fp4"]
    blocksize: int
    dtype: Literal["float32", "float16", "bfloat16"]
    shape: tuple[int, int]
    nested_blocksize: Literal[256] | None = None
    nested_dtype: Literal["float32"] | None = None
    nested_offset: float | None = None


def quantise_linear(linear: Any, form: ModuleFormat, *, dtype: Any, device: str) -> Any:
    """Return a quantised layer with the weights of `linear` (finite, any float type), computing in `dtype`.

    Raises ModelError for 4 bits where a row is not whole blocks.
    """
    from bitsandbytes import functional

    _check_blocks(linear, form)
    weight = linear.weight.detach().to(device)
    if form.code == "int8":
        codes, scales = int8_rows(weight)
        return _int8_layer(linear, form, codes, scales, _moved(linear.bias, dtype, device))
    data, state = functional.quantize_4bit(
        weight.to(dtype).contiguous(), blocksize=form.blocksize, compress_statistics=form.double, quant_type=form.code
    )
    return _four_bit_layer(linear, data, state, _moved(linear.bias, dtype, device), dtype)


def load_linear(linear: Any, form: ModuleFormat, tensors: Mapping[str, Any], *, dtype: Any, device: str) -> Any:
    """Return a quantised layer of the shape of `linear` from its tensors by name. Raises ModelError."""
    expected = expected_tensors(linear, form)
    missing, extra = sorted(expected - set(tensors)), sorted(set(tensors) - expected)
    if missing or extra:
        raise ModelError(
            f"expected its tensors to be complete, got {missing or 'none'} missing, {extra or 'none'} extra"
        )
    bias = None
    if linear.bias is not None:
        check_tensor(tensors["bias"], "bias", (linear.out_features,), None)
        bias = _moved(tensors["bias"], dtype, device)
    if form.code == "int8":
        return _load_int8(linear, form, tensors, bias, device)
    return _load_four_bit(linear, form, tensors, bias, dtype=dtype, device=device)


def expected_tensors(linear: Any, form: ModuleFormat) -> set[str]:
    """Return the names of a layer's tensors, relative to its module."""
    names = {"weight"} | ({"bias"} if linear.bias is not None else set())
    if form.code == "int8":
        return names | {"SCB", "weight_format"}
    nested = {"weight.nested_absmax", "weight.nested_quant_map"} if form.double else set()
    return names | {"weight.absmax", "weight.quant_map", _STATE.format(code=form.code)} | nested


def int8_rows(weight: Any) -> tuple[Any, Any]:
    """Return int8 codes and float32 scales: row i is `codes[i] * scales[i] / 127`. Raises ModelError for overflow."""
    import torch
    from bitsandbytes import functional

    halves = weight.detach().to(torch.float16)
    if not bool(halves.isfinite().all()):
        raise ModelError("int8: expected weights that fit float16, in which they are rounded, got larger ones")
    codes, scales, _ = functional.int8_vectorwise_quant(halves)
    codes[scales == 0] = 0  # a zero row divides by zero; its codes are arbitrary
    return codes, scales


def _load_int8(linear: Any, form: ModuleFormat, tensors: Mapping[str, Any], bias: Any, device: str) -> Any:
    import torch

    check_tensor(tensors["weight"], "weight", (linear.out_features, linear.in_features), torch.int8)
    check_tensor(tensors["SCB"], "SCB", (linear.out_features,), torch.float32)
    check_tensor(tensors["weight_format"], "weight_format", (), torch.uint8)
    if int(tensors["weight_format"]) != 0:
        raise ModelError("weight_format: expected 0 (row major), got another layout")
    return _int8_layer(linear, form, tensors["weight"].to(device), tensors["SCB"].to(device), bias)


def _load_four_bit(
    linear: Any, form: ModuleFormat, tensors: Mapping[str, Any], bias: Any, *, dtype: Any, device: str
) -> Any:
    import torch
    from bitsandbytes.functional import QuantState, get_4bit_type

    _check_blocks(linear, form)
    count = linear.out_features * linear.in_features
    blocks = -(-count // int(form.blocksize or 64))
    check_tensor(tensors["weight"], "weight", (-(-count // 2), 1), torch.uint8)
    check_tensor(tensors["weight.absmax"], "absmax", (blocks,), torch.uint8 if form.double else torch.float32)
    check_tensor(tensors["weight.quant_map"], "quant_map", (16,), torch.float32)
    if not torch.equal(tensors["weight.quant_map"], get_4bit_type(form.code, device="cpu")):
        raise ModelError(f"quant_map: expected the sixteen {form.code.upper()} values, got another code")
    if form.double:
        check_tensor(tensors["weight.nested_absmax"], "nested_absmax", (-(-blocks // _SECOND_BLOCK),), torch.float32)
        check_tensor(tensors["weight.nested_quant_map"], "nested_quant_map", (256,), torch.float32)
    blob = _STATE.format(code=form.code)
    packed = _unpack(tensors[blob], linear, form)
    stats = {name.removeprefix("weight."): tensor for name, tensor in tensors.items() if name.startswith("weight.")}
    stats = {**stats, **packed.model_dump(exclude_none=True)}
    del stats[blob.removeprefix("weight.")]
    state = QuantState.from_dict(stats, torch.device(device))
    return _four_bit_layer(linear, tensors["weight"].to(device), state, bias, dtype)


def _unpack(blob: Any, linear: Any, form: ModuleFormat) -> _PackedState:
    import torch

    check_tensor(blob, "quant_state", (blob.numel(),), torch.uint8)
    try:
        state = _PackedState.model_validate_json(bytes(blob.numpy()))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise ModelError(f"quant_state: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    shape = (linear.out_features, linear.in_features)
    nested = (state.nested_blocksize, state.nested_dtype, state.nested_offset)
    if state.quant_type != form.code:
        raise ModelError(f"quant_state: quant_type: expected {form.code}, got {state.quant_type}")
    if state.shape != shape or state.blocksize != form.blocksize:
        raise ModelError(f"quant_state: expected shape {shape} in blocks of {form.blocksize}, got another")
    if form.double == (None in nested):
        raise ModelError("quant_state: expected nested scales exactly where quantisation.json says double")
    return state


def _check_blocks(linear: Any, form: ModuleFormat) -> None:
    """Refuse rows that share a block: bitsandbytes 0.50 dequantises them wrongly on processors with AVX512."""
    if form.code != "int8" and linear.in_features % int(form.blocksize or 64):
        raise ModelError(
            f"{form.code}: expected columns in blocks of {form.blocksize}, got {linear.in_features}: use 8 bits"
        )


def check_tensor(tensor: Any, name: str, shape: tuple[int, ...], dtype: Any) -> None:
    """Refuse a tensor of another shape or type (`dtype` None: any float), or one that holds NaN or infinity."""
    if tuple(tensor.shape) != shape or not (tensor.dtype == dtype or (dtype is None and tensor.is_floating_point())):
        wanted = dtype if dtype is not None else "a float type"
        raise ModelError(f"{name}: expected shape {shape} of {wanted}, got {tuple(tensor.shape)} of {tensor.dtype}")
    if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
        raise ModelError(f"{name}: expected finite values, got NaN or infinity")


def int8_head(codes: Any, scales: Any, form: ModuleFormat, bias: Any = None) -> Any:
    """Return a linear layer over codes (rows, columns) that another module may hold as well."""
    from types import SimpleNamespace

    rows, columns = codes.shape
    return _int8_layer(SimpleNamespace(in_features=columns, out_features=rows), form, codes, scales, bias)


def _int8_layer(linear: Any, form: ModuleFormat, codes: Any, scales: Any, bias: Any) -> Any:
    from bitsandbytes.nn import Int8Params, Linear8bitLt

    layer = Linear8bitLt(
        linear.in_features,
        linear.out_features,
        bias=bias is not None,
        has_fp16_weights=False,
        threshold=form.outlier_threshold or 0.0,
        device="meta",
    )
    layer.weight = Int8Params(codes, requires_grad=False, has_fp16_weights=False, CB=codes, SCB=scales)
    return _finished(layer, bias)


def _four_bit_layer(linear: Any, data: Any, state: Any, bias: Any, dtype: Any) -> Any:
    from bitsandbytes.nn import Linear4bit, Params4bit

    layer = Linear4bit(
        linear.in_features,
        linear.out_features,
        bias=bias is not None,
        compute_dtype=dtype,
        compress_statistics=state.nested,
        quant_type=state.quant_type,
        device="meta",
    )
    state.dtype = dtype  # what the weight is dequantised to; scales stay in float32
    layer.weight = Params4bit(
        data,
        requires_grad=False,
        quant_state=state,
        blocksize=state.blocksize,
        compress_statistics=state.nested,
        quant_type=state.quant_type,
        bnb_quantized=True,
        module=layer,
    )
    layer.quant_state = state
    layer.support_avx512bf16_for_cpu = _may_fuse(layer, state, dtype)
    return _finished(layer, bias)


def _may_fuse(layer: Any, state: Any, dtype: Any) -> bool:
    """Tell whether the processor's fused kernel may be used: it computes in bfloat16, whatever was asked for.

    Its first call repacks the layer in place and rounds the scales to bfloat16; it fails on shapes it cannot pack.
    """
    import torch
    from bitsandbytes.functional import has_avx512bf16

    fits = layer.out_features % _FUSED_ROWS == 0 and layer.in_features % state.blocksize == 0
    return bool(has_avx512bf16()) and dtype == torch.bfloat16 and fits and state.quant_type == "nf4"


def _finished(layer: Any, bias: Any) -> Any:
    import torch

    if bias is not None:
        layer.bias = torch.nn.Parameter(bias, requires_grad=False)
    return layer.eval()


def _moved(tensor: Any, dtype: Any, device: str) -> Any:
    return None if tensor is None else tensor.detach().to(device=device, dtype=dtype)
