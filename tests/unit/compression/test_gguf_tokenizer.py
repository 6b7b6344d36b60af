"""A tokenizer's rules are recognised or refused; ids, kinds and the template arrive in the file."""

import pytest
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from medray.compression.backends.gguf_tokenizer import splitting_rules, tokenizer_entries
from medray.errors import ModelError
from medray.models.tiny import tiny_tokenizer

WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
BYTES_AND_WORDS = {**BYTES, "use_regex": True}


def split(pattern):
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


def sequence(*steps):
    return {"pre_tokenizer": {"type": "Sequence", "pretokenizers": list(steps)}}


KNOWN = {
    "gpt-2": {"pre_tokenizer": BYTES_AND_WORDS},
    "smollm": sequence({"type": "Digits", "individual_digits": True}, BYTES_AND_WORDS),
    "llama-bpe": sequence(split(WORDS % r"\p{N}{1,3}"), BYTES),
    "qwen2": sequence(split(WORDS % r"\p{N}"), BYTES),
}


@pytest.mark.parametrize("name", KNOWN)
def test_rules_have_llama_cpp_s_name(name):
    assert splitting_rules(KNOWN[name]) == name


@pytest.mark.parametrize(
    "described",
    [
        {},
        {"pre_tokenizer": None},
        {"pre_tokenizer": {**BYTES_AND_WORDS, "add_prefix_space": True}},
        sequence(split(WORDS % r"\p{N}{1,2}"), BYTES),
        sequence(split(WORDS % r"\p{N}"), BYTES_AND_WORDS),
        sequence({"type": "Digits", "individual_digits": False}, BYTES_AND_WORDS),
        {"pre_tokenizer": {"type": "Metaspace", "replacement": "_"}},
    ],
)
def test_other_rules_are_refused_not_guessed(described):
    with pytest.raises(ModelError, match="tokenise differently"):
        splitting_rules(described)


def test_ids_kinds_and_template_arrive():
    tokenizer = tiny_tokenizer()
    entries = tokenizer_entries(tokenizer, 400)
    tokens, kinds = entries["tokenizer.ggml.tokens"], entries["tokenizer.ggml.token_type"]
    assert len(tokens) == len(kinds) == 400 > len(tokenizer)
    assert all(tokens[index] == text for text, index in tokenizer.get_vocab().items())
    assert {kinds[tokenizer.convert_tokens_to_ids(text)] for text in ("<|im_start|>", "<|im_end|>")} == {3}
    assert kinds[50] == 1
    assert set(kinds[len(tokenizer) :]) == {5}
    assert entries["tokenizer.ggml.eos_token_id"] == tokenizer.eos_token_id
    assert entries["tokenizer.chat_template"] == tokenizer.chat_template
    assert all(merge.count(" ") == 1 for merge in entries["tokenizer.ggml.merges"])


@pytest.mark.parametrize("adds", [True, False])
def test_what_the_post_processor_adds_is_said(adds):
    backend = tiny_tokenizer().backend_tokenizer
    if adds:
        backend.post_processor = processors.TemplateProcessing(
            single="<|endoftext|> $A", special_tokens=[("<|endoftext|>", 0)]
        )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<|endoftext|>", eos_token="<|im_end|>")
    entries = tokenizer_entries(tokenizer, 384)
    assert entries["tokenizer.ggml.add_bos_token"] is adds
    assert entries["tokenizer.ggml.add_eos_token"] is False


def test_more_tokens_than_rows_and_other_models_are_refused():
    with pytest.raises(ModelError, match="below the model's 100 rows"):
        tokenizer_entries(tiny_tokenizer(), 100)
    backend = Tokenizer(models.WordLevel({"a": 0, "[UNK]": 1}, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(" "), "isolated")
    backend.decoder = decoders.Fuse()
    with pytest.raises(ModelError, match="byte-level BPE"):
        tokenizer_entries(PreTrainedTokenizerFast(tokenizer_object=backend), 2)
