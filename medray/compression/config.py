"""What `jobs.compress` can be told. Contradictions are refused here, before any weight is read."""

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from medray.compression.plan import PlanOptions
from medray.config import Config

EXISTING_FORMATS = ("merged", "bitsandbytes")


class CompressConfig(Config):
    """Merge an adapter into its base, quantise by a plan, and measure what was lost."""

    model: str | None = None  # hub id, folder or artifact; None: the base that the adapter names
    adapter: str | None = None  # adapter folder or artifact; None: `model` as it is
    formats: tuple[str, ...] = EXISTING_FORMATS
    plan_only: bool = False  # write plan.json from config.json alone; no weights are read
    double_quantisation: bool = False  # quantise the 4-bit scales as well
    embedding_bits: Literal[16, 8] = 8  # embedding and head

    data: str = "sample"  # lessons or raw rows to measure on
    valid_share: float = Field(0.05, gt=0, lt=1)  # and seed as in training: no training row is measured
    rows: int = Field(24, ge=1)  # validation lessons measured
    max_tokens: int = Field(512, ge=16)  # of prompt and answer together; longer answers are cut
    batch_size: int = Field(4, ge=1)
    parity_prompts: int = Field(4, ge=1)
    parity_tolerance: float = Field(1e-4, gt=0)  # of float32 logits, adapter against merged

    dtype: Literal["float16", "bfloat16", "float32"] = "float16"  # what is stored unquantised
    compute_dtype: Literal["auto", "float16", "bfloat16", "float32"] = "auto"  # of the measurements
    device: str = "auto"  # auto: cuda where there is one, else cpu
    num_cpus: float = Field(1, gt=0)  # of the one Ray task that this is on a cluster
    num_gpus: float = Field(0, ge=0)
    seed: int = 0

    @field_validator("formats")
    @classmethod
    def _known(cls, formats: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [name for name in formats if name not in EXISTING_FORMATS]
        if unknown or not formats or len(set(formats)) != len(formats):
            raise ValueError(f"expected distinct formats of {', '.join(EXISTING_FORMATS)}, got {list(formats)}")
        return formats

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.model is None and self.adapter is None:
            raise ValueError("expected model or adapter, got neither: --set model=NAME or --set adapter=DIR")
        return self

    @property
    def plan_options(self) -> PlanOptions:
        """What the plan is made with."""
        return PlanOptions(double_quantisation=self.double_quantisation, embedding_bits=self.embedding_bits)
