"""A causal language model seen as decoder and head, so that logits are made at answer positions only.

Most positions of a lesson are prompt; the head is the largest matrix of a small model.
"""

from typing import Any

import torch

from medray.distillation.batch import Batch
from medray.errors import ModelError

_TOLERANCE = 1e-3


def answer_states(model: Any, batch: Batch) -> Any:
    """Return the decoder's last hidden states [N, D] at the positions that predict answer tokens."""
    states = model.get_decoder()(input_ids=batch.ids, use_cache=False).last_hidden_state
    return batch.select(states)


def head(model: Any) -> Any:
    """Return the module from hidden state to logits."""
    return model.get_output_embeddings()


def require_plain_head(model: Any, name: str) -> None:
    """Check on a few tokens that head(decoder(x)) is the model's own output.

    Families that scale or cap their logits after the head would be trained on another distribution than they serve.
    Raises ModelError.
    """
    ids = torch.arange(1, 9, device=model.get_input_embeddings().weight.device)[None]
    output = head(model)
    if output is None:
        raise ModelError(f"{name}: expected a language model with an output head, found none")
    with torch.no_grad():
        whole = model(input_ids=ids, use_cache=False).logits.float()
        parts = output(model.get_decoder()(input_ids=ids, use_cache=False).last_hidden_state).float()
    if not torch.allclose(whole, parts, rtol=_TOLERANCE, atol=_TOLERANCE * float(whole.abs().max())):
        raise ModelError(f"{name}: its family changes the logits after the head, which training here does not follow")
