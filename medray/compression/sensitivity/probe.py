"""What one quantised projection costs: the rise of loss and KL on the answers' medical terms and numbers.

One projection at a time is replaced by its round trip through a code, the rest stays exact. Everything before its layer
is as it was, so the pass starts there, and the head is computed for the marked tokens alone. Sums are kept per row:
rows are independent, tokens of one row are not.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from medray.compression.codes import round_trip
from medray.compression.measure import ratio_standard_error
from medray.compression.plan import Bits
from medray.compression.sensitivity.marks import Marked
from medray.errors import ModelError


@dataclass(frozen=True)
class Probe:
    """One projection, and the code that it alone is stored in."""

    module: str
    bits: Bits
    code: str

    @property
    def layer(self) -> int:
        """The decoder layer that holds it. Raises ModelError for a module outside the layers."""
        pieces = self.module.split(".")
        if pieces[:2] != ["model", "layers"] or not pieces[2].isdigit():
            raise ModelError(f"expected a projection of a decoder layer, got {self.module}")
        return int(pieces[2])


@dataclass(frozen=True)
class Rise:
    """Per row: tokens measured, summed KL(exact || probed) and summed rise of loss, in nats."""

    tokens: tuple[int, ...]
    kl_sums: tuple[float, ...]
    loss_sums: tuple[float, ...]

    @property
    def kl(self) -> float:
        """KL in nats per token."""
        return sum(self.kl_sums) / sum(self.tokens)

    @property
    def loss(self) -> float:
        """Rise of the loss in nats per token; noise may put it below zero."""
        return sum(self.loss_sums) / sum(self.tokens)

    @property
    def kl_se(self) -> float | None:
        """Standard error of `kl` over rows; None for one row."""
        return ratio_standard_error(list(zip(self.kl_sums, self.tokens, strict=True)))

    def record(self) -> dict[str, list[float]]:
        """Return plain data; `Rise.of` takes it back."""
        return {name: list(values) for name, values in asdict(self).items()}

    @classmethod
    def of(cls, record: dict[str, list[float]]) -> "Rise":
        """Rebuild from a record."""
        return cls(tuple(map(int, record["tokens"])), tuple(record["kl_sums"]), tuple(record["loss_sums"]))


def run_probes(model: Any, probes: Sequence[Probe], rows: Sequence[Marked], *, device: str = "cpu") -> list[Rise]:
    """Return the rise of each probe. The model is left as it came. Raises ModelError."""
    import torch

    found: list[list[tuple[float, float]]] = [[] for _ in probes]
    with torch.inference_mode():
        states = [_State.of(model, marked, {probe.layer for probe in probes}, device) for marked in rows]
        for at, probe in enumerate(probes):
            with _replaced(model, probe):
                found[at] = [state.rise(model, probe.layer) for state in states]
    tokens = tuple(len(marked.targets) for marked in rows)
    return [Rise(tokens, *(tuple(side) for side in zip(*sums, strict=True))) for sums in found]


@dataclass(frozen=True)
class _State:
    """One row as the exact model sees it: the inputs of each layer, and log-probabilities at the marked tokens."""

    hidden: dict[int, Any]  # what enters each probed layer, (1, tokens, width)
    arguments: dict[int, dict[str, Any]]  # what else each layer from the first probed one on is called with
    exact: Any  # logits at the marked tokens' places, (marked, vocabulary); in doubles only while they are compared
    targets: Any  # (marked,)
    before: Any  # the positions that predict them, (marked,)

    @classmethod
    def of(cls, model: Any, marked: Marked, probed: set[int], device: str) -> "_State":
        import torch

        entering: dict[int, Any] = {}
        arguments: dict[int, dict[str, Any]] = {}
        with _captured(model.model.layers, probed, entering, arguments):
            last = model.model(input_ids=torch.tensor([marked.row.ids], device=device), use_cache=False)[0]
        before = torch.tensor(marked.targets, device=device) - 1
        targets = torch.tensor([marked.row.ids[at] for at in marked.targets], device=device)
        exact = model.lm_head(last[0, before])
        return cls(entering, arguments, exact, targets, before)

    def rise(self, model: Any, layer: int) -> tuple[float, float]:
        """Return summed KL and summed rise of loss of the model as it is now, from `layer` on."""
        hidden = self.hidden[layer]
        for at in range(layer, len(model.model.layers)):
            hidden = model.model.layers[at](hidden, **self.arguments[at])
        changed = model.lm_head(model.model.norm(hidden[0, self.before]))
        exact, probed = (logits.double().log_softmax(-1) for logits in (self.exact, changed))
        kl = (exact.exp() * (exact - probed)).sum()
        rise = (exact - probed).gather(-1, self.targets[:, None]).sum()
        if not bool(kl.isfinite()) or not bool(rise.isfinite()):
            raise ModelError("expected finite log-probabilities, got NaN or infinity: the weights are damaged")
        return max(0.0, float(kl)), float(rise)


@contextmanager
def _captured(
    layers: Any, probed: set[int], entering: dict[int, Any], arguments: dict[int, dict[str, Any]]
) -> Iterator[None]:
    def keep(at: int) -> Any:
        def hook(_module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            arguments[at] = kwargs
            if at in probed:
                entering[at] = args[0]

        return hook

    chosen = range(min(probed, default=len(layers)), len(layers))
    handles = [layers[at].register_forward_pre_hook(keep(at), with_kwargs=True) for at in chosen]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _replaced(model: Any, probe: Probe) -> Iterator[None]:
    """Give one projection its round trip, and its own weight back whatever happens."""
    try:
        weight = model.get_submodule(probe.module).weight
    except AttributeError:
        raise ModelError(f"expected a projection {probe.module} in the model, found none") from None
    exact = weight.data
    if not bool(exact.isfinite().all()):
        raise ModelError(f"{probe.module}: expected finite weights, got NaN or infinity: the model is damaged")
    weight.data = round_trip(exact, probe.code).to(exact.dtype)
    try:
        yield
    finally:
        weight.data = exact
