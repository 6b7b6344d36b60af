"""The meter's figures against hand-made times, and the worker's line under races."""

import asyncio
import random
import threading
import time

from medray.inference.engine import Delta, GenerationRequest, Message
from medray.inference.meter import Meter
from medray.inference.worker import Job, Worker


def test_figures_follow_the_clock() -> None:
    times = iter([0.0, 1.0, 1.5, 2.0, 4.0])
    meter = Meter(slots=2, clock=lambda: next(times))
    ticket = meter.enter()
    assert (meter._queued, meter._running) == (1, 0)
    meter.start(ticket)
    for _ in range(3):
        meter.token(ticket)
    stats = meter.stats(alive=True, memory_bytes=5)
    assert (stats.running, stats.queued, stats.slots, stats.memory_bytes) == (1, 0, 2, 5)
    assert (stats.ttft_s, stats.tokens_per_s, stats.seconds_since_token) == (1.0, 2.0, 2.0)
    meter.leave(ticket)
    meter.leave(ticket)
    assert (meter._queued, meter._running) == (0, 0)


def test_windows_are_bounded() -> None:
    meter = Meter(slots=1)
    for _ in range(1000):
        ticket = meter.enter()
        meter.start(ticket)
        meter.token(ticket)
        meter.token(ticket)
        meter.leave(ticket)
    assert len(meter._ttfts_s) <= 64
    assert len(meter._gaps_s) <= 512


def _job(meter: Meter, deadline_s: float | None = None) -> Job:
    request = GenerationRequest("r", (Message("user", "q"),), 4)
    deadline_at_s = None if deadline_s is None else time.monotonic() + deadline_s
    return Job(request, [1, 2], 4, deadline_at_s, meter.enter(), asyncio.get_running_loop())


def test_first_come_first_served_and_one_at_a_time() -> None:
    order: list[Job] = []
    together = [0, 0]

    def decode(job: Job) -> Delta:
        order.append(job)
        together[0] += 1
        together[1] = max(together)
        time.sleep(0.001)
        together[0] -= 1
        return Delta("", 0, "stop")

    async def run() -> None:
        meter = Meter(1)
        worker = Worker(decode, meter, name="test")
        jobs = [_job(meter) for _ in range(30)]

        async def consume(job: Job) -> None:
            assert [delta.finish_reason async for delta in worker.stream(job)] == ["stop"]

        await asyncio.gather(*(consume(job) for job in jobs))
        assert order == jobs
        worker.close()

    asyncio.run(run())
    assert together[1] == 1


def _five_steps(job: Job) -> Delta:
    for _ in range(5):
        if job.cancelled.wait(0.0005):
            return Delta("", 0, "cancelled")
        job.emit(Delta("x", 1))
    return Delta("", 0, "length")


async def _round(worker: Worker, meter: Meter, dice: random.Random) -> None:
    async def one() -> None:
        async for _ in worker.stream(_job(meter, dice.choice([None, 0.001, 0.01]))):
            pass

    tasks = [asyncio.create_task(one()) for _ in range(20)]
    await asyncio.sleep(dice.random() * 0.02)
    for task in dice.sample(tasks, 10):
        task.cancel()
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        assert outcome is None or isinstance(outcome, asyncio.CancelledError)


def test_races_of_cancels_deadlines_and_ends_leak_nothing() -> None:
    async def run() -> Meter:
        dice, meter = random.Random(3), Meter(1)
        worker = Worker(_five_steps, meter, name="test")
        for _ in range(20):
            await _round(worker, meter, dice)
        await asyncio.to_thread(worker.close)
        assert not worker._jobs
        return meter

    meter = asyncio.run(run())
    assert (meter._running, meter._queued) == (0, 0)


def test_an_event_loop_that_is_gone_cancels_the_job() -> None:
    seen = threading.Event()

    def decode(job: Job) -> Delta:
        while not job.cancelled.is_set():
            job.emit(Delta("x", 1))
            time.sleep(0.001)
        seen.set()
        return Delta("", 0, "cancelled")

    meter = Meter(1)
    worker = Worker(decode, meter, name="test")
    loop = asyncio.new_event_loop()

    async def first() -> None:
        await anext(worker.stream(_job(meter)))

    loop.run_until_complete(first())
    loop.close()  # without closing generators, as a crash would
    assert seen.wait(5)
    worker.close()
