"""Measure how fast the response cache is: `python -m jobs.cache_bench --out DIR`.

Needs a few GB in DIR for a while and, for the embedder `minilm`, that it was pulled. A run is short and starts anew.
"""

import os
import sys
from functools import partial

from pydantic import Field

from jobs.cache_results import work_folder, write
from jobs.entry import Request, run
from medray.config import Config, config_hash
from medray.report import provenance


class CacheBenchConfig(Config):
    """How much is stored and looked up to measure the response cache."""

    entries: int = Field(default=100_000, ge=10, le=110_000)
    large_entries: int = Field(default=1_000_000, ge=10)
    lookups: int = Field(default=5_000, ge=10, le=8_000)
    embedders: tuple[str, ...] = ("static", "minilm")
    seed: int = 0


def bench(config: CacheBenchConfig, request: Request) -> None:
    """Run the job and say which goals were met."""
    from medray.inference.response_cache.measuring import folder, latency
    from medray.inference.response_cache.measuring.latency_page import goals

    load = os.getloadavg()[0]
    with work_folder(request.out) as work:
        look_ups = latency.measure(work / "look-ups", config.entries, config.lookups, config.embedders, config.seed)
        large = folder.measure(work / "large", config.large_entries, config.lookups, config.seed)
    made = provenance(seed=config.seed, config_hash=config_hash(config), command=request.command)
    result = {"look_ups": look_ups, "large": large, "load_before": load, "provenance": made}
    for goal in goals(result):
        print(f"{goal.what}: {goal.measured:.3g} {goal.unit} (below {goal.below:.3g}: {'yes' if goal.met else 'NO'})")
    write(request.out, "cache_latency.json", result)


main = partial(run, "cache_bench", CacheBenchConfig, bench)

if __name__ == "__main__":
    sys.exit(main())
