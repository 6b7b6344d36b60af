"""What a run can show, said before it is made: items, chance, and the least difference it would find."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from medray.evaluation.schema import Item
from medray.evaluation.tasks import Task
from medray.statistics import detectable_from_chance, detectable_paired


@dataclass(frozen=True, slots=True)
class TaskPlan:
    """One task before the run. Detectable differences are in accuracy, at 5 % and 80 % power; None for open tasks."""

    name: str
    n: int
    available: int
    rejected: Mapping[str, int]
    chance: float | None
    from_chance: float | None
    between_models: float | None

    def as_json(self) -> dict[str, Any]:
        """Return the plan for `summary.json`."""
        return {
            "n": self.n,
            "available": self.available,
            "rejected": dict(self.rejected),
            "chance": self.chance,
            "detectable_from_chance": self.from_chance,
            "detectable_between_models": self.between_models,
        }

    def line(self) -> str:
        """Return the plan as a person reads it."""
        rejected = f", {sum(self.rejected.values())} rows not usable" if self.rejected else ""
        head = f"{self.name}: {self.n} of {self.available} items{rejected}"
        if self.chance is None or self.from_chance is None or self.between_models is None:
            return head
        return (
            f"{head}; chance {self.chance:.1%}; would find {self.from_chance * 100:.1f} points above chance, "
            f"{self.between_models * 100:.1f} points between two models"
        )


def plan_task(task: Task, discordant: float) -> TaskPlan:
    """Plan a task; `discordant` is the share of items that only one of two compared models would get right."""
    chance = _chance(task.items)
    n = len(task.items)
    return TaskPlan(
        task.name,
        n,
        task.available,
        task.rejected,
        chance,
        None if chance is None else detectable_from_chance(n, chance),
        None if chance is None else detectable_paired(n, discordant),
    )


def _chance(items: Sequence[Item]) -> float | None:
    if items[0].kind == "open":
        return None
    return sum(1 / len(item.options) for item in items) / len(items)
