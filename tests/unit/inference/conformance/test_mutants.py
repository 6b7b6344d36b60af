"""Engines broken on purpose: the suite must catch each."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any

import engine_checks
import pytest
from engine_checks import (
    cancelling_frees_the_slot,
    concurrent_requests_do_not_mix,
    deadlines_end_answers,
    max_tokens_is_exact,
    overlong_prompts_are_refused_before_any_work,
    seeds_repeat_and_differ,
    stop_strings_cut_and_never_show,
)

from medray.inference.assembly import AnswerAssembler
from medray.inference.engine import Delta, Engine, GenerationRequest
from medray.inference.engines.fake import FakeConfig, FakeEngine


class IgnoresCancel(FakeEngine):
    """Closing the iterator leaves the request running in its slot."""

    def _release(self, run: Any) -> None:
        if run.progress.finish_reason is not None:
            super()._release(run)


class ShowsStops(FakeEngine):
    """Ends at a stop string, yet holds nothing back."""

    def _assembler(self, request: GenerationRequest, pieces: list[bytes]) -> AnswerAssembler:
        assembler = super()._assembler(request, pieces)
        seen = ""

        def push(token_id: int) -> str:
            nonlocal seen
            text = assembler._text.push(token_id)
            seen += text
            assembler._cutter.stopped = any(stop in seen for stop in request.stop)
            return text

        assembler.push = push  # type: ignore[method-assign]
        return assembler


class Mixes(FakeEngine):
    """Answers what was asked last, whoever asked."""

    async def _wait_for_slot(self, run: Any) -> bool:
        self._last = run.pieces
        ready = await super()._wait_for_slot(run)
        await asyncio.sleep(0.01)
        run.pieces[:] = self._last[: len(run.pieces)]
        return ready


class ForgetsSeeds(FakeEngine):
    """Another answer each time."""

    _calls = 0

    def _pieces(self, request: GenerationRequest) -> list[bytes]:
        self._calls += 1
        return [str(self._calls).encode(), *super()._pieces(request)]


def _changed(**changes: Any) -> type[FakeEngine]:
    class Changed(FakeEngine):
        async def _stream(self, request: GenerationRequest, called_at_s: float) -> AsyncGenerator[Delta, None]:
            fields = {name: getattr(request, name) for name in request.__slots__}
            changed = GenerationRequest(**{**fields, **{name: change(request) for name, change in changes.items()}})
            async for delta in super()._stream(changed, called_at_s):
                yield delta

    return Changed


MUTANTS = {
    "ignores cancel": (IgnoresCancel, cancelling_frees_the_slot),
    "shows stop strings": (ShowsStops, stop_strings_cut_and_never_show),
    "mixes requests": (Mixes, concurrent_requests_do_not_mix),
    "forgets seeds": (ForgetsSeeds, seeds_repeat_and_differ),
    "no deadline": (_changed(deadline_s=lambda request: None), deadlines_end_answers),
    "one token more": (_changed(max_tokens=lambda request: request.max_tokens + 1), max_tokens_is_exact),
    "cuts prompts silently": (
        _changed(messages=lambda request: tuple(m for m in request.messages if len(m.content) < 500)),
        overlong_prompts_are_refused_before_any_work,
    ),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_the_suite_catches(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_checks, "SETTLE_S", 0.3)
    mutant, check = MUTANTS[name]
    config = FakeConfig(token_delay_s=0.002, slots=64 if name == "ignores cancel" else 4, answer_words=120)
    assert _fails(mutant(config), check)
    assert not _fails(FakeEngine(config), check), "the check itself must pass on the sound engine"


def _fails(engine: Engine, check: Callable[[Engine], Coroutine[Any, Any, None]]) -> bool:
    try:
        asyncio.run(check(engine))
    except (AssertionError, pytest.fail.Exception):
        return True
    return False
