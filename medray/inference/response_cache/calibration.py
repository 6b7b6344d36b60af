"""What the shipped calibration says: weights of Eq. 8 per embedder, and false hits counted per class of question.

`calibration.json` beside this module is made by `medray cache calibrate` on labelled pairs. A class is served from
similar questions only if the 95 % upper bound of its false-hit rate is within the budget; a class with too few pairs
of its own is judged by all pairs together, and says so (`basis`).
"""

import json
from functools import cache
from pathlib import Path
from typing import Final, Literal

from pydantic import Field

from medray.config import Config, validate
from medray.errors import ConfigError
from medray.inference.response_cache.bounds import upper_bound

SHIPPED: Final = Path(__file__).with_name("calibration.json")


class Counted(Config):
    """Trials on pairs that must not hit, and how many did."""

    trials: int = Field(ge=0)
    false_hits: int = Field(ge=0)

    @property
    def bound(self) -> float:
        """The 95 % upper bound of the false-hit rate."""
        return upper_bound(self.false_hits, self.trials)


class Weights(Config):
    """Eq. 8 for one embedder: `a`, the threshold, and the share of paraphrases that reach the threshold."""

    jaccard_weight: float = Field(ge=0, le=1)
    threshold: float = Field(gt=0, le=1)
    candidate_recall: float = Field(ge=0, le=1)


class Calibration(Config):
    """See the module."""

    format: Literal[1] = 1
    minimal_pairs: int = Field(ge=0)
    paraphrases: int = Field(ge=0)
    pairs_sha256: str
    rules: str = ""  # version of the rules that were counted
    classes: dict[str, Counted]
    embedders: dict[str, Weights]

    @property
    def pooled(self) -> Counted:
        """All classes together."""
        counts = self.classes.values()
        return Counted(trials=sum(c.trials for c in counts), false_hits=sum(c.false_hits for c in counts))

    def judged_by(self, category: str, budget: float) -> tuple[Counted, Literal["own", "pooled"]]:
        """Return the counts that decide about a class: its own if they could prove the budget, else all."""
        own = self.classes.get(category)
        if own is not None and upper_bound(0, own.trials) <= budget:
            return own, "own"
        return self.pooled, "pooled"

    def weights_of(self, embedder: str) -> Weights:
        """Return Eq. 8's weights for an embedder. Raises ConfigError if it was never calibrated."""
        found = self.embedders.get(embedder)
        if found is None:
            raise ConfigError(
                f"cache: expected an embedder calibrated here ({', '.join(sorted(self.embedders))}), got another: run "
                "`medray cache calibrate`, or set jaccard_weight and threshold"
            )
        return found


def read_calibration(path: Path = SHIPPED) -> Calibration:
    """Read a calibration. Raises ConfigError."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"cache: cannot read the calibration {path.name}: {type(error).__name__}") from None
    return validate(Calibration, data, source=path.name)


@cache
def shipped() -> Calibration:
    """Return the calibration that ships with the package."""
    return read_calibration()
