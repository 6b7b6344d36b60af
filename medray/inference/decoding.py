"""What a request adds to `transformers`' own generate: seeded sampling, and an end at any step.

Both are its documented hooks (a logits processor and a stopping criterion), so the decoding loop, the KV cache and
the kernels stay the library's.
"""

import time
from typing import Any

import torch
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    StoppingCriteria,
    StoppingCriteriaList,
    TemperatureLogitsWarper,
    TopPLogitsWarper,
)

from medray.inference.engine import GenerationRequest
from medray.inference.meter import Meter
from medray.inference.progress import Progress
from medray.inference.worker import Job


class ExponentialRace(LogitsProcessor):  # type: ignore[misc,unused-ignore]
    """Make argmax draw from softmax(logits): argmax of p / E with E ~ Exp(1) is a sample of p.

    It draws from a generator of its own. `torch.multinomial` inside `generate` draws from the process-wide one, where
    a seed for one request would disturb every other engine, trainer and thread of the process.
    """

    def __init__(self, seed: int | None, device: torch.device) -> None:
        self._generator = torch.Generator(device=device)
        if seed is None:
            self._generator.seed()
        else:
            self._generator.manual_seed(seed)

    def __call__(self, input_ids: Any, scores: torch.Tensor) -> torch.Tensor:
        """Return perturbed logits [rows, vocabulary]."""
        race = torch.empty_like(scores).exponential_(generator=self._generator)
        return scores - race.clamp_min(torch.finfo(scores.dtype).tiny).log()


class StepWatcher(StoppingCriteria):  # type: ignore[misc,unused-ignore]
    """See every new token of one sequence: emit deltas, and stop when the answer is over."""

    def __init__(self, job: Job, progress: Progress, meter: Meter) -> None:
        self._job = job
        self._progress = progress
        self._meter = meter

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        """Take ids [1, length]; return [1] booleans, true to stop."""
        if self._progress.finish_reason is None:
            self._meter.token(self._job.ticket)
            delta = self._progress.step(
                int(input_ids[0, -1]), now_s=time.monotonic(), cancelled=self._job.cancelled.is_set()
            )
            if delta is not None:
                self._job.emit(delta)
        done = self._progress.finish_reason is not None
        return torch.full((input_ids.shape[0],), done, dtype=torch.bool, device=input_ids.device)


def generate(model: Any, job: Job, config: GenerationConfig, watcher: StepWatcher) -> None:
    """Run the library's generate for one job. `config` is greedy; sampling comes from the processors."""
    ids_BT = torch.tensor([job.prompt_ids], dtype=torch.long, device=model.device)
    with torch.inference_mode():
        model.generate(
            input_ids=ids_BT,
            attention_mask=torch.ones_like(ids_BT),
            generation_config=config,
            logits_processor=_sampling(job.request, model.device),
            stopping_criteria=StoppingCriteriaList([watcher]),
        )


def greedy_config(*, max_tokens: int, end_ids: frozenset[int], pad_id: int) -> GenerationConfig:
    """Return the generation settings of one job."""
    return GenerationConfig(
        max_new_tokens=max_tokens,
        do_sample=False,
        num_beams=1,
        use_cache=True,
        eos_token_id=sorted(end_ids),
        pad_token_id=pad_id,
    )


def _sampling(request: GenerationRequest, device: torch.device) -> LogitsProcessorList:
    if request.temperature == 0:
        return LogitsProcessorList()
    processors = LogitsProcessorList([TemperatureLogitsWarper(float(request.temperature))])
    if request.top_p < 1:
        processors.append(TopPLogitsWarper(float(request.top_p)))
    processors.append(ExponentialRace(request.seed, device))
    return processors
