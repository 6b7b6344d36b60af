"""Solved examples from a train split: drawn by seed, the same for all items of a task, never one of the items."""

from collections.abc import Iterable, Mapping, Sequence

from medray.data.text import hash64, words
from medray.errors import DataError
from medray.evaluation.schema import Item
from medray.evaluation.tasks.config import FewShotConfig
from medray.evaluation.tasks.loading import load_task


def load_shots(config: FewShotConfig, tasks: Iterable[str]) -> Mapping[str, Sequence[Item]]:
    """Return the candidates of each task in the order drawn; empty without shots. Raises DataError.

    A few more than `shots` are drawn, so that `shots_for` can leave out one that is the item itself.
    """
    if not config.shots:
        return {}
    return {task: _drawn(task, config) for task in tasks}


def shots_for(item: Item, candidates: Sequence[Item], shots: int) -> Sequence[Item]:
    """Return the first `shots` candidates that do not ask what the item asks. Raises DataError for too few."""
    asked = _key(item)
    other = [shot for shot in candidates if _key(shot) != asked][:shots]
    if len(other) < shots:
        raise DataError(f"task '{item.task}': expected {shots} train examples other than the item, got {len(other)}")
    return other


def _drawn(task: str, config: FewShotConfig) -> Sequence[Item]:
    if task not in config.files:
        raise DataError(f"task '{task}': expected a train split in few_shot.files, got none")
    found = load_task(task, config.files[task], limit=2 * config.shots + 1, seed=config.seed).items
    # The draw keeps the file's order, which may be sorted by subject: the hash of the id does not.
    return sorted(found, key=lambda item: hash64((str(config.seed), item.id)))


def _key(item: Item) -> int:
    return hash64(words(item.question))
