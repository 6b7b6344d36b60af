"""Models by name: resolve what a config says, load it safely, pull the pinned small ones, prune, make tiny ones.

`resolve` turns a hub id, a pulled name, a plain folder, an artifact or one of its format sub-folders into a `ModelRef`
without loading weights; `load_model` and `load_tokenizer` take it from there. Only safetensors are read and no remote
code runs. Distillation, compression and serving all come through here; none of them is known here.
"""

from medray.models.loading import load_model, load_tokenizer, torch_dtype
from medray.models.prune import PRUNE_PREFIX, kept_layers, prune_depth, pruned_layers
from medray.models.pull import PULLABLE, pull
from medray.models.reference import ModelRef, resolve
from medray.models.tokenizers import same_tokenizer, tokenizer_hash

__all__ = [
    "PRUNE_PREFIX",
    "PULLABLE",
    "ModelRef",
    "kept_layers",
    "load_model",
    "load_tokenizer",
    "prune_depth",
    "pruned_layers",
    "pull",
    "resolve",
    "same_tokenizer",
    "tokenizer_hash",
    "torch_dtype",
]
