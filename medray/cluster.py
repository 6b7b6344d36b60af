"""One way into Ray: join the cluster that `RAY_ADDRESS` names, else start a small local one and stop it afterwards.

Nothing else calls `ray.init`. A cluster found by accident (a stale `ray start` of somebody else) is never joined.
"""

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager

LOCAL_OBJECT_STORE_BYTES = 400 * 1024**2
_LOCAL_CPUS = 8  # logical: placement only, so that two training workers fit on two cores


def environment() -> None:
    """Set Ray's switches before its first import: token authentication on, usage statistics off."""
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_TRAIN_ENABLE_STATE_TRACKING", "0")
    # Ray Data's newer Parquet reader spends about 20 s a pass on a handful of small files.
    os.environ.setdefault("RAY_DATA_USE_DATASOURCE_V2", "0")


def load_native() -> None:
    """Load Ray's native library before another that carries its own `std::regex` (usearch's does).

    The other way round both share what one of them defines, and the next `ray.init` of the process aborts.
    """
    environment()
    importlib.import_module("ray._raylet")


@contextmanager
def session(*, num_cpus: int | None = None, dashboard: bool = False, log_to_driver: bool = True) -> Iterator[None]:
    """Hold a connection to Ray; a local cluster that this started is shut down on the way out.

    Without `log_to_driver` what workers print stays in Ray's log files, and the caller's own progress is readable.
    """
    environment()
    import ray

    if ray.is_initialized():
        yield
        return
    address = os.environ.get("RAY_ADDRESS")
    if address:
        ray.init(address=address, log_to_driver=log_to_driver)
    else:
        ray.init(
            address="local",
            num_cpus=max(num_cpus or 0, os.cpu_count() or 1, _LOCAL_CPUS),
            object_store_memory=LOCAL_OBJECT_STORE_BYTES,
            include_dashboard=dashboard,
            dashboard_host="127.0.0.1",
            log_to_driver=log_to_driver,
        )
    try:
        yield
    finally:
        ray.shutdown()
