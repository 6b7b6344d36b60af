"""The paper's attention-weight analysis: the share of attention that reaches medical terms and numbers.

For each layer and head, the mean over the positions that predict the answer of the attention weight that falls on
marked tokens; beside it the share that the same positions would give them by looking everywhere alike. Weights are
reduced layer by layer as they arise: the attention matrices of a model are never held at once.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from medray.compression.sensitivity.marks import KINDS, Kind, Marked
from medray.errors import ModelError


@dataclass(frozen=True)
class AttentionShare:
    """`shares[kind][layer][head]` and `uniform[kind]`, in [0, 1], over `positions` predicting positions."""

    shares: dict[Kind, list[list[float]]]
    uniform: dict[Kind, float]
    positions: int

    def of_layer(self, layer: int) -> float:
        """Return the share that reaches terms and numbers together, mean over the layer's heads."""
        heads = [share for kind in KINDS for share in self.shares[kind][layer]]
        return sum(heads) * len(KINDS) / len(heads)


def attention_share(model: Any, rows: Sequence[Marked], *, device: str = "cpu") -> AttentionShare:
    """Run the rows through a decoder that was loaded with eager attention. Raises ModelError for any other."""
    import torch

    if model.config._attn_implementation != "eager":
        raise ModelError("expected a model with eager attention, got one whose kernels keep no weights: load it so")
    totals: dict[Kind, dict[int, Any]] = {kind: {} for kind in KINDS}
    uniform, positions = dict.fromkeys(KINDS, 0.0), 0
    for marked in rows:
        span = slice(marked.row.answer_start - 1, len(marked.row.ids) - 1)
        masks = {kind: torch.tensor([m == kind for m in marked.marks], device=device) for kind in KINDS}
        with _reduced(model.model.layers, span, masks, totals), torch.inference_mode():
            model.model(input_ids=torch.tensor([marked.row.ids], device=device), use_cache=False)
        positions += span.stop - span.start
        seen = torch.arange(1, len(marked.marks) + 1, device=device)
        for kind, mask in masks.items():
            uniform[kind] += float((mask.double().cumsum(0) / seen)[span].sum())
    shares = {
        kind: [(of_layer[at] / positions).tolist() for at in sorted(of_layer)] for kind, of_layer in totals.items()
    }
    return AttentionShare(shares, {kind: total / positions for kind, total in uniform.items()}, positions)


@contextmanager
def _reduced(
    layers: Any, span: slice, masks: Mapping[Kind, Any], totals: Mapping[Kind, dict[int, Any]]
) -> Iterator[None]:
    """Add each layer's attention on the masks to the totals, (heads,) a layer, and drop the weights at once."""

    def hook(at: int) -> Callable[[Any, Any, tuple[Any, Any]], tuple[Any, None]]:
        def reduce(_module: Any, _inputs: Any, outputs: tuple[Any, Any]) -> tuple[Any, None]:
            weights_HQK = outputs[1][0, :, span].double()
            for kind, mask in masks.items():
                totals[kind][at] = totals[kind].get(at, 0.0) + weights_HQK[..., mask].sum((-1, -2)).cpu()
            return outputs[0], None

        return reduce

    handles = [layer.self_attn.register_forward_hook(hook(at)) for at, layer in enumerate(layers)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
