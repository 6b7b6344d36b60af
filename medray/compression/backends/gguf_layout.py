"""How a Hugging Face decoder lies in a GGUF file: tensor names, order of rows, hyper-parameters. Pure.

llama.cpp turns pairs of neighbouring rows of a Llama's query and key (its rotary embedding), Hugging Face pairs of rows
half a head apart: those rows are reordered on the way, biases and LoRA factors alike. Qwen2 keeps its order.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from medray.compression.architecture import Part
from medray.errors import ModelError

FAMILIES = ("llama", "qwen2")
_REORDERED_FAMILIES = ("llama",)
_TOP = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
_IN_LAYER = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
_PARTS: dict[str, Part] = {"token_embd": "embedding", "output": "head"}
ROPE_FACTORS = "rope_freqs.weight"


@dataclass(frozen=True)
class Layout:
    """Where the tensors of one model go."""

    family: str
    heads: int
    kv_heads: int

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "Layout":
        """Lay out the model of a `config.json`. Raises ModelError where llama.cpp would compute something else."""
        family = str(config.get("model_type"))
        if family not in FAMILIES:
            raise ModelError(f"gguf: expected a family of {', '.join(FAMILIES)}, got '{family}'")
        if config.get("hidden_act", "silu") != "silu":
            raise ModelError(f"gguf: expected hidden_act silu, got '{config['hidden_act']}'")
        if config.get("use_sliding_window"):
            raise ModelError("gguf: expected full attention, got use_sliding_window: llama.cpp ignores the window")
        heads = int(config["num_attention_heads"])
        return cls(family, heads, int(config.get("num_key_value_heads") or heads))

    def name(self, tensor: str) -> str:
        """Return the GGUF name of a tensor of the model's state dict. Raises ModelError."""
        module, _, kind = tensor.rpartition(".")
        if module in _TOP:
            return f"{_TOP[module]}.{kind}"
        pieces = module.split(".", 3)
        if pieces[:2] == ["model", "layers"] and len(pieces) == 4 and pieces[3] in _IN_LAYER:
            return f"blk.{pieces[2]}.{_IN_LAYER[pieces[3]]}.{kind}"
        raise ModelError(f"gguf: expected a tensor of a {self.family} decoder, got '{tensor}'")

    def reorder(self, module: str) -> Callable[[Any], Any]:
        """Return how the rows of a module's weight, bias or LoRA B are put into llama.cpp's order."""
        return self._rows(module, back=False)

    def restore(self, module: str) -> Callable[[Any], Any]:
        """Return the inverse of `reorder`."""
        return self._rows(module, back=True)

    def _rows(self, module: str, *, back: bool) -> Callable[[Any], Any]:
        heads = {"q_proj": self.heads, "k_proj": self.kv_heads}.get(module.rpartition(".")[2])
        if heads is None or self.family not in _REORDERED_FAMILIES:
            return lambda rows: rows
        return lambda rows: _interleave(rows, heads, back=back)


def part_of_gguf(name: str) -> Part:
    """Return the part that a GGUF tensor belongs to. Raises ModelError."""
    piece = name.removesuffix(".weight").removesuffix(".bias").rpartition(".")[2]
    if name == ROPE_FACTORS or piece.endswith("norm"):
        return "norm"
    if piece in _PARTS:
        return _PARTS[piece]
    if piece.startswith("attn_"):
        return "attention"
    if piece.startswith("ffn_"):
        return "ffn"
    raise ModelError(f"gguf: expected a tensor of a known part of a decoder, got '{name}'")


def hyper_parameters(config: Mapping[str, Any]) -> dict[str, int | float | str]:
    """Return llama.cpp's keys, without the family's prefix, for the model of a `config.json`. Raises ModelError."""
    heads = int(config["num_attention_heads"])
    head_dim = int(config.get("head_dim") or config["hidden_size"] // heads)
    rope = _rope(config)
    values: dict[str, int | float | str] = {
        "block_count": int(config["num_hidden_layers"]),
        "context_length": int(config["max_position_embeddings"]),
        "embedding_length": int(config["hidden_size"]),
        "feed_forward_length": int(config["intermediate_size"]),
        "vocab_size": int(config["vocab_size"]),
        "attention.head_count": heads,
        "attention.head_count_kv": int(config.get("num_key_value_heads") or heads),
        "attention.key_length": head_dim,
        "attention.value_length": head_dim,
        "attention.layer_norm_rms_epsilon": float(config["rms_norm_eps"]),
        "rope.dimension_count": head_dim,
        "rope.freq_base": float(rope["rope_theta"]),
    }
    if rope["rope_type"] == "linear":
        values |= {"rope.scaling.type": "linear", "rope.scaling.factor": float(rope["factor"])}
    return values


def rope_factors(config: Mapping[str, Any]) -> list[float] | None:
    """Return what each rotary frequency is divided by (Llama 3.1's scaling), or None where nothing is."""
    rope = _rope(config)
    if rope["rope_type"] != "llama3":
        return None
    dim = int(config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"])
    factor, low, high = (float(rope[key]) for key in ("factor", "low_freq_factor", "high_freq_factor"))
    old_context = float(rope["original_max_position_embeddings"])
    factors = []
    for index in range(0, dim, 2):
        turns = old_context / (2 * math.pi * float(rope["rope_theta"]) ** (index / dim))  # over the old context
        smooth = min(max((turns - low) / (high - low), 0.0), 1.0)
        factors.append(1 / ((1 - smooth) / factor + smooth))
    return factors


def _rope(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the rotary parameters, in whichever of transformers' two spellings they are written."""
    given = config.get("rope_parameters") or config.get("rope_scaling") or {}
    rope = {"rope_theta": config.get("rope_theta") or 10000.0, **given}
    rope["rope_type"] = given.get("rope_type", given.get("type", "default"))
    if rope["rope_type"] not in ("default", "linear", "llama3") or rope.get("partial_rotary_factor", 1.0) != 1.0:
        raise ModelError(f"gguf: expected rope_type default, linear or llama3, got '{rope['rope_type']}'")
    return rope


def _interleave(rows: Any, heads: int, *, back: bool) -> Any:
    """Reorder within each head: (0, h, 1, h + 1, ...) from (0, 1, ..., h, h + 1, ...), or back."""
    half = rows.shape[0] // heads // 2
    shape = (heads, half, 2) if back else (heads, 2, half)
    return rows.reshape(*shape, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)
