"""Every weight of a decoder from its `config.json` alone: name, part and shape.

Pure arithmetic, so that a plan for a 70B model needs neither its weights nor torch. Names are those of the model's own
state dict; a tied head has no tensor of its own. Families whose layout is not known here are refused, never guessed.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, Literal, get_args

from medray.config import config_hash
from medray.errors import ModelError

Part = Literal["embedding", "attention", "ffn", "norm", "head"]
PARTS: tuple[Part, ...] = get_args(Part)

# family -> biases on (query, key, value), on the attention output; None: as the config's `attention_bias` says
_FAMILIES: dict[str, tuple[bool | None, bool | None]] = {
    "llama": (None, None),
    "mistral": (False, False),
    "qwen2": (True, False),
    "qwen3": (None, None),
}
_WITH_HEAD_NORMS = frozenset({"qwen3"})


@dataclass(frozen=True)
class Weight:
    """One tensor. `shape` is (rows, columns) of a matrix, as torch stores it, or (length,) of a vector."""

    name: str
    part: Part
    shape: tuple[int, ...]

    @property
    def module(self) -> str:
        """The module that owns it: the key of a plan."""
        return self.name.rpartition(".")[0]

    @property
    def count(self) -> int:
        """How many numbers it holds."""
        return prod(self.shape)

    @property
    def is_matrix(self) -> bool:
        """Whether it can be quantised; biases and norms cannot."""
        return len(self.shape) == 2


@dataclass(frozen=True)
class Architecture:
    """The weights of one model, in layer order, and what makes another model the same."""

    family: str
    tied: bool
    weights: tuple[Weight, ...]

    @property
    def fingerprint(self) -> str:
        """16 hex digits of names and shapes: equal for models that one plan fits."""
        shapes = {weight.name: list(weight.shape) for weight in self.weights}
        return config_hash({"family": self.family, "tied": self.tied, "shapes": shapes})

    @property
    def count(self) -> int:
        """How many weights the model has."""
        return sum(weight.count for weight in self.weights)


def architecture(config_json: Mapping[str, Any]) -> Architecture:
    """Lay out a decoder of a known family. Raises ModelError for another family or an impossible config."""
    family = config_json.get("model_type")
    if family not in _FAMILIES:
        raise ModelError(f"config.json: expected a family of {', '.join(sorted(_FAMILIES))}, got '{family}'")
    if config_json.get("quantization_config") is not None:
        raise ModelError("config.json: the model is quantised already: start from its 16- or 32-bit weights")
    tied = bool(config_json.get("tie_word_embeddings", False))
    sizes = _Sizes.of(config_json)
    return Architecture(str(family), tied, tuple(_weights(config_json, sizes, tied=tied)))


def part_of(name: str) -> Part:
    """Return the part that a tensor or module name belongs to. Raises ModelError."""
    pieces = name.split(".")
    if any(piece.endswith("norm") for piece in pieces):
        return "norm"
    for piece, part in _PIECES.items():
        if piece in pieces:
            return part
    raise ModelError(f"expected a tensor of a known part of a decoder, got '{name}'")


_PIECES: dict[str, Part] = {"embed_tokens": "embedding", "self_attn": "attention", "mlp": "ffn", "lm_head": "head"}


@dataclass(frozen=True)
class _Sizes:
    hidden: int
    layers: int
    ffn: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "_Sizes":
        hidden, heads = _positive(config, "hidden_size"), _positive(config, "num_attention_heads")
        return cls(
            hidden=hidden,
            layers=_positive(config, "num_hidden_layers"),
            ffn=_positive(config, "intermediate_size"),
            heads=heads,
            kv_heads=_positive(config, "num_key_value_heads", heads),
            head_dim=_positive(config, "head_dim", hidden // heads),
            vocabulary=_positive(config, "vocab_size"),
        )


def _positive(config: Mapping[str, Any], key: str, default: int | None = None) -> int:
    value = config.get(key)
    if value is None:
        value = default
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ModelError(f"config.json: expected {key} to be a positive integer, got {type(value).__name__}")
    return value


def _weights(config: Mapping[str, Any], sizes: _Sizes, *, tied: bool) -> Iterator[Weight]:
    yield Weight("model.embed_tokens.weight", "embedding", (sizes.vocabulary, sizes.hidden))
    for layer in range(sizes.layers):
        prefix = f"model.layers.{layer}"
        yield from _attention(f"{prefix}.self_attn", config, sizes)
        yield from _ffn(f"{prefix}.mlp", config, sizes)
        for norm in ("input_layernorm", "post_attention_layernorm"):
            yield Weight(f"{prefix}.{norm}.weight", "norm", (sizes.hidden,))
    yield Weight("model.norm.weight", "norm", (sizes.hidden,))
    if not tied:
        yield Weight("lm_head.weight", "head", (sizes.vocabulary, sizes.hidden))


def _attention(prefix: str, config: Mapping[str, Any], sizes: _Sizes) -> Iterator[Weight]:
    asked = bool(config.get("attention_bias", False))
    inner, outer = (asked if fixed is None else fixed for fixed in _FAMILIES[config["model_type"]])
    query, key = sizes.heads * sizes.head_dim, sizes.kv_heads * sizes.head_dim
    for name, rows in (("q_proj", query), ("k_proj", key), ("v_proj", key)):
        yield from _linear(f"{prefix}.{name}", "attention", (rows, sizes.hidden), bias=inner)
    yield from _linear(f"{prefix}.o_proj", "attention", (sizes.hidden, query), bias=outer)
    if config["model_type"] in _WITH_HEAD_NORMS:
        for norm in ("q_norm", "k_norm"):
            yield Weight(f"{prefix}.{norm}.weight", "norm", (sizes.head_dim,))


def _ffn(prefix: str, config: Mapping[str, Any], sizes: _Sizes) -> Iterator[Weight]:
    bias = bool(config.get("mlp_bias", False)) and config["model_type"] == "llama"
    yield from _linear(f"{prefix}.gate_proj", "ffn", (sizes.ffn, sizes.hidden), bias=bias)
    yield from _linear(f"{prefix}.up_proj", "ffn", (sizes.ffn, sizes.hidden), bias=bias)
    yield from _linear(f"{prefix}.down_proj", "ffn", (sizes.hidden, sizes.ffn), bias=bias)


def _linear(name: str, part: Part, shape: tuple[int, int], *, bias: bool) -> Iterator[Weight]:
    yield Weight(f"{name}.weight", part, shape)
    if bias:
        yield Weight(f"{name}.bias", part, (shape[0],))
