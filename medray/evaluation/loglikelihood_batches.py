"""Which groups of requests go through the model together: of like length, within a budget of positions held. Pure."""

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


def common_prefix(sequences: Sequence[Sequence[int]]) -> int:
    """Return how many ids all sequences begin with."""
    first = sequences[0]
    shared = min(map(len, sequences))
    for other in sequences[1:]:
        shared = next((place for place in range(shared) if first[place] != other[place]), shared)
    return shared
