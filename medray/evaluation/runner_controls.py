"""Negative controls: systems that are known to be bad, made from a good model, to see that the tools say so.

`always_a` is a real model whose every next token is " A"; `swapped_layers` is the model with two layers exchanged;
`copies_question` answers with the question it got.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from medray.errors import ConfigError
from medray.evaluation.generation import GenerationScorer
from medray.evaluation.generation_answerers import EngineAnswerer
from medray.evaluation.generation_config import GenerationConfig
from medray.inference.engine import Message
from medray.inference.engines.fake import FakeConfig, FakeEngine
from medray.models import load_model, load_tokenizer, resolve

_DOMINANT: Final = 1e4  # times the size of hidden states: what the layers computed no longer shows


def always_a(model: str, folder: Path) -> Path:
    """Write a copy of a Llama-like model that says " A" whatever it reads. Raises ConfigError for another family."""
    import torch

    reference = resolve(model)
    made, tokenizer = load_model(reference), load_tokenizer(reference)
    if made.config.model_type != "llama":
        raise ConfigError(f"the control 'always_a' is made of llama models, got '{made.config.model_type}'")
    letter = tokenizer.encode(" A", add_special_tokens=False)[-1]
    with torch.no_grad():
        wanted = made.get_output_embeddings().weight[letter] / made.model.norm.weight
        bias = wanted / wanted.norm() * _DOMINANT * wanted.numel() ** 0.5
    made.config.mlp_bias = True
    biased = type(made)(made.config)
    for layer in biased.model.layers:
        for part in (layer.mlp.gate_proj, layer.mlp.up_proj, layer.mlp.down_proj):
            torch.nn.init.zeros_(part.bias)
    biased.load_state_dict(made.state_dict(), strict=False)  # what is missing are the biases, set above
    with torch.no_grad():
        biased.model.layers[-1].mlp.down_proj.bias.copy_(bias)
    return _save(biased, tokenizer, folder)


def swapped_layers(model: str, folder: Path, layers: Sequence[int]) -> Path:
    """Write a copy of a model with two of its decoder layers exchanged. Raises ConfigError when it has no such ones."""
    reference = resolve(model)
    made = load_model(reference, merge=True)
    stack = made.model.layers
    if len(set(layers)) != 2 or not all(0 <= place < len(stack) for place in layers):
        raise ConfigError(f"swap: expected two different layers below {len(stack)}, got {list(layers)}")
    one, other = (stack[place].state_dict() for place in layers)
    one, other = ({name: value.clone() for name, value in own.items()} for own in (one, other))
    stack[layers[0]].load_state_dict(other)
    stack[layers[1]].load_state_dict(one)
    return _save(made, load_tokenizer(reference), folder)


@dataclass(frozen=True)
class CopierFactory:
    """Makes a scorer by generation whose answers are the questions."""

    config: GenerationConfig

    def __call__(self) -> GenerationScorer:
        """Make it; there is no model to load."""
        engine = FakeEngine(FakeConfig(max_context_tokens=1 << 20), answer=_copied)
        return GenerationScorer("copies_question", self.config, answerer=EngineAnswerer(engine))


def _copied(messages: tuple[Message, ...], _adapter: str | None, _seed: int) -> str:
    return messages[-1].content


def _save(model: Any, tokenizer: Any, folder: Path) -> Path:
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
