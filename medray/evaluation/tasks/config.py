"""The config of what is asked: files by task name and how many items; solved examples, which scorers' configs hold."""

import re
from typing import Final

from pydantic import Field, field_validator

from medray.config import Config

TASK_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")


class FewShotConfig(Config):
    """Solved examples before the question, the same for all items of a task: `files` are train splits by task name."""

    shots: int = Field(default=0, ge=0, le=64)
    files: dict[str, str] = Field(default_factory=dict)
    seed: int = 0


class TasksConfig(Config):
    """Files by task name (`medqa`, `pubmedqa_no_context`, `my_exam`) and how many items of each.

    `limit` takes that many per task, drawn by `seed`; a smaller limit takes a part of what a larger one takes.
    """

    tasks: dict[str, str] = Field(default_factory=dict)
    limit: int | None = Field(default=None, ge=1)
    seed: int = 0

    @field_validator("tasks")
    @classmethod
    def _named(cls, value: dict[str, str]) -> dict[str, str]:
        if not all(TASK_NAME.fullmatch(name) and location for name, location in value.items()):
            raise ValueError("expected task names of small letters, digits and '_', each with a file or folder")
        return value
