"""What compression cost in quality: KL(merged || compressed) on the answer tokens of validation lessons.

Tokens of one answer are not independent, so standard errors are taken over lessons (the linearised ratio estimator).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from medray.compression.rows import Row, batches


@dataclass(frozen=True)
class Divergence:
    """Per answer token: KL in nats, its standard error (None for one lesson), how often the top token agrees."""

    kl: float
    kl_se: float | None
    agreement: float
    perplexity_merged: float
    perplexity: float
    tokens: int
    rows: int

    def record(self) -> dict[str, float | int | None]:
        """Return plain data for a summary."""
        return asdict(self)


@dataclass
class _Sums:
    """Sums over one lesson's answer tokens."""

    kl: float
    agree: float
    nll_merged: float
    nll: float
    tokens: int


@dataclass
class _Tally:
    lessons: list[_Sums] = field(default_factory=list)

    def result(self) -> Divergence:
        tokens = sum(lesson.tokens for lesson in self.lessons)
        kl = sum(lesson.kl for lesson in self.lessons) / tokens
        return Divergence(
            kl=kl,
            kl_se=ratio_standard_error([(lesson.kl, lesson.tokens) for lesson in self.lessons]),
            agreement=sum(lesson.agree for lesson in self.lessons) / tokens,
            perplexity_merged=_exp(sum(lesson.nll_merged for lesson in self.lessons) / tokens),
            perplexity=_exp(sum(lesson.nll for lesson in self.lessons) / tokens),
            tokens=tokens,
            rows=len(self.lessons),
        )


def compare(
    merged: Any,
    compressed: Any,
    rows: Sequence[Row],
    *,
    batch_size: int,
    device: str,
    advance: Callable[[int], None] = lambda rows: None,
) -> Divergence:
    """Run both models over the rows, teacher-forced. `advance` hears of each batch done."""
    import torch

    tally = _Tally()
    with torch.inference_mode():
        for batch in batches(rows, batch_size):
            inputs = _padded(batch, device)
            pair = [model(**inputs, use_cache=False).logits for model in (merged, compressed)]
            tally.lessons += [
                _sums(row, *(logits_BTV[index] for logits_BTV in pair)) for index, row in enumerate(batch)
            ]
            advance(len(batch))
    return tally.result()


def ratio_standard_error(pairs: Sequence[tuple[float, int]]) -> float | None:
    """Return the standard error of sum(values)/sum(weights) over independent clusters; None for fewer than two."""
    if len(pairs) < 2:
        return None
    weight = sum(tokens for _, tokens in pairs)
    ratio = sum(value for value, _ in pairs) / weight
    squares = sum((value - ratio * tokens) ** 2 for value, tokens in pairs)
    return math.sqrt(squares * len(pairs) / (len(pairs) - 1)) / weight


def _padded(batch: Sequence[Row], device: str) -> dict[str, Any]:
    """Pad on the right, where a causal model's answer tokens cannot see it."""
    import torch

    width = max(len(row.ids) for row in batch)
    ids = [[*row.ids, *[0] * (width - len(row.ids))] for row in batch]
    mask = [[1] * len(row.ids) + [0] * (width - len(row.ids)) for row in batch]
    return {"input_ids": torch.tensor(ids, device=device), "attention_mask": torch.tensor(mask, device=device)}


def _sums(row: Row, merged_TV: Any, compressed_TV: Any) -> _Sums:
    import torch

    # The logits at one position predict the next token: the answer's come from one position earlier.
    span = slice(row.answer_start - 1, len(row.ids) - 1)
    merged, compressed = (logits_TV[span].float().log_softmax(-1) for logits_TV in (merged_TV, compressed_TV))
    targets = torch.tensor(row.ids[row.answer_start :], device=merged.device)[:, None]
    return _Sums(
        kl=float((merged.exp() * (merged - compressed)).sum()),
        agree=float((merged.argmax(-1) == compressed.argmax(-1)).sum()),
        nll_merged=-float(merged.gather(-1, targets).sum()),
        nll=-float(compressed.gather(-1, targets).sum()),
        tokens=len(row.ids) - row.answer_start,
    )


def _exp(value: float) -> float:
    return math.exp(min(value, 700.0))
