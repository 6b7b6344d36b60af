"""The config of scoring by log-likelihood."""

from typing import Literal

from pydantic import Field

from medray.config import Config
from medray.evaluation.prompts import Method, Style
from medray.evaluation.tasks.config import FewShotConfig


class LoglikelihoodConfig(Config):
    """How prompts are written, what is scored, and how much at once.

    `normalise` divides an answer's log-likelihood by its length before the best is chosen: none is lm-eval's acc,
    characters its acc_norm, bytes its acc_bytes. `batch_tokens` bounds the positions held in one batch, `window_items`
    how many items are sorted by length together.
    """

    style: Style = "lm_eval"
    method: Method = "letters"
    normalise: Literal["none", "bytes", "characters"] = "none"
    repeats: int = Field(default=1, ge=1, le=64)  # orders of options; the first is the file's own
    seed: int = 0
    few_shot: FewShotConfig = FewShotConfig()
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "float32"
    device: str = "cpu"
    batch_items: int = Field(default=8, ge=1)
    batch_tokens: int = Field(default=8192, ge=1)
    window_items: int = Field(default=256, ge=1)
