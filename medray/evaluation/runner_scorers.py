"""From a config to the scorer it names; picklable, so that a worker makes its own."""

from dataclasses import dataclass

from medray.evaluation.config import EvaluateConfig
from medray.evaluation.schema import Scorer


@dataclass(frozen=True)
class ScorerFactory:
    """Makes the scorer of a config. Raises ModelError, ConfigError or CapabilityError."""

    config: EvaluateConfig

    def __call__(self) -> Scorer:
        """Load the model."""
        config = self.config
        if config.mode == "loglikelihood":
            from medray.evaluation.loglikelihood import LoglikelihoodScorer

            return LoglikelihoodScorer(config.model, config.loglikelihood)
        from medray.evaluation.generation import GenerationScorer

        return GenerationScorer(config.model, config.generation)
