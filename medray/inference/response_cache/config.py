"""How the response cache is set up; every bound has its unit in its name."""

from pathlib import Path
from typing import Final

from pydantic import Field, field_validator

from medray.config import Config
from medray.knowledge import CATEGORIES

MIB: Final = 1024**2
DAY_S: Final = 86_400.0


class DiskConfig(Config):
    """The disk tier. It opens only with a key in MEDRAY_CACHE_KEY; processes of one machine may share the folder."""

    folder: Path
    max_bytes: int = Field(default=4 * 1024 * MIB, ge=MIB)  # sealed content; the file holds up to twice that
    flush_interval_s: float = Field(default=0.5, gt=0, le=60)  # what a kill may cost
    queue_bytes: int = Field(default=64 * MIB, ge=1)  # waiting to be written; more is not written, and counted


class CacheConfig(Config):
    """The cache. Without `disk` it lives in memory and needs no key."""

    memory_bytes: int = Field(default=256 * MIB, ge=1)
    max_vectors: int = Field(default=100_000, ge=1)  # over all scopes; about 1.2 kB each beside `memory_bytes`
    disk: DiskConfig | None = None
    ttl_s: float = Field(default=7 * DAY_S, gt=0)
    ttl_s_by_class: dict[str, float] = Field(default_factory=lambda: {"medication": DAY_S})
    semantic: bool = True
    embedder: str = "static"  # "static", "minilm" (pulled), or a sentence-transformers folder
    jaccard_weight: float | None = Field(default=None, ge=0, le=1)  # a of Eq. 8; None: as calibrated
    threshold: float | None = Field(default=None, gt=0, le=1)  # of Eq. 8; None: as calibrated
    neighbours: int = Field(default=16, ge=1, le=256)
    false_hit_budget: float = Field(default=0.01, gt=0, lt=1)  # 95 % upper bound under which a class is served
    audit_share: float = Field(default=0.01, ge=0, le=1)  # of semantic hits, once a recomputation is given
    max_question_characters: int = Field(default=2_000, ge=1)

    @field_validator("ttl_s_by_class")
    @classmethod
    def _known_classes(cls, value: dict[str, float]) -> dict[str, float]:
        unknown = sorted(set(value) - set(CATEGORIES))
        if unknown:
            raise ValueError(f"expected classes out of {', '.join(CATEGORIES)}, got {len(unknown)} unknown")
        if any(not seconds > 0 for seconds in value.values()):
            raise ValueError("expected seconds above 0")
        return value

    def ttl_of(self, category: str) -> float:
        """Return how long an answer of a class is served, in seconds."""
        return self.ttl_s_by_class.get(category, self.ttl_s)
