"""The cache against a model of it, step by step: what must be found is found, and nothing else is."""

import itertools
import shutil
import tempfile
from pathlib import Path

import pytest
from conftest import Clock, CrudeRules, calibration
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from medray.inference.response_cache import CacheConfig, DiskConfig, ResponseCache, Scope
from medray.inference.response_cache.keys import KEY_VARIABLE

# Two wordings of each question; the rules of the tests call them the same.
QUESTIONS = [
    ("What is the maximum dose of paracetamol?", "What is the highest dose of Tylenol?"),
    ("What is the minimum dose of paracetamol?", "Tell the minimum dose of acetaminophen"),
    ("What is gout about?", "Tell about gout please"),
]
SCOPES = [Scope(tenant, model, "1", "") for tenant, model in (("a", "m1"), ("b", "m1"), ("a", "m2"))]
ARTIFACTS = ["m1", "m2", "adapter"]
TTL_S = 1000.0

questions = st.sampled_from(range(len(QUESTIONS)))
wordings = st.sampled_from([0, 1])
scopes = st.sampled_from(SCOPES)


class CacheMachine(RuleBasedStateMachine):
    """With room for all, a stored answer is found by both wordings until it expires or is withdrawn."""

    with_disk = False

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.clock = Clock()
        self.answers = {}  # (question, wording, scope) -> (answer, artifact, expires)
        self.withdrawn = set()
        self.number = itertools.count()
        self.open()

    def open(self):
        disk = DiskConfig(folder=self.folder / "cache", flush_interval_s=30) if self.with_disk else None
        config = CacheConfig(ttl_s=TTL_S, ttl_s_by_class={}, disk=disk)
        self.cache = ResponseCache(config, equivalence=CrudeRules(), calibration=calibration(), clock=self.clock)

    def teardown(self):
        self.cache.close()
        shutil.rmtree(self.folder)

    def alive(self, answer):
        return answer[2] > self.clock.now_s and not {answer[1]} & self.withdrawn

    @rule(question=questions, wording=wordings, scope=scopes, artifact=st.sampled_from([None, "adapter"]))
    def store(self, question, wording, scope, artifact):
        answer = f"answer {next(self.number)}"
        kept = self.cache.store(QUESTIONS[question][wording], answer, scope, artifact=artifact)
        source = artifact or scope.model
        assert kept == (not {source, scope.model} & self.withdrawn)
        if kept:
            self.answers[question, wording, scope] = (answer, source, self.clock.now_s + TTL_S)

    @rule(question=questions, wording=wordings, scope=scopes)
    def lookup(self, question, wording, scope):
        self.cache.settle()
        exact, similar = (self.answers.get((question, each, scope)) for each in (wording, 1 - wording))
        usable = {answer[0] for answer in (exact, similar) if self.is_served(answer, scope)}
        hit = self.cache.lookup(QUESTIONS[question][wording], scope)
        if self.is_served(exact, scope):
            assert (hit.answer, hit.kind) == (exact[0], "exact")
        elif usable:
            assert (hit.answer in usable, hit.kind) == (True, "semantic")
        else:
            assert hit is None

    def is_served(self, answer, scope):
        return answer is not None and self.alive(answer) and scope.model not in self.withdrawn

    @rule(seconds=st.sampled_from([1.0, 999.0, 1001.0]))
    def wait(self, seconds):
        self.clock.now_s += seconds

    @precondition(lambda self: not self.withdrawn)
    @rule(artifact=st.sampled_from(ARTIFACTS))
    def withdraw(self, artifact):
        self.cache.invalidate(artifact)
        self.withdrawn.add(artifact)

    @precondition(lambda self: self.with_disk)
    @rule()
    def restart(self):
        self.cache.close()
        self.open()
        for scope in SCOPES:  # a first similar question asks for the index to be filled
            self.cache.lookup("What is the maximum dose of ibuprofen?", scope)
        self.cache.settle()

    @invariant()
    def nothing_failed(self):
        counts = self.cache.stats()["counts"]
        assert not [name for name in counts if "failed" in name]


class DiskMachine(CacheMachine):
    """The same, and over restarts."""

    with_disk = True


class Forgetful(CacheMachine):
    """The mutant: entries do not expire."""

    def open(self):
        super().open()
        self.cache._clock = lambda: 1_000_000.0


SETTINGS = settings(max_examples=150, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck))


def test_memory_alone_follows_the_model():
    run_state_machine_as_test(CacheMachine, settings=SETTINGS)


def test_memory_and_disk_follow_the_model_over_restarts(monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, "k" * 64)
    run_state_machine_as_test(DiskMachine, settings=settings(SETTINGS, max_examples=10))


def test_a_cache_that_never_forgets_fails():
    with pytest.raises(AssertionError):
        run_state_machine_as_test(Forgetful, settings=settings(SETTINGS, derandomize=True, report_multiple_bugs=False))
