"""Which rows a step trains on, and which worker takes which of them: pure functions of (seed, step).

Rows flow as integer indices into the encoded lessons. The global batch of a step does not depend on the number of
workers, and a resumed run asks for step k and gets what it would have got. A curriculum replaces `TrainingOrder`.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]


class TrainingOrder:
    """An endless sequence of epochs, each its own permutation, cut into global batches of equal size."""

    def __init__(self, *, seed: int, rows: int, global_batch_size: int) -> None:
        self._seed = seed
        self._rows = rows
        self._size = global_batch_size

    def total_steps(self, epochs: int) -> int:
        """Return the steps in which every row is seen at least `epochs` times."""
        return -(-self._rows * epochs // self._size)

    def batch(self, step: int) -> Rows:
        """Return the rows of 0-based `step`; batches run on across the border of two epochs."""
        parts: list[Rows] = []
        position, wanted = step * self._size, self._size
        while wanted:
            epoch, start = divmod(position, self._rows)
            part = permutation(self._seed, epoch, self._rows)[start : start + wanted]
            parts.append(part)
            position, wanted = position + len(part), wanted - len(part)
        return np.concatenate(parts)


@lru_cache(maxsize=2)
def permutation(seed: int, epoch: int, rows: int) -> Rows:
    """Return the order of all rows in one epoch."""
    order = np.random.Generator(np.random.PCG64([seed, epoch])).permutation(rows).astype(np.int64)
    order.flags.writeable = False
    return order


def micro_batches(rows: Rows, lengths: NDArray[np.int32], size: int) -> list[Rows]:
    """Cut a global batch into micro-batches of at most `size` rows of like length, so that little is padding."""
    by_length = rows[np.argsort(-lengths[rows], kind="stable")]
    return [by_length[start : start + size] for start in range(0, len(by_length), size)]


def share(costs: Sequence[int], rank: int, world_size: int) -> list[int]:
    """Return the indices of the micro-batches that `rank` takes: each next one goes to the least loaded rank.

    With at least `world_size` positive costs every rank gets one or more.
    """
    loads = [0] * world_size
    owners = []
    for cost in costs:
        owner = loads.index(min(loads))
        loads[owner] += cost
        owners.append(owner)
    return [index for index, owner in enumerate(owners) if owner == rank]


def padded_tokens(batches: Sequence[Rows], lengths: NDArray[np.int32]) -> list[int]:
    """Return the cost of each micro-batch: tokens after padding."""
    return [int(lengths[rows].max()) * len(rows) for rows in batches]


def step_seed(seed: int, step: int, rank: int) -> int:
    """Return the seed of whatever is random inside one step on one rank (dropout)."""
    return int(np.random.SeedSequence([seed, step, rank]).generate_state(1)[0])
