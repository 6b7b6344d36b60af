"""Tiny random models and a tokenizer for tests and dry runs: real architectures, no downloads, seconds to make."""

from pathlib import Path
from typing import Any

from medray.models.reference import ModelRef, resolve

_CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
_TEXT = (
    "Take one tablet of ibuprofen with food and a glass of water.",
    "Call the emergency number if the chest pain does not stop.",
    "What are the symptoms of asthma and how is it treated in a child?",
    "Vaccination and hand washing prevent many infections.",
    "You are a careful medical assistant. Answer from evidence.",
)


def tiny_tokenizer(vocab_size: int = 384) -> Any:
    """Train a byte-level BPE tokenizer with a ChatML template on a few sentences; the same on every machine."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=_SPECIAL,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    backend.train_from_iterator(_TEXT, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token="<|im_end|>", pad_token="<|endoftext|>", chat_template=_CHATML
    )


def tiny_model(
    *, family: str = "llama", layers: int = 4, hidden: int = 64, vocab_size: int = 384, seed: int = 0, tied: bool = True
) -> Any:
    """Return a random float32 `llama` or `qwen2` decoder with grouped-query attention."""
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig, Qwen2Config

    config_class = {"llama": LlamaConfig, "qwen2": Qwen2Config}[family]
    config = config_class(
        vocab_size=vocab_size,
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        tie_word_embeddings=tied,
        bos_token_id=None,
        eos_token_id=2,
        pad_token_id=0,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()


def save_tiny(folder: Path, **options: Any) -> ModelRef:
    """Write a tiny model and its tokenizer as a plain Hugging Face folder and resolve it."""
    tiny_model(**options).save_pretrained(folder)
    tiny_tokenizer(options.get("vocab_size", 384)).save_pretrained(folder)
    return resolve(str(folder))
