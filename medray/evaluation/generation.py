"""The scorer by generation: answers are written, the chosen option is read from them, open answers are measured.

Requests are made from an event loop in a thread of its own, a bounded number at once; outcomes come out in the order of
the items. An answer that fails is a failed outcome; what would fail every answer alike (a wrong key, an unknown model)
is raised.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from medray.errors import ArtifactError, CapabilityError, ConfigError, ModelError
from medray.evaluation.extraction import answer_section, extract_choice
from medray.evaluation.generation_answerers import Answerer, Reply, build_answerer
from medray.evaluation.generation_config import GenerationConfig, SamplingConfig
from medray.evaluation.judge import Judge
from medray.evaluation.metrics.open_answers import OpenAnswerMetrics
from medray.evaluation.prompts import Prompt, build_prompt, is_decision, shows_options
from medray.evaluation.schema import Item, Outcome
from medray.evaluation.shuffle import orders, shown
from medray.evaluation.tasks import load_shots
from medray.evaluation.tasks.few_shot import shots_for

ResultT = TypeVar("ResultT")
_FOR_ALL = (ConfigError, CapabilityError, ModelError, ArtifactError)
_AHEAD = 2  # requests prepared per request under way, so that none waits for the measuring of answers


@dataclass(frozen=True, slots=True)
class _Asked:
    """One question in one order, and the answer to come."""

    item: Item
    repeat: int
    order: tuple[int, ...]
    prompt: Prompt
    reply: "Future[tuple[Reply, Mapping[str, float]]]"


class GenerationScorer:
    """Scores items by what `model` writes: any model name, or the URL of an OpenAI-compatible endpoint.

    `answerer` replaces it, for engines that are made elsewhere. Raises ConfigError, ModelError or CapabilityError.
    """

    def __init__(self, model: str, config: GenerationConfig, *, answerer: Answerer | None = None) -> None:
        self._config = config
        self._shots: Mapping[str, Sequence[Item]] = {}
        self._open: OpenAnswerMetrics | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="medray-generate", daemon=True)
        self._thread.start()
        try:
            self._answerer, slots = self._run(self._build(model, answerer))
            self._judge = self._run(self._build_judge())
        except BaseException:
            self._stop()
            raise
        self._slots = slots
        self._free = asyncio.Semaphore(slots)

    def score(self, items: Sequence[Item]) -> Iterator[Outcome]:
        """Yield the outcomes of each item, `repeats` of them, in the order given."""
        new = sorted({item.task for item in items} - self._shots.keys())
        self._shots = {**self._shots, **load_shots(self._config.few_shot, new)}
        under_way: deque[list[_Asked]] = deque()
        waiting = iter(items)
        try:
            while True:
                while sum(map(len, under_way)) < _AHEAD * self._slots and (item := next(waiting, None)) is not None:
                    under_way.append(self._ask(item))
                if not under_way:
                    return
                yield from self._outcomes(under_way.popleft())
        finally:
            for asked in under_way:
                for one in asked:
                    one.reply.cancel()

    def close(self) -> None:
        """Free the model and end the thread. Calling it twice is fine."""
        if self._loop.is_closed():
            return
        try:
            self._run(self._aclose())
        finally:
            self._stop()

    async def _build(self, model: str, answerer: Answerer | None) -> tuple[Answerer, int]:
        return (answerer, self._config.concurrency) if answerer else build_answerer(model, self._config)

    async def _build_judge(self) -> Judge | None:
        config = self._config.open_answers.judge
        return Judge(config) if config.url else None

    async def _aclose(self) -> None:
        await self._answerer.aclose()
        if self._judge is not None:
            await self._judge.aclose()

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, ResultT]) -> ResultT:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _ask(self, item: Item) -> list[_Asked]:
        """Send an item's questions: one per order, one alone where nothing would differ."""
        sampling, repeats = self._config.sampling, self._config.repeats
        visible = shows_options(item, "letters")
        asked = repeats if visible or sampling.temperature > 0 else 1
        own = orders(item.id, len(item.options), asked if visible else 1, self._config.seed)
        few = self._config.few_shot.shots
        shots = shots_for(item, self._shots.get(item.task, ()), few) if few else ()
        made = []
        for repeat in range(asked):
            order = own[repeat] if visible else own[0]
            prompt = build_prompt(item, order, style="chat", method="letters", shots=shots)
            seeded = sampling.model_copy(update={"seed": sampling.seed + repeat})
            work = self._reply(item, prompt, seeded)
            made.append(_Asked(item, repeat, order, prompt, asyncio.run_coroutine_threadsafe(work, self._loop)))
        return made

    async def _reply(self, item: Item, prompt: Prompt, sampling: SamplingConfig) -> tuple[Reply, Mapping[str, float]]:
        async with self._free:
            reply = await self._answerer.answer(prompt.messages, sampling)
        if self._judge is None or item.kind != "open":
            return reply, {}
        return reply, await self._judge.scores(item.question, item.answer, answer_section(reply.text).text)

    def _outcomes(self, asked: Sequence[_Asked]) -> Iterator[Outcome]:
        made = [self._outcome(one) for one in asked]
        repeats = self._config.repeats
        yield from made if len(made) == repeats else [replace(made[0], repeat=repeat) for repeat in range(repeats)]

    def _outcome(self, asked: _Asked) -> Outcome:
        item = asked.item
        blank = Outcome(
            item_id=item.id,
            task=item.task,
            stratum=item.stratum,
            category=item.category,
            repeat=asked.repeat,
            order=asked.order,
            prompt_sha256=asked.prompt.sha256,
            status="failed",
            correct=False if item.kind == "choice" else None,
        )
        try:
            reply, judged = asked.reply.result()
            told = self._choice(blank, asked, reply) if item.kind == "choice" else self._measured(blank, item, reply)
        except _FOR_ALL:
            raise
        except Exception as error:  # engines and devices fail with types of their own
            return replace(blank, error=type(error).__name__)
        first = {} if reply.first_s is None else {"first_token_s": reply.first_s}
        cut_off = {"cut_off": float(reply.cut_off)}
        return replace(
            told,
            status="ok",
            raw_output=reply.text,
            tokens=reply.tokens,
            seconds=reply.seconds,
            scores={**told.scores, **judged, **first, **cut_off},
        )

    def _choice(self, blank: Outcome, asked: _Asked, reply: Reply) -> Outcome:
        item = asked.item
        options = shown(item.options, asked.order)
        read = extract_choice(reply.text, options, lettered=not is_decision(item))
        scores = {"abstained": float(read.reason == "refused")}
        if read.place is None:
            return replace(blank, correct=False, scores=scores)
        chosen = asked.order[read.place]
        label = asked.prompt.labels[read.place]
        return replace(blank, letter=label, chosen=chosen, correct=chosen == item.answer_index, scores=scores)

    def _measured(self, blank: Outcome, item: Item, reply: Reply) -> Outcome:
        if self._open is None:
            self._open = OpenAnswerMetrics(self._config.open_answers)
        return replace(blank, scores=self._open.scores(item, answer_section(reply.text).text))
