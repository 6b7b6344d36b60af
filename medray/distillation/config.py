"""What a distillation run may be told, with every contradiction refused at construction.

Batch sizes count rows, windows count tokens of the student's tokenizer. Defaults follow PAPER K3 to K7.
"""

from typing import Literal, Self

from pydantic import Field, model_validator

from medray.config import Config

ATTENTION_TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj")
FEED_FORWARD_TARGETS = ("gate_proj", "up_proj", "down_proj")


class LoraSettings(Config):
    """Low-rank adapter (K3, K4): rank, alpha, and which projections get one."""

    rank: int = Field(default=16, ge=1)
    alpha: float = Field(default=32.0, gt=0)
    targets: tuple[str, ...] = Field(default=ATTENTION_TARGETS + FEED_FORWARD_TARGETS, min_length=1)
    rank_stabilised: bool = True  # scale by alpha / sqrt(rank)
    dropout: float = Field(default=0.0, ge=0, lt=1)


class LossSettings(Config):
    """Weights of the loss terms (Eq. 6: l1 = ce, l2 = kl) and the temperature of the KL term."""

    ce: float = Field(default=0.5, ge=0)
    kl: float = Field(default=1.0, ge=0)
    temperature: float = Field(default=1.0, gt=0)

    @model_validator(mode="after")
    def _something_to_minimise(self) -> Self:
        if self.ce == 0 and self.kl == 0:
            raise ValueError("expected ce or kl above 0, got both 0: nothing would be trained")
        return self


class OptimiserSettings(Config):
    """AdamW under the cosine schedule with warm restarts (Eq. 5)."""

    lr_max: float = Field(default=5e-5, gt=0)
    lr_min: float = Field(default=1e-5, ge=0)
    cycles: int = Field(default=1, ge=1)
    warmup_steps: int = Field(default=0, ge=0)
    weight_decay: float = Field(default=0.0, ge=0)
    clip_norm: float = Field(default=1.0, gt=0)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.lr_min > self.lr_max:
            raise ValueError(f"expected lr_min <= lr_max, got {self.lr_min} > {self.lr_max}")
        return self


class ValidationSettings(Config):
    """How often, and on how many rows, validation loss is measured; `kl` also asks the teacher there."""

    every_steps: int = Field(default=50, ge=1)
    rows: int = Field(default=64, ge=1)
    kl: bool = True


class DistillConfig(Config):
    """Distil a teacher into a student with Ray Train: LoRA, cross-entropy and KL on the answer tokens.

    `steps`, when given, replaces `epochs`. `student` may be `prune:N` (N layers of the teacher).
    """

    teacher: str
    student: str
    data: str
    steps: int | None = Field(default=None, ge=1)
    epochs: int = Field(default=3, ge=1)
    global_batch_size: int = Field(default=64, ge=1)
    micro_batch_size: int = Field(default=4, ge=1)
    max_tokens: int = Field(default=1024, ge=16)
    too_long: Literal["truncate", "drop"] = "truncate"
    lora: LoraSettings = LoraSettings()
    loss: LossSettings = LossSettings()
    optimiser: OptimiserSettings = OptimiserSettings()
    validation: ValidationSettings = ValidationSettings()
    valid_share: float = Field(default=0.05, gt=0, lt=1)
    checkpoint_every_steps: int = Field(default=50, ge=1)
    num_workers: int = Field(default=2, ge=1)
    cpus_per_worker: int = Field(default=1, ge=1)
    use_gpu: Literal["auto", "yes", "no"] = "auto"
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    max_failures: int = Field(default=3, ge=0)
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _every_worker_has_work(self) -> Self:
        micro_batches = -(-self.global_batch_size // self.micro_batch_size)
        if micro_batches < self.num_workers:
            raise ValueError(
                f"expected at least one micro-batch a worker, got {micro_batches} (global_batch_size "
                f"{self.global_batch_size} / micro_batch_size {self.micro_batch_size}) for {self.num_workers} workers"
            )
        return self

    @property
    def wants_teacher(self) -> bool:
        """Whether any figure of the run needs the teacher's distribution."""
        return self.loss.kl > 0 or self.validation.kl
