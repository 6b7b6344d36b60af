"""What `serve_configs/*.yaml` may say under `args`: the pools, what requests should get, and the limits.

Validated once, by Ray Serve's typed builder or by `medray serve`. Nothing here opens a model.
"""

from typing import Annotated, Self

from pydantic import Field, model_validator

from medray.config import Config
from medray.inference.factory import EngineConfig
from medray.knowledge import CATEGORIES, Category

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Seconds = Annotated[float, Field(gt=0.0, le=86_400.0)]
Weight = Annotated[float, Field(ge=0.0, le=100.0)]
PoolName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]


class Weights(Config):
    """w1, w2, w3 of Eq. 7."""

    performance: Weight = 1.0
    fit: Weight = 1.0
    cost: Weight = 1.0


class Targets(Config):
    """What a request should get; the prediction P is the share that does."""

    ttft_s: Seconds = 2.0
    total_s: Seconds = 30.0
    tokens_per_s: Annotated[float, Field(gt=0.0)] = 5.0
    answer_tokens: Annotated[int, Field(ge=1)] = 128  # a typical answer, to predict its time


class Replicas(Config):
    """How many replicas a pool has; `min` 0 lets Serve scale it to zero when unused."""

    min: Annotated[int, Field(ge=0)] = 1
    max: Annotated[int, Field(ge=1)] = 1

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min > self.max:
            raise ValueError(f"expected min <= max, got {self.min} > {self.max}")
        return self


class PoolConfig(Config):
    """One pool: equal replicas of one engine with one model in one mode.

    `threads` sets the CPU threads of a replica (Ray would derive them from `num_cpus`). `specialties` limits the pool
    to some classes; None covers all. `queue_places` requests may wait in a replica, `max_queued_requests` before it.
    """

    name: PoolName
    engine: EngineConfig
    replicas: Replicas = Replicas()
    specialties: Annotated[tuple[Category, ...], Field(strict=False, min_length=1)] | None = None
    queue_places: Annotated[int, Field(ge=0)] = 3
    max_queued_requests: Annotated[int, Field(ge=1)] = 16
    num_cpus: Annotated[float, Field(ge=0.0)] = 0.5
    num_gpus: Annotated[float, Field(ge=0.0)] = 0.0
    threads: Annotated[int, Field(ge=1, le=1024)] = 2


class Limits(Config):
    """Bounds on what a request may ask and how long it may take."""

    max_body_bytes: Annotated[int, Field(ge=1024)] = 1_048_576
    max_messages: Annotated[int, Field(ge=1)] = 256
    max_tokens_default: Annotated[int, Field(ge=1)] = 256
    max_tokens: Annotated[int, Field(ge=1)] = 4096
    request_timeout_s: Seconds = 300.0
    first_token_timeout_s: Seconds = 120.0

    @model_validator(mode="after")
    def _default_within(self) -> Self:
        if self.max_tokens_default > self.max_tokens:
            raise ValueError("expected max_tokens_default <= max_tokens")
        return self


class Monitoring(Config):
    """How live the figures are kept.

    An idle replica generates a token every `probe_interval_s`; one that owes tokens and makes none for
    `stall_timeout_s` is replaced.
    """

    push_interval_s: Seconds = 1.0
    snapshot_max_age_s: Seconds = 5.0
    probe_interval_s: Seconds = 20.0
    stall_timeout_s: Seconds = 300.0

    @model_validator(mode="after")
    def _probes_before_stalls(self) -> Self:
        if self.stall_timeout_s < 2 * self.probe_interval_s:
            raise ValueError("expected stall_timeout_s >= 2 * probe_interval_s: an idle replica would count as stalled")
        return self

    @property
    def token_max_age_s(self) -> float:
        """How recent a real token must be for a pool to be ready: a few probes may be late on a busy machine."""
        return 4.0 * self.probe_interval_s


class ServingArgs(Config):
    """Arguments of `medray.serving.app:build_app`.

    `model_name` is the id clients use; `model_name:pool` asks for one pool. `fallback_model` is served, and said, in
    place of a model folder that does not exist.
    """

    pools: Annotated[tuple[PoolConfig, ...], Field(strict=False, min_length=1)]
    model_name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w./-]{0,79}$")] = "medray"
    fallback_model: str | None = None
    selector_replicas: Annotated[int, Field(ge=1)] = 1
    weights: Weights = Weights()
    targets: dict[Category, Targets] = Field(default_factory=dict)
    limits: Limits = Limits()
    monitoring: Monitoring = Monitoring()

    @model_validator(mode="after")
    def _distinct_pools(self) -> Self:
        names = [pool.name for pool in self.pools]
        if len(set(names)) != len(names):
            raise ValueError("expected a different name for every pool")
        return self

    def targets_by_class(self) -> dict[Category, Targets]:
        """Return the targets of every class, defaults where none are given."""
        return {category: self.targets.get(category, Targets()) for category in CATEGORIES}
