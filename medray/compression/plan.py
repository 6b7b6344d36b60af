"""The plan: how many bits each matrix gets. Pure data, made for one architecture and refused by any other.

The paper's fixed rule (R1: attention 8 bits, feed-forward 4-bit NF4) is the baseline; `solve` makes other plans of the
same shape, `uniform_plan` is what both are compared with. How many bytes a plan costs is the format's business
(`formats`), which 4-bit code suits a tensor is measured on its weights (`codes`).
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, Self

from pydantic import Field, model_validator

from medray.compression.architecture import PARTS, Architecture, Weight, architecture, part_of
from medray.config import Config
from medray.errors import ConfigError, ModelError

Bits = Literal[16, 8, 4]
BLOCKSIZE: Final = 64
FOUR_BIT_CODES: Final[Mapping[str, tuple[str, ...]]] = {
    "bitsandbytes": ("nf4", "fp4"),
    "gguf": ("q4_0", "q4_1", "iq4_nl", "q4_k"),
}
"""The 4-bit codes of each container that has a choice, its default first."""

_PAPER_BITS: Final[Mapping[str, Bits]] = {"attention": 8, "ffn": 4}


class Plan(Config):
    """Bits per module that owns a matrix ("model.layers.0.mlp.up_proj" -> 4), for one architecture.

    `codes` names the 4-bit code of modules that do not have their container's default; all of them are of one
    container. `blocksize` is the weights that share one scale of bitsandbytes, `double_quantisation` whether those
    scales are quantised themselves. `embedding_bits` hold for the embedding and an untied head alike.
    """

    format_version: Literal[1] = 1
    rule: str
    fingerprint: str
    bits: dict[str, Bits]
    code: Literal["nf4"] = "nf4"
    codes: dict[str, str] = Field(default_factory=dict)
    blocksize: Literal[64, 128, 256, 512, 1024, 2048, 4096] = BLOCKSIZE
    double_quantisation: bool = False
    embedding_bits: Literal[16, 8] = 8

    @model_validator(mode="after")
    def _codes_fit(self) -> Self:
        if self.codes and self.container is None:
            known = "; ".join(f"{name}: {', '.join(codes)}" for name, codes in FOUR_BIT_CODES.items())
            raise ValueError(
                f"codes: expected 4-bit codes of one container ({known}), got {sorted(set(self.codes.values()))}"
            )
        if strange := sorted(module for module in self.codes if self.bits.get(module) != 4):
            raise ValueError(f"codes: expected modules with 4 bits, got {strange[0]} and {len(strange) - 1} more")
        return self

    @property
    def container(self) -> str | None:
        """The container that the codes belong to; None without codes: any."""
        chosen = set(self.codes.values())
        return next((name for name, codes in FOUR_BIT_CODES.items() if chosen and chosen <= set(codes)), None)

    def code_of(self, module: str, container: str) -> str:
        """Return the 4-bit code of a module in a container. Raises ConfigError where the codes are another's."""
        if container not in FOUR_BIT_CODES or (self.codes and self.container != container):
            raise ConfigError(f"expected a plan with codes of {container}, got codes of {self.container}: choose again")
        return self.codes.get(module, FOUR_BIT_CODES[container][0])

    def with_codes(self, codes: Mapping[str, str]) -> "Plan":
        """Return the same bits with these 4-bit codes; none means every container's default. Raises ConfigError."""
        try:
            return type(self).model_validate({**self.model_dump(), "codes": dict(codes)})
        except ValueError as error:
            raise ConfigError(f"plan: {error.errors(include_url=False)[0]['msg']}") from None  # type: ignore[attr-defined]

    def within(self, container: str) -> "Plan":
        """Return the plan as `container` reads it: codes of another container are left out."""
        return self if self.container in (None, container) else self.with_codes({})

    def check(self, model: Architecture) -> None:
        """Refuse a model that the plan was not made for. Raises ModelError."""
        matrices = {weight.module for weight in model.weights if weight.is_matrix}
        if self.fingerprint != model.fingerprint or set(self.bits) != matrices:
            raise ModelError(
                f"expected the model that the plan was made for ({self.fingerprint}), got another architecture "
                f"({model.fingerprint}): make a plan for this one"
            )

    def bits_per_part(self) -> dict[str, int]:
        """Return the most bits that any matrix of a part has; norms and biases stay at 16."""
        found = {"norm": 16}
        for module, bits in self.bits.items():
            part = part_of(module)
            found[part] = max(found.get(part, 0), bits)
        return {part: found[part] for part in PARTS if part in found}


class PlanOptions(Config):
    """What a caller may choose beside the bits. The defaults are those of the paper's arithmetic (R1)."""

    double_quantisation: bool = False  # quantise the 4-bit scales as well
    embedding_bits: Literal[16, 8] = 8


def paper_plan(config_json: Mapping[str, Any], options: PlanOptions | None = None) -> Plan:
    """Return the paper's fixed rule (R1) for the model of a `config.json`. Raises ModelError."""
    return make_plan("paper", architecture(config_json), lambda weight: _PAPER_BITS[weight.part], options)


def uniform_plan(config_json: Mapping[str, Any], bits: Bits, options: PlanOptions | None = None) -> Plan:
    """Return the same bits for every projection of the model of a `config.json`. Raises ModelError."""
    return make_plan(f"uniform-{bits}", architecture(config_json), lambda weight: bits, options)


def make_plan(
    rule: str, model: Architecture, bits_of: Callable[[Weight], Bits], options: PlanOptions | None = None
) -> Plan:
    """Return a plan with `bits_of` each projection; embedding and head as the options say.

    A matrix whose rows are not whole blocks keeps 8 bits: bitsandbytes reads its 4-bit form wrongly on some processors.
    """
    chosen = options or PlanOptions()
    bits: dict[str, Bits] = {}
    for weight in model.weights:
        if weight.is_matrix:
            wanted = bits_of(weight) if is_projection(weight) else chosen.embedding_bits
            bits[weight.module] = 8 if wanted == 4 and not holds_four_bits(weight) else wanted
    return Plan(
        rule=rule,
        fingerprint=model.fingerprint,
        bits=bits,
        double_quantisation=chosen.double_quantisation,
        embedding_bits=chosen.embedding_bits,
    )


def is_projection(weight: Weight) -> bool:
    """Tell whether a tensor is a matrix of a decoder layer: what a plan may give any number of bits."""
    return weight.is_matrix and weight.part in _PAPER_BITS


def holds_four_bits(weight: Weight) -> bool:
    """Tell whether every format can store the matrix at 4 bits: its rows are whole blocks."""
    return weight.shape[-1] % BLOCKSIZE == 0
