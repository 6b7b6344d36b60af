"""Threads and processes: the cache against a simple model, and withdrawals seen elsewhere at once."""

import random
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medray.inference.response_cache import Scope

QUESTION = "What is the maximum dose of paracetamol?"
SCOPES = [Scope(tenant, model, "1", "") for tenant in ("a", "b") for model in ("m1", "m2", "m3")]
MANY = {"max_examples": 8, "deadline": None, "suppress_health_check": list(HealthCheck)}


class Model:
    """What may be answered: per question and scope every answer ever stored, per artifact when it was withdrawn."""

    def __init__(self):
        self.lock = threading.Lock()
        self.allowed = {}
        self.withdrawn = set()

    def before_store(self, place, answer):
        with self.lock:
            self.allowed.setdefault(place, set()).add(answer)

    def check(self, place, hit, withdrawn_before):
        assert hit.answer in self.allowed.get(place, ())
        assert hit.artifact not in withdrawn_before


def work(cache, model, questions, seed, steps):
    rng = random.Random(seed)
    for step in range(steps):
        question, scope = rng.choice(questions), rng.choice(SCOPES)
        place = (question, scope)
        what = rng.random()
        if what < 0.45:
            answer = f"{seed}-{step}-{question}"
            model.before_store(place, answer)
            cache.store(question, answer, scope)
        elif what < 0.99:
            withdrawn_before = set(model.withdrawn)  # withdrawn before the look-up began: must not be served
            hit = cache.lookup(question, scope)
            if hit is not None:
                model.check(place, hit, withdrawn_before)
        else:
            cache.invalidate("m3")
            model.withdrawn.add("m3")


def run_threads(cache, model, questions, seed, threads=32, steps=25):
    failures = []

    def guarded(number):
        try:
            work(cache, model, questions, seed * 1000 + number, steps)
        except BaseException as error:
            failures.append(error)

    workers = [threading.Thread(target=guarded, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if failures:
        raise failures[0]


@settings(**MANY)
@given(seed=st.integers(0, 10_000), memory_bytes=st.sampled_from([4_000, 40_000, 10_000_000]))
def test_32_threads_see_only_what_was_stored_for_them(make_cache, questions, seed, memory_bytes):
    cache = make_cache(memory_bytes=memory_bytes)
    run_threads(cache, Model(), questions(12), seed)
    assert cache.stats()["memory"]["bytes"] <= memory_bytes
    cache.close()


@settings(**{**MANY, "max_examples": 3})
@given(seed=st.integers(0, 10_000))
def test_32_threads_with_a_disk_tier(make_cache, questions, disk, seed):
    disk = disk.model_copy(update={"folder": disk.folder / str(seed)})
    cache = make_cache(memory_bytes=20_000, disk=disk)
    run_threads(cache, Model(), questions(12), seed)
    assert cache.stats()["disk"]["damaged"] == 0
    cache.close()


def test_a_cache_without_the_scope_in_its_keys_fails(make_cache, questions, monkeypatch):
    """The mutant: keys of the question alone."""
    from medray.inference.response_cache import admission as module

    monkeypatch.setattr(module, "lookup_key", lambda key, scope, text: text.encode().ljust(32)[:32])
    monkeypatch.setattr(module, "scope_tag", lambda key, scope: b"s" * 16)
    with pytest.raises(AssertionError):
        run_threads(make_cache(), Model(), questions(4), 1)


def test_a_cache_that_does_not_check_withdrawals_fails(make_cache, scope, monkeypatch):
    """The mutant: a second cache with the answer in its memory and no look at the withdrawals."""
    from medray.inference.response_cache.disk.control import DiskControl

    monkeypatch.setattr(DiskControl, "is_withdrawn", lambda self, *artifacts: False)
    cache = make_cache()
    monkeypatch.setattr(type(cache._control), "is_withdrawn", lambda self, *artifacts: False)
    with pytest.raises(AssertionError):
        served_after_withdrawal(cache, scope)


def test_a_withdrawal_holds_while_a_store_is_under_way(make_cache, scope):
    served_after_withdrawal(make_cache(), scope)


def served_after_withdrawal(cache, scope):
    cache.store(QUESTION, "4 g", scope)
    cache.invalidate("artifact-1")
    cache.store(QUESTION, "4 g", scope)
    assert cache.lookup(QUESTION, scope) is None


CHILD = textwrap.dedent(
    """
    import sys, time
    from pathlib import Path
    sys.path.insert(0, sys.argv[1])
    from conftest import CrudeRules, calibration
    from medray.inference.response_cache import CacheConfig, DiskConfig, ResponseCache, Scope

    config = CacheConfig(disk=DiskConfig(folder=Path(sys.argv[2]), max_bytes=2 * 1024**2, flush_interval_s=0.05))
    cache = ResponseCache(config, equivalence=CrudeRules(), calibration=calibration(), clock=lambda: 1_000_000.0)
    scope = Scope("clinic", "artifact-1", "1", "greedy")
    for line in sys.stdin:
        what, _, rest = line.strip().partition(" ")
        if what == "store":
            cache.store(rest, "from the child", scope)
            cache.flush()
            print("stored", flush=True)
        elif what == "lookup":
            hit = cache.lookup(rest, scope)
            cache.settle()
            print("none" if hit is None else f"{hit.tier} {hit.kind} {hit.answer}", flush=True)
        elif what == "invalidate":
            cache.invalidate(rest)
            print("withdrawn", flush=True)
    cache.close()
    """
)


class Child:
    def __init__(self, disk):
        here = str(Path(__file__).parent)
        command = [sys.executable, "-c", CHILD, here, str(disk.folder)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def close(self):
        self.process.stdin.close()
        assert self.process.wait(30) == 0
        self.process.stdout.close()


@pytest.fixture
def child(disk):
    child = Child(disk)
    yield child
    child.close()


def test_two_processes_share_answers_and_withdrawals(make_cache, scope, disk, child):
    here = make_cache(disk=disk)
    assert child.ask(f"store {QUESTION}") == "stored"
    assert here.lookup(QUESTION, scope).tier == "disk"
    assert here.lookup(QUESTION, scope).tier == "memory"
    other = "What is gout about?"
    here.store(other, "from here", scope)
    here.flush()
    assert child.ask(f"lookup {other}") == "disk exact from here"
    assert child.ask(f"lookup {other}") == "memory exact from here"
    assert child.ask("invalidate artifact-1") == "withdrawn"
    assert here.lookup(QUESTION, scope) is None  # although it lay in this process's memory
    assert not here.store(other, "from here", scope)
    assert child.ask(f"lookup {other}") == "none"


def test_similar_questions_find_what_the_other_process_wrote(make_cache, scope, disk, child):
    here = make_cache(disk=disk)
    here.store(QUESTION, "from here", scope)
    here.flush()
    similar = "What is the highest dose of Tylenol?"
    child.ask(f"lookup {similar}")  # the index is filled in the background
    assert child.ask(f"lookup {similar}") == "disk semantic from here"
    here.invalidate("artifact-1")
    assert child.ask(f"lookup {similar}") == "none"
