"""The tokenizer inside a GGUF file: byte-level BPE, as GPT-2's descendants (Llama 3, Qwen2, SmolLM) have it.

llama.cpp knows a tokenizer's splitting rules by a name, not by the rules: the name is found from the rules themselves,
and a tokenizer whose rules have no name here is refused, never guessed. Chat template and special tokens come along.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from medray.errors import ModelError

_NORMAL, _CONTROL, _USER_DEFINED, _UNUSED = 1, 3, 4, 5  # llama.cpp's token types
_WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_RULES: dict[tuple[str, ...], str] = {
    ("bytes+words",): "gpt-2",
    ("digits", "bytes+words"): "smollm",
    (_WORDS % r"\p{N}{1,3}", "bytes"): "llama-bpe",
    (_WORDS % r"\p{N}", "bytes"): "qwen2",
}


def tokenizer_entries(tokenizer: Any, vocabulary: int) -> dict[str, Any]:
    """Return the `tokenizer.*` entries for a fast tokenizer and a model with `vocabulary` rows. Raises ModelError."""
    described = json.loads(tokenizer.backend_tokenizer.to_str())
    model = described["model"]
    if model.get("type") != "BPE" or model.get("byte_fallback"):
        raise ModelError(f"gguf: expected a byte-level BPE tokenizer, got {model.get('type')} with other pieces")
    tokens, types = _tokens(described, vocabulary)
    entries = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": splitting_rules(described),
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": types,
        "tokenizer.ggml.merges": [pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"]],
        **_special(tokenizer),
    }
    if isinstance(tokenizer.chat_template, str):
        entries["tokenizer.chat_template"] = tokenizer.chat_template
    return entries


def splitting_rules(described: Mapping[str, Any]) -> str:
    """Return llama.cpp's name for the rules of a `tokenizer.json`. Raises ModelError."""
    steps = described.get("pre_tokenizer") or {}
    rules = tuple(_rule(step) for step in steps.get("pretokenizers", [steps]))
    if rules not in _RULES:
        raise ModelError(
            f"gguf: expected a tokenizer that splits text as one of {', '.join(sorted(_RULES.values()))} does, "
            "got other rules: llama.cpp would tokenise differently"
        )
    return _RULES[rules]


def _rule(step: Mapping[str, Any]) -> str:
    kind = step.get("type")
    if kind == "ByteLevel" and not step.get("add_prefix_space"):
        return "bytes+words" if step.get("use_regex", True) else "bytes"
    if kind == "Digits" and step.get("individual_digits"):
        return "digits"
    if kind == "Split" and step.get("behavior") == "Isolated" and not step.get("invert"):
        return str(step.get("pattern", {}).get("Regex"))
    return f"unknown {kind}"


def _tokens(described: Mapping[str, Any], vocabulary: int) -> tuple[list[str], list[int]]:
    """Return texts and types by id; rows of the model that no token has are filled up."""
    tokens = [f"[PAD{index}]" for index in range(vocabulary)]
    types = [_UNUSED] * vocabulary
    for index, text, kind in _entries(described):
        if index >= vocabulary:
            raise ModelError(f"gguf: expected token ids below the model's {vocabulary} rows, got {index}")
        tokens[index], types[index] = text, kind
    return tokens, types


def _entries(described: Mapping[str, Any]) -> Iterator[tuple[int, str, int]]:
    for text, index in described["model"]["vocab"].items():
        yield index, text, _NORMAL
    for added in described.get("added_tokens", ()):
        yield added["id"], added["content"], _CONTROL if added["special"] else _USER_DEFINED


def _special(tokenizer: Any) -> dict[str, Any]:
    names = {"bos": "bos", "eos": "eos", "pad": "padding", "unk": "unknown"}
    found: dict[str, Any] = {}
    for ours, theirs in names.items():
        index = getattr(tokenizer, f"{ours}_token_id")
        if index is not None:
            found[f"tokenizer.ggml.{theirs}_token_id"] = int(index)
    ids = tokenizer("a").input_ids  # the post-processor decides, whatever the config says
    found["tokenizer.ggml.add_bos_token"] = bool(ids) and ids[0] == tokenizer.bos_token_id
    found["tokenizer.ggml.add_eos_token"] = bool(ids) and ids[-1] == tokenizer.eos_token_id
    return found
