"""What a training step needs of the other workers: two operations, over torch.distributed or alone."""

from collections.abc import Sequence
from typing import Any, Protocol


class Collective(Protocol):
    """A group of workers, seen from one of them."""

    @property
    def rank(self) -> int: ...  # noqa: D102

    @property
    def world_size(self) -> int: ...  # noqa: D102

    def total(self, values: Sequence[float]) -> list[float]:
        """Return the element-wise sum over all ranks, in double precision, the same on every rank."""
        ...

    def gather(self, value: Any) -> list[Any]:
        """Return the plain value of every rank, in rank order."""
        ...


class Alone:
    """One process, no communication."""

    rank = 0
    world_size = 1

    def total(self, values: Sequence[float]) -> list[float]:
        """Return the values."""
        return list(values)

    def gather(self, value: Any) -> list[Any]:
        """Return the value."""
        return [value]


class ProcessGroup:
    """The default torch.distributed group (gloo or NCCL), tensors on this worker's device."""

    def __init__(self, device: Any) -> None:
        from torch import distributed

        self._distributed = distributed
        self._device = device
        self.rank: int = distributed.get_rank()
        self.world_size: int = distributed.get_world_size()

    def total(self, values: Sequence[float]) -> list[float]:
        """All-reduce in float64."""
        import torch

        tensor = torch.tensor(list(values), dtype=torch.float64, device=self._device)
        self._distributed.all_reduce(tensor)
        return [float(value) for value in tensor.cpu()]

    def gather(self, value: Any) -> list[Any]:
        """All-gather small plain values."""
        gathered: list[Any] = [None] * self.world_size
        self._distributed.all_gather_object(gathered, value)
        return gathered
