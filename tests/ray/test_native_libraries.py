"""Native libraries that must live in one process with Ray, whichever is used first."""

import subprocess
import sys

import pytest

CACHE_THEN_RAY = """
from medray import cluster
from medray.inference.response_cache.index import Partition
Partition(4)
with cluster.session(log_to_driver=False):
    import ray
    print(ray.get(ray.remote(lambda: "both").remote()))
"""


@pytest.mark.timeout(120)
def test_the_cache_before_ray():
    """usearch before Ray's own library made the next `ray.init` abort the process."""
    result = subprocess.run([sys.executable, "-c", CACHE_THEN_RAY], capture_output=True, text=True, timeout=110)
    assert result.returncode == 0, result.stderr[-1000:]
    assert result.stdout.split()[-1] == "both"
