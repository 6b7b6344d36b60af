"""Items from exam files: what a task's name and its file make of each row.

`load_items` reads every file through `medray.data.sources`, so it takes the corpora as downloaded and tables of one's
own; `families` says what a name means (medqa, medmcqa, pubmedqa, mmlu, medquad, or nothing). Knows no model and no
prompt.
"""

from medray.evaluation.tasks.config import FewShotConfig, TasksConfig
from medray.evaluation.tasks.families import FAMILIES, Family, family_of
from medray.evaluation.tasks.few_shot import load_shots
from medray.evaluation.tasks.loading import Task, load_items, load_task

__all__ = [
    "FAMILIES",
    "Family",
    "FewShotConfig",
    "Task",
    "TasksConfig",
    "family_of",
    "load_items",
    "load_shots",
    "load_task",
]
