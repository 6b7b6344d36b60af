"""Which groups of requests go through the model together, and where their contexts are cut. Pure.

Groups of like length share a batch, within a budget of positions held. A beginning that several contexts share is read
once, when that saves enough.
"""

from collections.abc import Iterator, Sequence

from medray.evaluation.loglikelihood_requests import Request


def batches(groups: Sequence[Sequence[Request]], *, items: int, tokens: int) -> Iterator[list[int]]:
    """Yield places of groups, the longest first: at most `items` of them, and `tokens` positions unless it is one."""
    widths = [max(positions(request) for request in group) for group in groups]
    heights = [sum(len(request.answers) for request in group) for group in groups]
    batch: list[int] = []
    rows = 0
    for place in sorted(range(len(groups)), key=lambda place: (-widths[place], place)):
        widest = widths[batch[0]] if batch else 0
        if batch and (len(batch) == items or widest * (rows + heights[place]) > tokens):
            yield batch
            batch, rows = [], 0
        batch.append(place)
        rows += heights[place]
    if batch:
        yield batch


def positions(request: Request) -> int:
    """Return the length of the longest row."""
    return len(request.context) + max(len(answer) for answer in request.answers)


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
