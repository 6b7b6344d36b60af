"""How much each input column of a linear layer matters: its mean squared value over the tokens of some rows.

This is llama.cpp's importance matrix, gathered on the unquantised model. Rounding that weights squared errors by it
minimises the error of a layer's output instead of its weights'.
"""

from collections.abc import Callable, Iterable
from typing import Any

from medray.compression.rows import Row
from medray.errors import DataError


def gather_importance(model: Any, rows: Iterable[Row], *, device: str = "cpu") -> dict[str, Any]:
    """Return mean squared inputs, float32 (columns,), by linear layer. Raises DataError without rows."""
    import torch

    totals: dict[str, Any] = {}
    linear = {name: module for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)}
    hooks = [module.register_forward_pre_hook(_adder(totals, name)) for name, module in linear.items()]
    tokens = 0
    try:
        with torch.inference_mode():
            for row in rows:
                model(input_ids=torch.tensor([row.ids], device=device), use_cache=False)
                tokens += len(row.ids)
    finally:
        for hook in hooks:
            hook.remove()
    if not tokens:
        raise DataError("importance: expected rows to gather it on, got none")
    return {name: (total / tokens).float().cpu().numpy() for name, total in totals.items()}


def _adder(totals: dict[str, Any], name: str) -> Callable[[Any, tuple[Any, ...]], None]:
    def add(_module: Any, inputs: tuple[Any, ...]) -> None:
        squares = inputs[0].detach().double().square().flatten(0, -2).sum(0)
        totals[name] = squares if name not in totals else totals[name] + squares

    return add
