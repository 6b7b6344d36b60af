"""Where scorers live: in this process, or in actors of a Ray cluster, whose death costs an item and not the run."""

import contextlib
import os
import resource
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any

from medray import cluster
from medray.errors import CapabilityError, InputError
from medray.evaluation.runner import Worker, WorkerLost
from medray.evaluation.schema import Item, Outcome, Scorer

Factory = Callable[[], Scorer]
DIED, SILENT = "WorkerDied", "Timeout"


class LocalWorker:
    """A scorer in this process: no cluster to start, and no protection against a crash of the process."""

    def __init__(self, factory: Factory) -> None:
        self._factory = factory
        self._scorer = factory()

    def outcomes(self, items: Sequence[Item]) -> Iterator[Outcome]:
        """See `Worker`."""
        try:
            yield from self._scorer.score(items)
        except (InputError, CapabilityError):
            raise
        except Exception as error:  # whatever a library raises costs an item
            raise WorkerLost(type(error).__name__) from None

    def restart(self) -> None:
        """Make the scorer anew: an exception may have left it in any state."""
        self.close()
        self._scorer = self._factory()

    def peak_bytes(self) -> int:
        """See `Worker`; this process may have held other things as well."""
        return peak_bytes()

    def close(self) -> None:
        """Free the scorer."""
        with contextlib.suppress(Exception):
            self._scorer.close()


class RayWorker:
    """A scorer in an actor. Outcomes stream back one by one; after `silence_s` without any the actor is killed."""

    def __init__(self, factory: Factory, *, num_cpus: float, num_gpus: float, silence_s: float) -> None:
        self._factory = factory
        self._options = {"num_cpus": num_cpus, "num_gpus": num_gpus, "max_restarts": 0}
        self._silence_s = silence_s
        self._actor: Any = None
        self._start()

    def outcomes(self, items: Sequence[Item]) -> Iterator[Outcome]:
        """See `Worker`."""
        import ray

        actor = self._actor
        if actor is None:
            raise WorkerLost(DIED)
        stream = actor.score.options(num_returns="streaming").remote(list(items))
        while True:
            ready, _ = ray.wait([stream], timeout=self._silence_s)
            if not ready:
                raise WorkerLost(SILENT)
            try:
                reference = next(stream)
            except StopIteration:
                return
            yield _get(reference)

    def restart(self) -> None:
        """Start a fresh process and load the model again."""
        self.close()
        self._start()

    def peak_bytes(self) -> int:
        """See `Worker`; of the present process, not of one that was lost."""
        return int(_get(self._actor.peak_bytes.remote()))

    def close(self) -> None:
        """End the actor's process."""
        import ray

        if self._actor is not None:
            ray.kill(self._actor)
            self._actor = None

    def _start(self) -> None:
        import ray

        self._actor = ray.remote(_ScorerActor).options(**self._options).remote(self._factory)
        _get(self._actor.load.remote())


class _ScorerActor:
    """What runs in the actor's process."""

    def __init__(self, factory: Factory) -> None:
        self._factory = factory
        self._scorer: Scorer | None = None

    def load(self) -> None:
        """Make the scorer. Not in `__init__`: there an error would reach the driver as a dead actor only."""
        self._scorer = self._factory()

    def score(self, items: Sequence[Item]) -> Iterator[Outcome]:
        """Stream outcomes."""
        if self._scorer is not None:
            # Not `yield from`: Ray sends values into the generator, which an iterator under it may not take.
            for outcome in self._scorer.score(items):  # noqa: UP028
                yield outcome

    def peak_bytes(self) -> int:
        """Measure this process."""
        return peak_bytes()


def peak_bytes() -> int:
    """Return the peak of GPU memory where a GPU was used, else of this process's resident memory, in bytes."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return int(torch.cuda.max_memory_allocated())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _get(reference: Any) -> Any:
    import ray
    from ray.exceptions import RayError, RayTaskError

    try:
        return ray.get(reference)
    except RayTaskError as error:
        if isinstance(error.cause, InputError | CapabilityError):
            raise error.cause from None
        raise WorkerLost(type(error.cause).__name__) from None
    except RayError:
        raise WorkerLost(DIED) from None


@contextmanager
def workers(
    factory: Factory, count: int, *, cpus_each: float | None, gpus_each: float, silence_s: float
) -> Iterator[list[Worker]]:
    """Hold `count` workers on Ray, or one in this process when `count` is 0."""
    with ExitStack() as stack:
        stack.enter_context(_ray() if count else nullcontext())
        made: list[Worker] = []
        for _ in range(max(count, 1)):
            if count:
                each = cpus_each or max(1, (os.cpu_count() or 1) // count)
                worker: Worker = RayWorker(factory, num_cpus=each, num_gpus=gpus_each, silence_s=silence_s)
            else:
                worker = LocalWorker(factory)
            stack.callback(worker.close)
            made.append(worker)
        yield made


def _ray() -> AbstractContextManager[None]:
    return cluster.session(log_to_driver=False)
