"""The plan: how many bits each matrix gets. Pure data, made for one architecture and refused by any other.

The paper's fixed rule (R1: attention 8 bits, feed-forward 4-bit NF4) is the baseline; a solver may make other plans of
the same shape. How many bytes a plan costs is the format's business (`formats`).
"""

from collections.abc import Mapping
from typing import Any, Final, Literal

from medray.compression.architecture import PARTS, Architecture, architecture, part_of
from medray.config import Config
from medray.errors import ModelError

Bits = Literal[16, 8, 4]
_BLOCKSIZE: Final = 64
_PAPER_BITS: dict[str, Bits] = {"attention": 8, "ffn": 4}


class Plan(Config):
    """Bits per module that owns a matrix ("model.layers.0.mlp.up_proj" -> 4), for one architecture.

    `code` is the 4-bit code, `blocksize` the weights that share one of its scales, `double_quantisation` whether those
    scales are quantised themselves. `embedding_bits` hold for the embedding and an untied head alike.
    """

    format_version: Literal[1] = 1
    rule: str
    fingerprint: str
    bits: dict[str, Bits]
    code: Literal["nf4"] = "nf4"
    blocksize: Literal[64, 128, 256, 512, 1024, 2048, 4096] = _BLOCKSIZE
    double_quantisation: bool = True
    embedding_bits: Literal[16, 8] = 16

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
    """What a caller may choose about the paper's rule."""

    double_quantisation: bool = True  # quantise the 4-bit scales as well
    embedding_bits: Literal[16, 8] = 16


def paper_plan(config_json: Mapping[str, Any], options: PlanOptions | None = None) -> Plan:
    """Return the paper's fixed rule (R1) for the model of a `config.json`. Raises ModelError.

    A matrix whose rows are not whole blocks keeps 8 bits: bitsandbytes reads its 4-bit form wrongly on some processors.
    """
    chosen = options or PlanOptions()
    model = architecture(config_json)
    bits: dict[str, Bits] = {}
    for weight in model.weights:
        if weight.is_matrix:
            wanted = _PAPER_BITS.get(weight.part, chosen.embedding_bits)
            bits[weight.module] = 8 if wanted == 4 and weight.shape[-1] % _BLOCKSIZE else wanted
    return Plan(
        rule="paper",
        fingerprint=model.fingerprint,
        bits=bits,
        double_quantisation=chosen.double_quantisation,
        embedding_bits=chosen.embedding_bits,
    )
