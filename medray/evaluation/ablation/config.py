"""The config of an ablation: strict data, checked against the configs of the jobs that its trials run."""

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from medray.config import Config, changed, validate
from medray.distillation.config import DistillConfig
from medray.errors import ConfigError
from medray.evaluation.config import EvaluateConfig

_OWN_TRAINING = ("seed",)  # keys that the grid sets
_OWN_EVALUATION = ("model", "teacher")


class RowConfig(Config):
    """One row: its label, and which keys of the training config differ from the common ones."""

    name: str = Field(min_length=1)
    set: dict[str, Any] = Field(default_factory=dict)


class AblateConfig(Config):
    """Train the rows of an ablation table with several seeds, evaluate each, and compare with the reference row."""

    table: Literal["T3"] = "T3"
    rows: tuple[RowConfig, ...] = Field(min_length=2)
    reference: str  # the row that all others are compared with
    baseline: str  # the row that the reference must beat by two standard deviations, else the table has no power
    seeds: tuple[int, ...] = Field(min_length=2)
    distill: dict[str, Any]  # what jobs.distill takes, common to all rows
    evaluate: dict[str, dict[str, Any]] = Field(default_factory=dict)  # by name: what jobs.evaluate takes
    columns: dict[str, str] = Field(default_factory=dict)  # a column of the paper's table -> figure
    decide: str  # the figure by which power is judged
    lower_is_better: tuple[str, ...] = ()
    concurrent: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [row.name for row in self.rows]
        if len(set(names)) != len(names) or len(set(self.seeds)) != len(self.seeds):
            raise ValueError("rows and seeds: expected distinct ones")
        for key in (self.reference, self.baseline):
            if key not in names:
                raise ValueError(f"expected reference and baseline among the rows, got '{key}'")
        if self.reference == self.baseline:
            raise ValueError("expected reference and baseline to be two rows")
        parts = ((self.distill, _OWN_TRAINING), *((part, _OWN_EVALUATION) for part in self.evaluate.values()))
        own = [key for part, keys in parts for key in keys if key in part]
        if own:
            raise ValueError(f"{own[0]}: the ablation sets it; use `seeds` for seeds")
        return self

    def training(self, row: RowConfig, seed: int) -> DistillConfig:
        """Return the training config of a trial. Raises ConfigError naming the row."""
        data = changed(self.distill, {**row.set, "seed": seed})
        return validate(DistillConfig, data, source=f"row '{row.name}'")

    def evaluation(self, name: str, model: str, teacher: str = "") -> EvaluateConfig:
        """Return the config of one evaluation of a model; `teacher` is a finished one of the teacher, for KRR.

        Raises ConfigError naming the evaluation.
        """
        data = {**self.evaluate[name], "model": model, "teacher": teacher}
        return validate(EvaluateConfig, data, source=f"evaluate.{name}")

    def check(self) -> None:
        """Validate every row and evaluation before anything runs. Raises ConfigError."""
        for row in self.rows:
            self.training(row, self.seeds[0])
        for name in self.evaluate:
            self.evaluation(name, "any")
        same = [row.name for row in self.rows if row.name != self.reference and self._like_reference(row)]
        if same:
            raise ConfigError(f"row '{same[0]}': expected it to differ from '{self.reference}', got the same settings")

    def _like_reference(self, row: RowConfig) -> bool:
        reference = next(one for one in self.rows if one.name == self.reference)
        return self.training(row, 0) == self.training(reference, 0)
