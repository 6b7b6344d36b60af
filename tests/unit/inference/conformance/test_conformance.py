"""Every engine passes the same checks."""

import asyncio
from collections.abc import Callable, Coroutine
from types import MethodType
from typing import Any

import pytest
from engine_checks import CHECKS, a_failure_ends_one_request_only, max_tokens_is_limited_to_the_room

from medray.inference.engine import Engine
from medray.inference.engines.fake import FakeConfig, FakeEngine

ENGINES = ("fake", "base", "adapter", "merged")
Make = Callable[..., Engine]


@pytest.fixture
def make(request: pytest.FixtureRequest) -> Make:
    """Return a maker of the engine that the test's `kind` names."""
    kind = request.getfixturevalue("kind")
    if kind == "fake":
        return lambda **options: FakeEngine(
            FakeConfig(
                **{"token_delay_s": 0.002, "slots": 2, "answer_words": 120, "max_context_tokens": 512, **options}
            )
        )
    from medray.inference.engines.transformers import TransformersEngine

    ref = request.getfixturevalue("tiny_base" if kind == "base" else "tiny_adapter")
    mode = "merged" if kind == "merged" else "adapter"
    return lambda **options: TransformersEngine(ref, mode, device="cpu", **options)


@pytest.mark.parametrize("kind", ENGINES)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_conformance(kind: str, make: Make, check: Callable[[Engine], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(_run(make(), check))


@pytest.mark.parametrize("kind", ENGINES)
def test_max_tokens_is_limited_to_the_room(kind: str, make: Make) -> None:
    asyncio.run(_run(make(max_context_tokens=80), max_tokens_is_limited_to_the_room))


@pytest.mark.parametrize("kind", ENGINES)
def test_a_failure_ends_one_request_only(kind: str, make: Make) -> None:
    engine = make(fail_at_token=3, failures=1) if kind == "fake" else make()
    asyncio.run(_run(engine, lambda one: a_failure_ends_one_request_only(one, _break_once)))


async def _run(engine: Engine, check: Callable[[Engine], Coroutine[Any, Any, None]]) -> None:
    try:
        await check(engine)
    finally:
        await engine.aclose()


def _break_once(engine: Engine) -> None:
    """Make the library's next generate raise, with text in the message; the fake breaks by its config."""
    if isinstance(engine, FakeEngine):
        return
    model = engine._model  # type: ignore[attr-defined]
    whole = model.generate

    def broken(_self: Any, **_options: Any) -> None:
        model.generate = whole
        raise RuntimeError("a secret question")

    model.generate = MethodType(broken, model)
