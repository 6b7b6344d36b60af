"""Depth pruning: a student made of some of the teacher's layers.

`student=prune:N` keeps N layers, evenly spaced with the first and the last among them, and everything else
(embeddings, norms, head) unchanged. It is a pure function of the teacher, so every worker of a cluster can rebuild it.
"""

from typing import Any

from medray.errors import ConfigError, ModelError

PRUNE_PREFIX = "prune:"


def pruned_layers(student: str) -> int | None:
    """Return N of `prune:N`, or None for any other name. Raises ConfigError."""
    if not student.startswith(PRUNE_PREFIX):
        return None
    text = student.removeprefix(PRUNE_PREFIX)
    if not text.isdecimal() or int(text) < 1:
        raise ConfigError(f"student: expected prune:N with N >= 1, got '{student}'")
    return int(text)


def kept_layers(total: int, keep: int) -> list[int]:
    """Return `keep` distinct layer indices of `total`, evenly spaced, first and last included when keep >= 2."""
    if not 1 <= keep <= total:
        raise ConfigError(f"student: expected prune:N with 1 <= N <= {total} (the teacher's layers), got {keep}")
    if keep == 1:
        return [0]
    return [round(index * (total - 1) / (keep - 1)) for index in range(keep)]


def prune_depth(model: Any, keep: int) -> Any:
    """Drop layers of a loaded decoder in place and return it. Raises ModelError for an unknown family."""
    import torch

    decoder = getattr(model, "model", None)
    layers = getattr(decoder, "layers", None)
    if decoder is None or not isinstance(layers, torch.nn.ModuleList):
        raise ModelError("prune: expected a decoder with model.layers (Llama, Qwen2, Mistral ...), got another family")
    kept = kept_layers(len(layers), keep)
    decoder.layers = torch.nn.ModuleList(layers[index] for index in kept)
    for position, layer in enumerate(decoder.layers):
        _renumber(layer, position)
    config = model.config
    config.num_hidden_layers = keep
    if getattr(config, "layer_types", None):
        config.layer_types = [config.layer_types[index] for index in kept]
    return model


def _renumber(layer: Any, position: int) -> None:
    """Give attention its new index: the KV cache is addressed by it and raises IndexError otherwise."""
    for module in layer.modules():
        if hasattr(module, "layer_idx"):
            module.layer_idx = position
