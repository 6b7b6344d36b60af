"""Merging an adapter into the base it was trained on, in float32, and proof that nothing else changed.

The logits of real prompts before and after must agree within a tolerance; a merge that fails is never written. Merging
into quantised weights is refused: the rounding of the base would be baked into the result.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from medray.compression.rows import Row
from medray.errors import ModelError, ParityError
from medray.models import ModelRef, load_model

PARITY_TOKENS = 128  # of each prompt: the logits of all of them are held at once


@dataclass(frozen=True)
class Parity:
    """How far the merged logits lie from the adapter's: largest absolute difference over `tokens` positions."""

    max_abs_difference: float
    tolerance: float
    prompts: int
    tokens: int

    def record(self) -> dict[str, float | int]:
        """Return plain data for a manifest."""
        return asdict(self)


def merge(ref: ModelRef, rows: Sequence[Row], *, tolerance: float, device: str) -> tuple[Any, Parity | None]:
    """Load `ref` in float32 and fold its adapter in; without one there is nothing to prove and parity is None.

    Raises ModelError for a quantised base or an adapter that is damaged, ParityError.
    """
    refuse_quantised(ref)
    model = load_model(ref, dtype="float32", device=device)
    if ref.kind != "adapter":
        return model, None
    before = logits(model, rows, device=device)
    try:
        merged = model.merge_and_unload(safe_merge=True).eval()
    except ValueError:
        raise ModelError(f"{ref.name}: expected finite adapter weights, got NaN or infinity: it is damaged") from None
    return merged, check_parity(before, logits(merged, rows, device=device), tolerance)


def refuse_quantised(ref: ModelRef) -> None:
    """Raise ModelError when the weights that would be changed are quantised."""
    base = ref.base or ref
    if base.kind == "bitsandbytes" or base.config_json().get("quantization_config") is not None:
        raise ModelError(
            f"{base.name}: expected 16- or 32-bit weights, got quantised ones: start from the original model"
        )


def check_parity(before: Sequence[Any], after: Sequence[Any], tolerance: float) -> Parity:
    """Compare logits (tokens, vocabulary) prompt by prompt. Raises ParityError; NaN never passes."""
    worst = max(float((one - other).abs().max()) for one, other in zip(before, after, strict=True))
    parity = Parity(worst, tolerance, len(before), sum(one.shape[0] for one in before))
    if any(not bool(one.isfinite().all()) for one in (*before, *after)) or not worst <= tolerance:
        raise ParityError(
            f"expected merged and adapter logits within {tolerance:g}, got {worst:g} over {parity.tokens} tokens: "
            "the merge is wrong or the adapter was trained on another base; nothing was written"
        )
    return parity


def logits(model: Any, rows: Sequence[Row], *, device: str) -> list[Any]:
    """Return each row's logits (tokens, vocabulary) on the CPU, at most PARITY_TOKENS positions of each."""
    import torch

    found = []
    with torch.inference_mode():
        for row in rows:
            ids = torch.tensor([row.cut(PARITY_TOKENS).ids], device=device)
            found.append(model(input_ids=ids, use_cache=False).logits[0].float().cpu())
    return found
