"""Importance is the mean squared input of each linear layer."""

import numpy as np
import pytest
import torch

from medray.compression.backends.gguf_importance import gather_importance
from medray.compression.rows import Row
from medray.errors import DataError
from medray.models.tiny import tiny_model

ROWS = [Row(tuple(range(3, 20)), 5), Row(tuple(range(100, 130)), 9)]


def test_it_is_the_mean_square_over_all_tokens():
    model = tiny_model()
    found = gather_importance(model, ROWS)
    assert set(found) == {name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)}
    with torch.no_grad():
        inputs = []
        for row in ROWS:
            hidden = model.model.embed_tokens(torch.tensor([row.ids]))
            inputs.append(model.model.layers[0].input_layernorm(hidden)[0])
    expected = torch.cat(inputs).square().mean(0).numpy()
    assert np.allclose(found["model.layers.0.self_attn.q_proj"], expected, rtol=1e-5)
    assert found["model.layers.3.mlp.down_proj"].shape == (128,)


def test_the_model_is_left_as_it_was():
    model = tiny_model()
    gather_importance(model, ROWS)
    assert not any(module._forward_pre_hooks for module in model.modules())
    with pytest.raises(DataError, match="rows"):
        gather_importance(model, [])
