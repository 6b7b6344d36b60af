"""The config of scoring by log-likelihood."""

from typing import Final, Literal

from pydantic import Field

from medray.config import Config
from medray.evaluation.prompts import Method, Style
from medray.evaluation.tasks.config import FewShotConfig

# Measured with SmolLM2-135M in float32 on two cores: one padded batch of eight took a quarter longer than eight rows.
_PROCESSOR_TOKENS: Final = 256
_DEVICE_TOKENS: Final = 16_384


class LoglikelihoodConfig(Config):
    """How prompts are written, what is scored, and how much at once.

    `normalise` divides an answer's log-likelihood by its length before the best is chosen: none is lm-eval's acc,
    characters its acc_norm, bytes its acc_bytes. A batch reads up to `batch_tokens` of contexts at once (null: few on a
    processor, where padding costs more than it saves) and holds keys and values of up to `held_positions`;
    `window_items` are sorted by length together.
    """

    style: Style = "lm_eval"
    method: Method = "letters"
    normalise: Literal["none", "bytes", "characters"] = "none"
    repeats: int = Field(default=1, ge=1, le=64)  # orders of options; the first is the file's own
    seed: int = 0
    few_shot: FewShotConfig = FewShotConfig()
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "float32"
    device: str = "cpu"
    batch_items: int = Field(default=64, ge=1)
    batch_tokens: int | None = Field(default=None, ge=1)
    held_positions: int = Field(default=32_768, ge=1)
    window_items: int = Field(default=256, ge=1)

    @property
    def tokens_at_once(self) -> int:
        """What `batch_tokens` comes to on the device."""
        return self.batch_tokens or (_PROCESSOR_TOKENS if self.device == "cpu" else _DEVICE_TOKENS)
