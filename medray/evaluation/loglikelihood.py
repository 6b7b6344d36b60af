"""The scorer by log-likelihood: which answer a model finds most likely, and how likely a reference answer is.

The greatest wins; of equal ones the first as shown, as in lm-evaluation-harness. An item that cannot be scored (too
long, out of memory, not a number) is a failed outcome and does not take the others of its batch along.
"""

import time
from collections.abc import Iterator, Mapping, Sequence

from medray.evaluation.loglikelihood_batches import Budget, batches
from medray.evaluation.loglikelihood_config import LoglikelihoodConfig
from medray.evaluation.loglikelihood_model import AnswerModel
from medray.evaluation.loglikelihood_plan import Asking, Plan, failures, outcomes, plan
from medray.evaluation.loglikelihood_requests import PromptEncoder
from medray.evaluation.schema import Item, Outcome
from medray.evaluation.tasks.few_shot import load_shots, shots_for
from medray.models import load_model, load_tokenizer, resolve


class LoglikelihoodScorer:
    """Scores items with one model, loaded when it is made. Raises ModelError or CapabilityError."""

    def __init__(self, model: str, config: LoglikelihoodConfig) -> None:
        reference = resolve(model)
        self._config = config
        self._asking = Asking(config.style, config.method, config.repeats, config.seed, config.normalise)
        self._encoder = PromptEncoder(load_tokenizer(reference))
        self._model = AnswerModel(load_model(reference, dtype=config.dtype, device=config.device))
        self._budget = Budget(config.batch_items, config.tokens_at_once, config.held_positions)
        self._shots: Mapping[str, Sequence[Item]] = {}

    @property
    def shares_prefix(self) -> bool:
        """Whether beginnings are computed once; False reads every answer with its whole context."""
        return self._model.shares

    def score(self, items: Sequence[Item]) -> Iterator[Outcome]:
        """Yield the outcomes of each item, `repeats` of them, in the order given."""
        new = sorted({item.task for item in items} - self._shots.keys())
        self._shots = {**self._shots, **load_shots(self._config.few_shot, new)}
        for start in range(0, len(items), self._config.window_items):
            yield from self._window(items[start : start + self._config.window_items])

    def close(self) -> None:
        """Free the model."""
        del self._model

    def _window(self, items: Sequence[Item]) -> Iterator[Outcome]:
        """Score items sorted by length, yield them in the order given."""
        done: dict[str, list[Outcome]] = {}
        plans: list[Plan] = []
        for item in items:
            try:
                plans.append(self._plan(item))
            except ValueError as error:
                done[item.id] = failures(item, type(error).__name__, self._asking)
        for places in batches([planned.requests for planned in plans], self._budget):
            done.update(self._batch([plans[place] for place in places]))
        for item in items:
            yield from done[item.id]

    def _plan(self, item: Item) -> Plan:
        few = self._config.few_shot.shots
        shots = shots_for(item, self._shots.get(item.task, ()), few) if few else ()
        return plan(item, shots, self._asking, self._encoder, self._model.max_length)

    def _batch(self, plans: Sequence[Plan]) -> Iterator[tuple[str, list[Outcome]]]:
        """Score a batch; when it fails, each item alone, so that one does not fail the others."""
        started = time.perf_counter()
        try:
            found = self._model.score([planned.requests for planned in plans])
        except Exception as error:  # kernels and devices fail with types of their own
            if len(plans) > 1:
                for planned in plans:
                    yield from self._batch([planned])
            else:
                yield plans[0].item.id, failures(plans[0].item, type(error).__name__, self._asking)
            return
        seconds = (time.perf_counter() - started) / len(plans)
        for planned, scores in zip(plans, found, strict=True):
            yield planned.item.id, outcomes(planned, scores, seconds, self._asking)
