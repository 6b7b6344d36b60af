"""The config of an evaluation: what is asked, of which model, how answers are got, where the work runs."""

from typing import Literal, Self

from pydantic import Field, model_validator

from medray.config import Config
from medray.data.config import LeakageConfig
from medray.evaluation.generation_answerers import is_url
from medray.evaluation.generation_config import GenerationConfig
from medray.evaluation.loglikelihood_config import LoglikelihoodConfig
from medray.evaluation.tasks import TasksConfig

Mode = Literal["loglikelihood", "generate"]


class RunConfig(Config):
    """Where the work runs; no figure depends on it. `workers` 0 is this process, without Ray and without protection
    against an engine that takes its process down; `cpus_each` null shares the cores out.
    """

    workers: int = Field(default=1, ge=0)
    cpus_each: float | None = Field(default=None, gt=0)
    gpus_each: float = Field(default=0.0, ge=0)
    chunk_items: int = Field(default=32, ge=1)
    silence_s: float = Field(default=1800.0, gt=0)  # a worker without any outcome for so long is replaced
    max_lost_in_a_row: int = Field(default=8, ge=1)
    max_failed_in_a_row: int = Field(default=64, ge=1)


class ReportConfig(Config):
    """What is said about the figures. `discordant` is the share of items on which two compared models may differ."""

    level: float = Field(default=0.95, gt=0.5, lt=1.0)
    seed: int = 0
    discordant: float = Field(default=0.3, gt=0, le=1)


class TrainingConfig(Config):
    """What the model was trained on: prepared lessons or raw corpora. Items found there are listed and told apart."""

    corpora: tuple[str, ...] = ()
    leakage: LeakageConfig = LeakageConfig()


class EvaluateConfig(TasksConfig):
    """Ask a model, or an OpenAI-compatible URL, the questions of exams and report what it got right."""

    model: str = Field(min_length=1)
    mode: Mode = "loglikelihood"
    loglikelihood: LoglikelihoodConfig = LoglikelihoodConfig()
    generation: GenerationConfig = GenerationConfig()
    training: TrainingConfig = TrainingConfig()
    teacher: str = ""  # a finished evaluation of the teacher on the same items: the knowledge retention rate
    run: RunConfig = RunConfig()
    report: ReportConfig = ReportConfig()
    write_quality: bool = False  # into the manifest of the model's own artifact, for the selector

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.tasks:
            raise ValueError("expected at least one task: --set tasks.medqa=FILE")
        if is_url(self.model) and self.mode == "loglikelihood":
            raise ValueError("a URL gives no log-likelihoods of given answers: --set mode=generate")
        if is_url(self.model) and self.write_quality:
            raise ValueError("write_quality: a URL has no manifest to write to: name the artifact")
        return self
