"""Log-likelihoods of answers under a causal model, each shared beginning computed once.

Requests come in groups that begin alike (the orders of one question's options); groups may begin alike as well (solved
examples). A model that keeps no cache that branches, or for which a probe shows that it does not hold, reads every
answer with its whole context instead: `naive`, also the reference that tests compare with.
"""

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

from medray.evaluation.loglikelihood_batches import cuts
from medray.evaluation.loglikelihood_requests import Request
from medray.evaluation.loglikelihood_rows import RowReader, Rows, logprobs

Scores: TypeAlias = list[tuple[float, ...]]

_LOGITS_HELD: Final = 1 << 27  # values of one piece's logits: 0.5 GiB in float32
_WORTH: Final = 64  # ids saved; below it another pass costs more than it saves
_TOLERANCE: Final = {"torch.float32": 1e-3, "torch.float64": 1e-6}
_LOW_PRECISION_TOLERANCE: Final = 0.25
_CANNOT_SHARE: Final = (TypeError, ValueError, AttributeError, NotImplementedError, RuntimeError, IndexError)


class AnswerModel:
    """A model in eval mode. `shares` tells whether beginnings are computed once, `max_length` how many positions."""

    def __init__(self, model: Any) -> None:
        import torch

        config = model.config.get_text_config()
        self._reader = RowReader(model)
        self._window = _attention_window(config)
        self._tolerance = _TOLERANCE.get(str(model.dtype), _LOW_PRECISION_TOLERANCE)
        self._vocabulary = int(config.vocab_size)
        self.max_length = int(getattr(config, "max_position_embeddings", 0) or 0) or 1 << 20
        with torch.inference_mode():
            self.shares = self._reader.keeps_cache and self._probe()

    def score(self, groups: Sequence[Sequence[Request]]) -> list[Scores]:
        """Return the natural-log likelihood of each answer of each request, summed over its tokens, group by group."""
        import torch

        requests = [request for group in groups for request in group]
        with torch.inference_mode():
            sharing = self.shares and not self._beyond_window(requests)
            scores = self._shared(groups) if sharing else self.naive(requests)
        found = iter(scores)
        return [[next(found) for _ in group] for group in groups]

    def naive(self, requests: Sequence[Request]) -> Scores:
        """Return the same by one full forward pass per answer."""
        import torch

        with torch.inference_mode():
            return [
                tuple(self._reader.whole((*request.context, *answer), len(answer)) for answer in request.answers)
                for request in requests
            ]

    def _shared(self, groups: Sequence[Sequence[Request]], *, worth: int = _WORTH) -> Scores:
        requests = [request for group in groups for request in group]
        start, stems = cuts(groups, worth)
        rows: Rows | None = None
        parents, ends = [0] * len(requests), [start] * len(requests)
        if start:
            rows = self._reader.read(None, (), [requests[0].context[:start]], keep=True)
        if stems:
            own = [group[0].context[start:end] for group, end in zip(groups, stems, strict=True)]
            rows = self._reader.read(rows, [0] * len(groups), own, keep=True)
            parents = [place for place, group in enumerate(groups) for _ in group]
            ends = [stems[place] for place in parents]
        rests = [request.context[end:] for request, end in zip(requests, ends, strict=True)]
        branching = any(len(answer) > 1 for request in requests for answer in request.answers)
        return self._answers(self._reader.read(rows, parents, rests, keep=branching), requests)

    def _answers(self, rows: Rows, requests: Sequence[Request]) -> Scores:
        """Score first tokens where the contexts end, and the rest of longer answers after a branch for each."""
        import torch

        sums: list[list[float]] = []
        for row, request in enumerate(requests):
            firsts = torch.tensor([answer[0] for answer in request.answers], device=rows.last.device)
            sums.append(logprobs(rows.last[row].expand(len(firsts), -1), firsts).tolist())
        longer = [
            (row, place)
            for row, request in enumerate(requests)
            for place, answer in enumerate(request.answers)
            if len(answer) > 1
        ]
        if longer:
            tails = [requests[row].answers[place] for row, place in longer]
            piece = max(1, _LOGITS_HELD // (len(tails) * self._vocabulary))
            rests = self._reader.tails(rows, [row for row, _ in longer], tails, piece)
            for (row, place), rest in zip(longer, rests, strict=True):
                sums[row][place] += rest
        return [tuple(values) for values in sums]

    def _beyond_window(self, requests: Sequence[Request]) -> bool:
        """Tell whether padding could push tokens that count out of a sliding window."""
        longest = max(len(request.context) + len(answer) for request in requests for answer in request.answers)
        return self._window is not None and longest > self._window // 2

    def _probe(self) -> bool:
        """Compare a few made-up groups with `naive`: some caches cannot branch, some models ignore masks."""
        ids = tuple((7 * place + 3) % self._vocabulary for place in range(60))
        order = Request(ids[:20], ((ids[20],), ids[20:24], ids[30:32]))
        other = Request((*ids[:15], *ids[40:43]), ((ids[20],), ids[20:24]))
        groups = [[order, other], [Request((*ids[:12], ids[5]), (ids[25:28],))]]
        try:
            found = self._shared(groups, worth=1)
        except _CANNOT_SHARE:
            return False
        expected = self.naive([request for group in groups for request in group])
        pairs = zip([v for row in found for v in row], [v for row in expected for v in row], strict=True)
        return all(abs(left - right) <= self._tolerance for left, right in pairs)


def _attention_window(config: Any) -> int | None:
    window = getattr(config, "sliding_window", None) or getattr(config, "attention_chunk_size", None)
    kinds = set(getattr(config, "layer_types", None) or ())
    if kinds == {"full_attention"} or getattr(config, "use_sliding_window", True) is False:
        return None
    return int(window) if window else None
