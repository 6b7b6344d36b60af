"""The config of the data stage: what to read, what to drop, how to split."""

from typing import Any, Final, Literal, Self, TypeAlias

from pydantic import Field, field_validator, model_validator

from medray.config import Config

Format: TypeAlias = Literal["auto", "medquad", "medqa", "medmcqa", "pubmedqa", "table"]

MAX_REJECT_SHARE: Final = 0.05


class LengthBounds(Config):
    """Bounds in characters, both included; answers of exams are options and have only the upper one."""

    min_question_chars: int = Field(default=5, ge=1)
    max_question_chars: int = Field(default=8_000, ge=1)
    min_answer_chars: int = Field(default=5, ge=1)
    max_answer_chars: int = Field(default=40_000, ge=1)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min_question_chars > self.max_question_chars or self.min_answer_chars > self.max_answer_chars:
            raise ValueError("expected each minimum at or below its maximum: swap them")
        return self


class LeakageConfig(Config):
    """A training row leaks when it holds `overlap` of the word n-grams of some test question."""

    ngram_words: int = Field(default=8, ge=3, le=50)
    overlap: float = Field(default=0.5, gt=0, le=1)


class PrepareConfig(Config):
    """Corpora to lessons: read, normalise, drop duplicates and leaks, split, classify, write Parquet."""

    data: tuple[str, ...] = Field(min_length=1)
    test_sets: tuple[str, ...] = ()
    format: Format = "auto"
    length: LengthBounds = LengthBounds()
    near_duplicate_threshold: float | None = Field(default=0.85, ge=0.5, le=1)  # Jaccard; null turns the step off
    leakage: LeakageConfig = LeakageConfig()
    valid_share: float = Field(default=0.05, ge=0, lt=1)
    seed: int = 0
    max_reject_share: float = Field(default=MAX_REJECT_SHARE, ge=0, le=1)  # of rows that are bad, not of rows unwanted

    @field_validator("data", "test_sets", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        if isinstance(value, str):
            return (value,)
        # A validator ahead of the type makes pydantic judge the parsed value, where strict means tuple.
        return tuple(value) if isinstance(value, list) else value

    @field_validator("data", "test_sets")
    @classmethod
    def _named_once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(value) or len(set(value)) != len(value):
            raise ValueError("expected non-empty paths, each named once")
        return value
