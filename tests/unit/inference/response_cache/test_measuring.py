"""What the jobs measure: small runs end to end, goals that can be missed, pages that match their results."""

import asyncio
import json
import os
import random
import re
from itertools import islice
from pathlib import Path

import pytest

from jobs import cache_bench, cache_replay, cache_results
from medray.config import load
from medray.errors import ConfigError, DataError
from medray.inference.engine import Delta
from medray.inference.response_cache.clinical import ClinicalRules
from medray.inference.response_cache.keys import KEY_VARIABLE
from medray.inference.response_cache.measuring import latency_page, replay_page, traffic
from medray.inference.response_cache.measuring.questions import how_many, question
from medray.inference.response_cache.measuring.replay import replay

CONFIGS = Path(cache_bench.__file__).parent / "configs"


def test_the_shipped_configs_are_the_defaults():
    pairs = (("cache_bench", cache_bench.CacheBenchConfig), ("cache_replay", cache_replay.CacheReplayConfig))
    for name, config in pairs:
        assert load(config, CONFIGS / f"{name}.yaml") == config()


def test_the_page_is_made_from_the_results(root):
    assert (root / "docs/cache-latency.md").read_text() == cache_results.page(root)


def test_the_example_of_the_documentation_runs(root, capsys):
    text = (root / "docs/cache.md").read_text()
    exec(re.search(r"```python\n(.*?)```", text, re.DOTALL).group(1), {})
    assert capsys.readouterr().out.startswith("semantic ['Muscle pain.', '']\n['population")


@pytest.mark.parametrize("name", cache_results.RESULTS)
def test_results_name_no_place_of_the_machine(root, name):
    text = (root / "docs/results" / name).read_text()
    assert not re.search(r"/(?:work|root|home|tmp)\b", text)


def test_questions_differ_and_their_wordings_do_not():
    numbers = random.Random(0).sample(range(how_many()), 200)
    rules = ClinicalRules()
    assert len({question(number) for number in numbers}) == 200
    same = [not rules.compare(rules.profile(question(n)), rules.profile(question(n, 1))) for n in numbers]
    assert sum(same) > 180


def bench(out, **sizes):
    given = {"entries": 120, "large_entries": 300, "lookups": 40, "embedders": "[static]", **sizes}
    arguments = [part for name, value in given.items() for part in ("--set", f"{name}={value}")]
    return cache_bench.main(["--out", str(out), *arguments])


def test_a_small_bench_runs_and_leaves_only_its_result(tmp_path, monkeypatch):
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    assert bench(tmp_path) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["cache_latency.json"]
    assert KEY_VARIABLE not in os.environ
    result = json.loads((tmp_path / "cache_latency.json").read_text())
    look_ups, large = result["look_ups"], result["large"]
    assert look_ups["exact_memory"]["hits"] == look_ups["exact_memory"]["n"] == 40
    assert look_ups["exact_disk"]["hits"] == 40
    assert look_ups["semantic_hit"]["hits"] > 15
    assert look_ups["semantic_miss"]["hits"] == 0
    assert (large["entries"], large["first_hit"]) == (300, True)
    assert "120 entries in one scope" in latency_page.render(result)


def test_a_slow_cache_misses_its_goals(root):
    """The mutant: every figure a hundred times worse."""
    result = json.loads((root / "docs/results/cache_latency.json").read_text())
    for name in ("exact_memory", "exact_disk", "semantic_hit"):
        for rank in ("p50_ms", "p99_ms"):
            result["look_ups"][name][rank] *= 100
    result["large"]["open_s"] += 5
    result["large"]["own_growth_mb"] *= 100
    missed = [goal for goal in latency_page.goals(result) if not goal.met]
    assert len(missed) == 6
    assert latency_page.render(result).count("**no**") == 6


def test_a_uri_is_refused(capsys):
    assert bench("s3://bucket/x") == 2
    assert "expected a folder" in capsys.readouterr().err
    assert cache_results.main(["somewhere/else.json"]) == ConfigError.exit_code


class Parrot:
    """An engine that repeats the question, word by word; it stops, except where asked for much."""

    def __init__(self):
        self.asked = []
        self.closed = False

    async def generate(self, request):
        self.asked.append(request.messages[-1].content)
        await asyncio.sleep(0.002)
        for word in self.asked[-1].split():
            yield Delta(word + " ", 1)
        yield Delta("", 0, "length" if "long" in self.asked[-1] else "stop")

    async def aclose(self):
        self.closed = True


INTENTS = [
    ("What are the side effects of atorvastatin?", "What are the side effects of Lipitor?"),
    ("What are the side effects of simvastatin?", "side effects of simvastatin"),
    ("Tell a long story about gout?",),
    ("Should my son take aspirin?",),
]


def run(requests, **options):
    engine = Parrot()
    given = {"max_tokens": 9, "stop": (), "calls": 100, "again_every": 1, **options}
    return engine, replay(engine, requests, **given)


def test_a_replay_counts_what_happened():
    asked = [traffic.Asked(intent, INTENTS[intent][wording]) for intent, wording in
             [(0, 0), (0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 0), (3, 0)]]  # fmt: skip
    engine, found = run(asked)
    assert found["outcomes"] == {"exact": 1, "semantic": 2, "miss": 2, "miss_truncated": 2, "not_cacheable": 1}
    assert (found["requests"], found["engine_calls"], found["first_of_their_intent"]) == (8, 5, 4)
    assert found["across_intents"] == []
    assert found["without_cache"]["n"] == found["with_cache"]["n"] == 8
    assert found["hits"]["n"] == found["hits_computed_again"]["anew"]["n"] == 3
    assert len(engine.asked) == 5 + 3
    assert engine.closed
    shown = {"model": "parrot", "exponent": 1.0, "max_tokens": 9, "threads": 1}
    made = json.loads((Path(__file__).parents[4] / "docs/results/cache_safety.json").read_text())["provenance"]
    page = replay_page.render({**found, "config": shown, "intents": 4, "medquad_intents": 0, "provenance": made})
    assert "Hit rate 37.5%; 4 questions were the first of their intent, so 50.0% was possible" in page


def test_a_hit_with_another_intents_answer_is_told():
    """The mutant: two intents that are one."""
    asked = [traffic.Asked(0, INTENTS[0][0]), traffic.Asked(7, INTENTS[0][1])]
    assert run(asked)[1]["across_intents"] == [[0, 7, INTENTS[0][1]]]


def test_computations_are_bounded():
    requests = traffic.stream(INTENTS, 1.0, random.Random(0))
    engine, found = run(requests, calls=4, again_every=10_000)
    assert found["engine_calls"] == len(engine.asked) == 4


def test_popularity_follows_zipf():
    intents = [(str(number),) for number in range(50)]
    asked = [item.intent for item in islice(traffic.stream(intents, 1.0, random.Random(1)), 20_000)]
    counts = sorted((asked.count(number) for number in range(50)), reverse=True)
    harmonic = sum(1 / rank for rank in range(1, 51))
    for rank in (1, 2, 5, 10):  # standard error of the largest: 0.3 %
        assert counts[rank - 1] / 20_000 == pytest.approx(1 / rank / harmonic, abs=0.015)


def test_intents_come_from_the_corpus(shared_data, tmp_path):
    intents = traffic.medquad_intents(shared_data / "medquad_questions.parquet", 30, random.Random(0))
    assert len(set(intents)) == 30
    assert all(len(wordings) == 3 for wordings in intents)
    with pytest.raises(DataError, match="expected 10000000 different"):
        traffic.medquad_intents(shared_data / "medquad_questions.parquet", 10_000_000, random.Random(0))
    (tmp_path / "x.parquet").write_text("no")
    with pytest.raises(DataError, match=r"got ArrowInvalid"):
        traffic.medquad_intents(tmp_path / "x.parquet", 1, random.Random(0))
