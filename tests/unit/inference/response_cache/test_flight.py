"""Concurrent identical questions cause one computation, whoever leaves, and failures are not kept."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from medray.errors import EngineError
from medray.inference.response_cache import Answer, SharedAnswers, replay

QUESTION = "What is the maximum dose of paracetamol?"


class Engine:
    def __init__(self, *, failing=False):
        self.calls = 0
        self.cancelled = 0
        self.failing = failing
        self.go = asyncio.Event()

    async def __call__(self):
        self.calls += 1
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.failing:
            raise EngineError("broken")
        return Answer("4 g a day.", tokens=4)


async def started(engine):
    while not engine.calls:
        await asyncio.sleep(0.005)
    await asyncio.sleep(0.05)


def test_one_computation_for_all_who_ask_at_once(make_cache, scope):
    async def scenario():
        shared, engine = SharedAnswers(make_cache()), Engine()
        tasks = [asyncio.create_task(shared.get_or_compute(QUESTION, scope, engine)) for _ in range(20)]
        await started(engine)
        engine.go.set()
        answers = await asyncio.gather(*tasks)
        assert engine.calls == 1
        assert {served.answer.text for served in answers} == {"4 g a day."}
        assert (await shared.get_or_compute(QUESTION, scope, engine)).hit.kind == "exact"
        assert engine.calls == 1

    asyncio.run(scenario())


def test_the_leader_may_leave(make_cache, scope):
    async def scenario():
        shared, engine = SharedAnswers(make_cache()), Engine()
        leader = asyncio.create_task(shared.get_or_compute(QUESTION, scope, engine))
        await started(engine)
        others = [asyncio.create_task(shared.get_or_compute(QUESTION, scope, engine)) for _ in range(3)]
        await asyncio.sleep(0.1)
        leader.cancel()
        await asyncio.sleep(0.05)
        engine.go.set()
        assert {served.answer.text for served in await asyncio.gather(*others)} == {"4 g a day."}
        assert (engine.calls, engine.cancelled) == (1, 0)

    asyncio.run(scenario())


def test_when_all_leave_the_computation_stops_and_the_next_starts_anew(make_cache, scope):
    async def scenario():
        shared, engine = SharedAnswers(make_cache()), Engine()
        tasks = [asyncio.create_task(shared.get_or_compute(QUESTION, scope, engine)) for _ in range(3)]
        await started(engine)
        await asyncio.sleep(0.1)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0.02)
        assert engine.cancelled == 1
        engine.go.set()
        assert (await shared.get_or_compute(QUESTION, scope, engine)).answer.text == "4 g a day."
        assert engine.calls == 2

    asyncio.run(scenario())


def test_failures_reach_every_caller_and_are_not_kept(make_cache, scope):
    async def scenario():
        shared, engine = SharedAnswers(make_cache()), Engine(failing=True)
        tasks = [asyncio.create_task(shared.get_or_compute(QUESTION, scope, engine)) for _ in range(4)]
        await started(engine)
        engine.go.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(result) for result in results] == [EngineError] * 4
        assert engine.calls == 1
        engine.failing = False
        assert (await shared.get_or_compute(QUESTION, scope, engine)).hit is None
        assert engine.calls == 2

    asyncio.run(scenario())


def test_what_may_not_be_cached_is_not_shared(make_cache, scope):
    async def scenario():
        shared, engine = SharedAnswers(make_cache()), Engine()
        engine.go.set()
        personal = "What dose for my son?"
        await asyncio.gather(*(shared.get_or_compute(personal, scope, engine) for _ in range(5)))
        assert engine.calls == 5

    asyncio.run(scenario())


def test_threads_share_one_computation_and_its_failure(make_cache, scope):
    shared, calls, gate = SharedAnswers(make_cache()), [], threading.Event()

    def compute():
        calls.append(1)
        gate.wait(5)
        if len(calls) == 1:
            raise EngineError("broken")
        return Answer("4 g a day.")

    def ask():
        return shared.get_or_compute_sync(QUESTION, scope, compute)

    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(ask) for _ in range(8)]
        threading.Timer(0.5, gate.set).start()
        for future in futures:
            with pytest.raises(EngineError):
                future.result()
    assert len(calls) == 1
    assert ask().answer.text == "4 g a day."
    assert ask().hit is not None
    assert len(calls) == 2


def test_an_answer_kept_between_look_up_and_computation_is_taken(make_cache, scope, monkeypatch):
    """Two callers miss; the first computes and lands before the second starts: it must not compute again."""
    cache = make_cache()
    shared, calls = SharedAnswers(cache), []
    plain = cache.lookup

    def lookup_then_be_late(*arguments):
        hit = plain(*arguments)
        cache.store(QUESTION, "4 g a day.", scope)
        return hit

    monkeypatch.setattr(cache, "lookup", lookup_then_be_late)

    async def compute():
        calls.append(1)
        return Answer("4 g a day.")

    assert asyncio.run(shared.get_or_compute(QUESTION, scope, compute)).answer.text == "4 g a day."
    assert shared.get_or_compute_sync("what is the maximum dose of paracetamol", scope, compute).answer.text
    assert calls == []


def test_who_shared_a_computation_can_play_its_answer():
    deltas = list(replay(Answer("one two three " * 8, tokens=24, prompt_tokens=3)))
    assert "".join(delta.text for delta in deltas) == "one two three " * 8
    assert (sum(delta.tokens for delta in deltas), deltas[-1].finish_reason, deltas[-1].prompt_tokens) == (
        24,
        "stop",
        3,
    )
    assert list(replay(Answer("cut", "length")))[-1].finish_reason == "length"
