"""Replay questions through the cache and an engine: `python -m jobs.cache_replay --out DIR`.

`--set questions=FILE` names MedQuAD's questions as Parquet with columns focus and qtype; without it the stream holds
the labelled paraphrases alone. The number of computations is bounded, so a run takes minutes and starts anew.
"""

import random
import sys
from functools import partial
from itertools import islice
from pathlib import Path

from pydantic import Field

from jobs.cache_results import write
from jobs.entry import Request, run
from medray.config import Config, config_hash
from medray.report import provenance

_PAIRS = Path("tests/unit/inference/response_cache/pairs")


class CacheReplayConfig(Config):
    """A stream of questions by Zipf's law, through the response cache and a real engine."""

    model: str = "smollm2-135m"
    questions: Path | None = None
    pairs: Path = _PAIRS
    medquad_intents: int = Field(default=220, ge=0)
    pair_intents: int = Field(default=80, ge=0)
    requests: int = Field(default=600, ge=1)
    engine_calls: int = Field(default=300, ge=1)  # the replay ends when they are spent
    computed_again_every: int = Field(default=20, ge=1)  # so many hits, to check what they are charged
    threads: int = Field(default=1, ge=1)  # of the engine: on shared cores more than one stall each other
    exponent: float = Field(default=1.0, gt=0)
    max_tokens: int = Field(default=48, ge=1)
    stop: tuple[str, ...] = (".", "\n")
    seed: int = 0


def replay_questions(config: CacheReplayConfig, request: Request) -> None:
    """Run the job and say the hit rate."""
    import torch

    from medray.inference.factory import EngineConfig, build_engine
    from medray.inference.response_cache.measuring import traffic
    from medray.inference.response_cache.measuring.replay import replay
    from medray.inference.response_cache.measuring.replay_page import hit_rate
    from medray.inference.response_cache.safety.pairs import read_pairs

    torch.set_num_threads(config.threads)
    rng = random.Random(config.seed)  # noqa: S311 - a stream to measure with
    public = traffic.medquad_intents(config.questions, config.medquad_intents, rng) if config.questions else []
    intents = [*public, *traffic.pair_intents(read_pairs(config.pairs).paraphrases, config.pair_intents, rng)]
    found = replay(
        build_engine(EngineConfig(model=config.model)),
        islice(traffic.stream(intents, config.exponent, rng), config.requests),
        max_tokens=config.max_tokens,
        stop=config.stop,
        calls=config.engine_calls,
        again_every=config.computed_again_every,
    )
    made = provenance(seed=config.seed, config_hash=config_hash(config), command=request.command)
    shown = {name: getattr(config, name) for name in ("model", "exponent", "max_tokens", "threads")}
    result = {"config": shown, "intents": len(intents), "medquad_intents": len(public), **found, "provenance": made}
    print(f"hit rate {hit_rate(result):.1%} of {result['requests']} questions")
    write(request.out, "cache_replay.json", result)


main = partial(run, "cache_replay", CacheReplayConfig, replay_questions)

if __name__ == "__main__":
    sys.exit(main())
