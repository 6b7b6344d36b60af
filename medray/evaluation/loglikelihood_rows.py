"""Reading token ids in rows that share beginnings: what was read is kept, and branches.

`Rows` is what has been read so far: keys and values, one row per branch. `read` appends a piece to chosen rows, so a
beginning is read once and branches into contexts, and a context into its answers. Padding is masked and does not count
as a position: to the left of a piece, so that the head is needed at its last place alone. Shapes by suffix: B rows, T
positions, V vocabulary.
"""

import copy
import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Rows:
    """B rows of T positions: `mask` (B, T) tells which count, `lengths` (B) how many; `last` (B, V) logits after."""

    cache: Any
    mask: Any
    lengths: Any
    last: Any


class RowReader:
    """Runs a causal model over pieces of rows. Needs `torch.inference_mode` around it."""

    def __init__(self, model: Any) -> None:
        accepted = inspect.signature(decoder(model).forward).parameters
        self._model = model
        self._device = model.get_input_embeddings().weight.device
        self._keeps_logits = "logits_to_keep" in accepted
        self._takes_positions = "position_ids" in accepted
        self.keeps_cache = {"past_key_values", "attention_mask"} <= accepted.keys()

    def whole(self, ids: Sequence[int], answer: int) -> float:
        """Return the log-likelihood of the last `answer` ids by one full pass: no cache, no padding."""
        import torch

        ids_BT = torch.tensor([list(ids)], device=self._device)
        logits_BTV = self._model(input_ids=ids_BT[:, :-1]).logits
        return float(logprobs(logits_BTV[:, -answer:], ids_BT[:, -answer:]).sum())

    def read(self, rows: Rows | None, parents: Sequence[int], pieces: Sequence[Sequence[int]], *, keep: bool) -> Rows:
        """Append a piece, never empty, to each parent row (None: to nothing). `keep` allows to read on from there."""
        import torch

        ids_BT, mask_BT = _padded(pieces, self._device, left=True)
        positions_BT = (mask_BT.cumsum(dim=1) - 1).clamp(min=0)
        lengths_B, seen_BT, cache = mask_BT.sum(dim=1), mask_BT, None
        if rows is not None:
            before_B = rows.lengths[list(parents)]
            positions_BT, lengths_B = positions_BT + before_B[:, None], lengths_B + before_B
            seen_BT = torch.cat([rows.mask[list(parents)], mask_BT], dim=1)
            cache = _branch(rows.cache, parents)
        output = self._forward(ids_BT, seen_BT, positions_BT, cache, keep=keep, last=True)
        return Rows(output.past_key_values if keep else None, seen_BT, lengths_B, output.logits[:, -1])

    def tails(self, rows: Rows, parents: Sequence[int], answers: Sequence[Sequence[int]], piece: int) -> list[float]:
        """Return the log-likelihood of all but the first id of each answer, `piece` positions at a time."""
        import torch

        ids_BT, mask_BT = _padded(answers, self._device, left=False)
        lengths_B, seen_BT = rows.lengths[list(parents)], rows.mask[list(parents)]
        cache = _branch(rows.cache, parents)
        sums_B = torch.zeros(len(answers), dtype=torch.float64)
        for start in range(0, ids_BT.shape[1] - 1, piece):
            stop = min(start + piece, ids_BT.shape[1] - 1)
            seen_BT = torch.cat([seen_BT, mask_BT[:, start:stop]], dim=1)
            positions_BT = lengths_B[:, None] + torch.arange(start, stop, device=self._device)
            output = self._forward(ids_BT[:, start:stop], seen_BT, positions_BT, cache, keep=True)
            found_BT = logprobs(output.logits, ids_BT[:, start + 1 : stop + 1])
            sums_B += (found_BT * mask_BT[:, start + 1 : stop + 1]).sum(dim=1).double().cpu()
            cache = output.past_key_values
        return [float(value) for value in sums_B]

    def _forward(
        self, ids_BT: Any, mask_BT: Any, positions_BT: Any, cache: Any, *, keep: bool, last: bool = False
    ) -> Any:
        options: dict[str, Any] = {"attention_mask": mask_BT, "use_cache": keep or cache is not None}
        if cache is not None:
            options["past_key_values"] = cache
        if self._takes_positions:
            options["position_ids"] = positions_BT
        if last and self._keeps_logits:
            options["logits_to_keep"] = 1
        return self._model(input_ids=ids_BT, **options)


def decoder(model: Any) -> Any:
    """Return the model under an adapter's wrapper, whose own signature says nothing."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def logprobs(logits_BTV: Any, ids_BT: Any) -> Any:
    """Return log p of each id in at least float32, without a second copy of the logits."""
    logits = logits_BTV if logits_BTV.dtype.itemsize >= 4 else logits_BTV.float()
    return logits.gather(-1, ids_BT.unsqueeze(-1)).squeeze(-1) - logits.logsumexp(dim=-1)


def _padded(pieces: Sequence[Sequence[int]], device: Any, *, left: bool) -> tuple[Any, Any]:
    import torch

    width = max(map(len, pieces))
    ids, mask = [], []
    for piece in pieces:
        fill, ones = [0] * (width - len(piece)), [1] * len(piece)
        ids.append([*fill, *piece] if left else [*piece, *fill])
        mask.append([*fill, *ones] if left else [*ones, *fill])
    return torch.tensor(ids, device=device), torch.tensor(mask, device=device)


def _branch(cache: Any, parents: Sequence[int]) -> Any:
    """Return a cache with a row for each parent; the given one stays as it is, for other branches."""
    import torch

    branched = copy.copy(cache)
    branched.layers = [copy.copy(layer) for layer in cache.layers]
    branched.reorder_cache(torch.tensor(list(parents)))
    return branched
