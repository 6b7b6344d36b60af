"""What every engine must do, as plain checks: each takes an engine and fails with AssertionError.

Being functions, they also run against engines that are broken on purpose (test_mutants.py).
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from medray.errors import EngineError, RequestError
from medray.inference.engine import Delta, Engine, GenerationRequest, Message

LONG = 400  # more tokens than a check lets pass before it cancels
SETTLE_S = 5.0


def ask(text: str = "How is asthma treated in a child?", **options: object) -> GenerationRequest:
    values: dict[str, object] = {"request_id": "r", "messages": (Message("user", text),), "max_tokens": 24}
    return GenerationRequest(**{**values, **options})  # type: ignore[arg-type]


async def collect(engine: Engine, request: GenerationRequest) -> list[Delta]:
    return [delta async for delta in engine.generate(request)]


async def text_of(engine: Engine, request: GenerationRequest) -> str:
    return "".join(delta.text for delta in await collect(engine, request))


async def settled(engine: Engine) -> bool:
    """Tell whether every slot and the queue are empty soon."""
    until_s = time.monotonic() + SETTLE_S
    while time.monotonic() < until_s:
        stats = engine.stats()
        if stats.running == 0 and stats.queued == 0:
            return True
        await asyncio.sleep(0.01)
    return False


async def deltas_have_the_agreed_shape(engine: Engine) -> None:
    assert isinstance(engine, Engine)
    deltas = await collect(engine, ask())
    assert len(deltas) > 1, "an answer of many tokens must come in more than one piece"
    assert all(delta.finish_reason is None for delta in deltas[:-1])
    assert deltas[-1].finish_reason in ("stop", "length")
    assert deltas[-1].prompt_tokens > 0
    assert all(delta.text for delta in deltas[:-1])
    assert 0 < sum(delta.tokens for delta in deltas) <= 24


async def max_tokens_is_exact(engine: Engine) -> None:
    deltas = await collect(engine, ask(max_tokens=3))
    assert (sum(delta.tokens for delta in deltas), deltas[-1].finish_reason) == (3, "length")
    one = await collect(engine, ask(max_tokens=1))
    assert [delta.tokens for delta in one] == [1]


async def overlong_prompts_are_refused_before_any_work(engine: Engine) -> None:
    with pytest.raises(RequestError) as caught:
        await collect(engine, ask("word " * (engine.capabilities.max_context_tokens + 1)))
    assert (caught.value.status, caught.value.code, caught.value.param) == (400, "context_length_exceeded", "messages")
    assert "word" not in str(caught.value)
    stats = engine.stats()
    assert (stats.running, stats.queued, stats.seconds_since_token) == (0, 0, None)


async def max_tokens_is_limited_to_the_room(engine: Engine) -> None:
    window = engine.capabilities.max_context_tokens
    deltas = await collect(engine, ask(max_tokens=10 * window))
    assert sum(delta.tokens for delta in deltas) + deltas[-1].prompt_tokens <= window
    assert deltas[-1].finish_reason in ("stop", "length")


async def bad_requests_are_refused(engine: Engine) -> None:
    bad = {
        "messages": (),
        "max_tokens": 0,
        "temperature": -1.0,
        "top_p": 0.0,
        "stop": ("",),
        "deadline_s": 0.0,
        "adapter": "no-such-adapter",
    }
    for field, value in bad.items():
        with pytest.raises(RequestError) as caught:
            await collect(engine, replace(ask(temperature=0.0), **{field: value}))
        assert caught.value.param == ("model" if field == "adapter" else field)
        assert 400 <= caught.value.status < 500
    with pytest.raises(RequestError):
        await collect(engine, ask(temperature=float("nan")))
    assert engine.stats().seconds_since_token is None


async def stop_strings_cut_and_never_show(engine: Engine) -> None:
    whole = await text_of(engine, ask())
    for start, length in ((3, 1), (5, 4), (9, 7)):
        stop = whole[start : start + length]
        deltas = await collect(engine, ask(stop=(stop, "never in any answer")))
        joined = "".join(delta.text for delta in deltas)
        assert joined == whole[: whole.find(stop)], "the text must end right before the first stop string"
        assert deltas[-1].finish_reason == "stop"
    longer = await text_of(engine, ask(stop=(whole[:-1] + "\x00",)))
    assert longer == whole, "text that only began like a stop string must come in the end"


async def greedy_is_the_same_each_time(engine: Engine) -> None:
    assert await text_of(engine, ask()) == await text_of(engine, ask(seed=3))


async def seeds_repeat_and_differ(engine: Engine) -> None:
    def sampled(seed: int) -> GenerationRequest:
        return ask(temperature=1.0, seed=seed, top_p=0.95)

    texts = [await text_of(engine, sampled(seed)) for seed in (1, 2, 3, 1)]
    assert texts[0] == texts[3]
    assert len(set(texts[:3])) > 1


async def concurrent_requests_do_not_mix(engine: Engine) -> None:
    questions = [
        ask(f"Question {number}: what helps?", temperature=float(number % 2), seed=number, max_tokens=8 + number)
        for number in range(8)
    ]
    alone = [await text_of(engine, question) for question in questions]
    together = await asyncio.gather(*(text_of(engine, question) for question in questions))
    assert together == alone
    assert len(set(alone)) > 1


async def cancelling_frees_the_slot(engine: Engine) -> None:
    """Leave 50 answers after their first piece, and some that are still in line."""
    for _ in range(50):
        deltas = engine.generate(ask(max_tokens=LONG))
        await anext(deltas)
        await deltas.aclose()  # type: ignore[attr-defined]
    waiting = [asyncio.create_task(collect(engine, ask(max_tokens=LONG))) for _ in range(12)]
    await asyncio.sleep(0.02)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert await settled(engine), f"slots leaked: {engine.stats()}"
    assert await text_of(engine, ask())


async def deadlines_end_answers(engine: Engine) -> None:
    started_s = time.monotonic()
    deltas = await collect(engine, ask(max_tokens=LONG, deadline_s=0.05))
    assert deltas[-1].finish_reason == "deadline"
    assert time.monotonic() - started_s < 1.0
    slots = engine.stats().slots
    busy = [asyncio.create_task(collect(engine, ask(max_tokens=LONG))) for _ in range(slots)]
    await asyncio.sleep(0.05)
    queued = await collect(engine, ask(deadline_s=0.03))
    assert [(delta.text, delta.tokens, delta.finish_reason) for delta in queued] == [("", 0, "deadline")]
    assert not all(task.done() for task in busy), "the answer in line must not have waited for a slot"
    for task in busy:
        task.cancel()
    await asyncio.gather(*busy, return_exceptions=True)
    assert await settled(engine)


async def stats_are_measured(engine: Engine) -> None:
    before = engine.stats()
    assert (before.alive, before.running, before.queued) == (True, 0, 0)
    assert (before.ttft_s, before.tokens_per_s, before.seconds_since_token) == (None, None, None)
    tasks = [asyncio.create_task(collect(engine, ask(max_tokens=LONG))) for _ in range(before.slots + 2)]
    while engine.stats().seconds_since_token is None:
        await asyncio.sleep(0.005)
    during = engine.stats()
    assert (during.running, during.queued) == (before.slots, 2)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert await settled(engine)
    deltas = await collect(engine, ask())
    after = engine.stats()
    assert sum(delta.tokens for delta in deltas) > 1
    assert (after.running, after.queued) == (0, 0), "the slot is free when the last delta is seen"
    assert after.ttft_s is not None and 0 < after.ttft_s < 5
    assert after.tokens_per_s is not None and after.tokens_per_s > 0
    assert after.seconds_since_token is not None and after.seconds_since_token < 1


async def a_failure_ends_one_request_only(engine: Engine, break_once: Callable[[Engine], None]) -> None:
    break_once(engine)
    with pytest.raises(EngineError) as caught:
        await collect(engine, ask("a secret question"))
    assert "secret" not in str(caught.value)
    assert await settled(engine)
    assert await text_of(engine, ask())
    assert engine.stats().alive


async def closing_is_final_and_repeatable(engine: Engine) -> None:
    running = asyncio.create_task(collect(engine, ask(max_tokens=LONG)))
    while engine.stats().seconds_since_token is None:
        await asyncio.sleep(0.005)
    queued = [asyncio.create_task(collect(engine, ask(max_tokens=LONG))) for _ in range(engine.stats().slots)]
    await asyncio.sleep(0.03)
    await engine.aclose()
    await engine.aclose()
    for task in (running, *queued):
        assert (await task)[-1].finish_reason == "cancelled"
    assert not engine.stats().alive
    with pytest.raises(EngineError):
        await collect(engine, ask())


CHECKS = (
    deltas_have_the_agreed_shape,
    max_tokens_is_exact,
    overlong_prompts_are_refused_before_any_work,
    bad_requests_are_refused,
    stop_strings_cut_and_never_show,
    greedy_is_the_same_each_time,
    seeds_repeat_and_differ,
    concurrent_requests_do_not_mix,
    cancelling_frees_the_slot,
    deadlines_end_answers,
    stats_are_measured,
    closing_is_final_and_repeatable,
)
