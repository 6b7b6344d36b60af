"""What a replica does besides answering."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from medray.errors import EngineError
from medray.inference.engines.fake import FakeConfig, FakeEngine
from medray.serving.config import Monitoring
from medray.serving.keeper import EngineKeeper, Identity
from medray.serving.snapshot import ReplicaReport

QUICK = Monitoring(push_interval_s=0.02, probe_interval_s=0.1, stall_timeout_s=0.4)


class Sent(list[ReplicaReport]):
    failing = False

    async def __call__(self, report: ReplicaReport) -> None:
        if self.failing:
            raise ConnectionError
        self.append(report)


def keeper(engine: Any, sent: Sent | None = None) -> EngineKeeper:
    return EngineKeeper(engine, Identity("a", "a#1", "f", 5), QUICK, sent if sent is not None else Sent())


def test_the_proof_is_a_real_token():
    engine = FakeEngine()
    guard = keeper(engine)
    assert guard.report().seconds_since_token is None
    asyncio.run(guard.prove())
    age_s = guard.report().seconds_since_token
    assert age_s is not None
    assert age_s < 1


def test_an_engine_that_cannot_generate_is_no_replica():
    with pytest.raises(EngineError):
        asyncio.run(keeper(FakeEngine(FakeConfig(fail_at_token=1))).prove())


def test_an_idle_replica_keeps_proving_itself_and_reports():
    async def scenario() -> None:
        engine, sent = FakeEngine(), Sent()
        guard = keeper(engine, sent)
        await guard.prove()
        tasks = [asyncio.create_task(guard.keep_reporting()), asyncio.create_task(guard.keep_proving())]
        await asyncio.sleep(0.6)
        sent.failing = True
        await asyncio.sleep(0.1)
        sent.failing = False
        count = len(sent)
        await asyncio.sleep(0.2)
        for task in tasks:
            task.cancel()
        assert len(sent) > count > 5
        assert max(report.seconds_since_token or 0 for report in sent) < 0.3
        assert sent[-1].places == 5

    asyncio.run(scenario())


def test_a_dead_engine_fails_its_health_check():
    async def scenario() -> None:
        engine = FakeEngine()
        keeper(engine).check()
        await engine.aclose()
        with pytest.raises(EngineError, match="dead"):
            keeper(engine).check()

    asyncio.run(scenario())


def test_an_engine_that_owes_tokens_and_makes_none_fails_its_health_check():
    class Stuck(FakeEngine):
        running, age_s = 1, 0.1

        def stats(self) -> Any:
            return replace(super().stats(), running=self.running, seconds_since_token=self.age_s)

    engine = Stuck()
    keeper(engine).check()
    engine.age_s = 0.5
    with pytest.raises(EngineError, match="no token"):
        keeper(engine).check()
    engine.running = 0  # idle is not stuck
    keeper(engine).check()
