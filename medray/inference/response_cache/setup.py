"""Putting the semantic part of a cache together from its config: rules, embedder, weights of Eq. 8."""

from medray.errors import ConfigError
from medray.inference.response_cache.calibration import Calibration, Weights
from medray.inference.response_cache.clinical import Equivalence
from medray.inference.response_cache.config import CacheConfig
from medray.inference.response_cache.disk import DiskTier
from medray.inference.response_cache.embedders import Embedder, build_embedder
from medray.inference.response_cache.memory import MemoryTier
from medray.inference.response_cache.semantic import SemanticLookup, Veto
from medray.inference.response_cache.tiers import BuildSemantic


def semantic_builder(
    config: CacheConfig, rules: Equivalence, calibration: Calibration, embedder: Embedder | None, veto: Veto | None
) -> BuildSemantic:
    """Return what makes the semantic look-up over a memory and a disk tier; None for a config without one.

    Raises ConfigError or ModelError, before any file is opened.
    """
    if not config.semantic:
        return lambda memory, disk: None
    used, weights = embedder or build_embedder(config.embedder), weights_of(config, calibration)

    def build(memory: MemoryTier, disk: DiskTier | None) -> SemanticLookup:
        return SemanticLookup(
            rules,
            used,
            weights,
            neighbours=config.neighbours,
            max_vectors=config.max_vectors,
            memory=memory,
            disk=disk,
            veto=veto,
        )

    return build


def weights_of(config: CacheConfig, calibration: Calibration) -> Weights:
    """Return Eq. 8's weights: as configured, else as calibrated for the embedder. Raises ConfigError."""
    given = (config.jaccard_weight, config.threshold)
    if given[0] is not None and given[1] is not None:
        return Weights(jaccard_weight=given[0], threshold=given[1], candidate_recall=0.0)
    if given != (None, None):
        raise ConfigError("cache: jaccard_weight and threshold belong together: set both, or neither")
    return calibration.weights_of(config.embedder)
