"""Which groups of requests go through the model together, and where their contexts are cut. Pure.

Groups of like length share a batch, within a budget of positions held. A beginning that several contexts share is read
once, when that saves enough.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from medray.evaluation.loglikelihood_requests import Request


@dataclass(frozen=True)
class Budget:
    """What one batch may take: groups, context ids read at once, positions of keys and values held."""

    items: int
    tokens: int
    positions: int


def batches(groups: Sequence[Sequence[Request]], budget: Budget) -> Iterator[list[int]]:
    """Yield places of groups, the longest first, within the budget unless a group alone exceeds it."""
    widths = [max(positions(request) for request in group) for group in groups]
    held = [sum(len(request.answers) if _branches(request) else 1 for request in group) for group in groups]
    batch: list[int] = []
    rows = branches = 0
    for place in sorted(range(len(groups)), key=lambda place: (-widths[place], place)):
        widest = widths[batch[0]] if batch else 0
        full = widest * (rows + len(groups[place])) > budget.tokens
        if batch and (len(batch) == budget.items or full or widest * (branches + held[place]) > budget.positions):
            yield batch
            batch, rows, branches = [], 0, 0
        batch.append(place)
        rows += len(groups[place])
        branches += held[place]
    if batch:
        yield batch


def positions(request: Request) -> int:
    """Return the length of the longest row."""
    return len(request.context) + max(len(answer) for answer in request.answers)


def _branches(request: Request) -> bool:
    return any(len(answer) > 1 for answer in request.answers)


def cuts(groups: Sequence[Sequence[Request]], worth: int) -> tuple[int, list[int]]:
    """Return how many ids of all contexts, and how many of each group's, are read once; none of a group is [].

    Each context keeps at least one id of its own after a cut. A cut that saves less than `worth` ids is not made.
    """
    contexts = [[request.context for request in group] for group in groups]
    every = [context for group in contexts for context in group]
    start = _ending(every)
    if start * (len(groups) - 1) < worth or len(groups) == 1:
        start = 0
    stems = [_ending(group) for group in contexts]
    saved = sum((stem - start) * (len(group) - 1) for stem, group in zip(stems, contexts, strict=True))
    return start, stems if saved >= worth and min(stems) > start else []


def common_prefix(sequences: Sequence[Sequence[int]]) -> int:
    """Return how many ids all sequences begin with."""
    first = sequences[0]
    shared = min(map(len, sequences))
    for other in sequences[1:]:
        shared = next((place for place in range(shared) if first[place] != other[place]), shared)
    return shared


def _ending(contexts: Sequence[Sequence[int]]) -> int:
    return min(common_prefix(contexts), min(map(len, contexts)) - 1)
