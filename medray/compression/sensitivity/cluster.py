"""The pieces of a sensitivity analysis as Ray tasks: as many at once as the cluster has room for.

A worker process loads the model once and keeps it for its next piece. A piece whose worker died is tried again by Ray;
an error of ours arrives as it was raised.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from medray import cluster
from medray.compression.sensitivity.measure import Piece, Work, compute_piece, load

_RETRIES = 3
_loaded: dict[str, Any] = {}  # of this worker process: the one model that it holds


def on_ray(work: Work, pieces: Sequence[Piece]) -> Iterator[tuple[Piece, dict[str, Any]]]:
    """Compute pieces on the cluster of the session, or of one of its own, and yield them as they finish."""
    with cluster.session():
        import ray
        from ray.exceptions import RayTaskError

        options = {"num_cpus": work.config.num_cpus, "num_gpus": work.config.num_gpus, "max_retries": _RETRIES}
        task, shared = ray.remote(**options)(_piece), ray.put(work)
        waiting = {task.remote(shared, piece): piece for piece in pieces}
        try:
            while waiting:
                (done,), _ = ray.wait(list(waiting), num_returns=1)
                yield waiting.pop(done), ray.get(done)
        except RayTaskError as error:
            raise error.cause from None
        finally:
            for left in waiting:
                ray.cancel(left, force=False)


def _piece(work: Work, piece: Piece) -> dict[str, Any]:
    key = f"{work.ref.path} {work.config.model_dump_json()}"
    if key not in _loaded:
        _loaded.clear()
        _loaded[key] = load(work)
    return compute_piece(_loaded[key], work, piece)
