"""When two tokenizers are the same: equal vocabulary, merges and normalisation, whatever the files look like."""

import json
from typing import Any

from medray.artifacts.hashing import hash_bytes


def tokenizer_hash(tokenizer: Any) -> str:
    """Return a hash of how the tokenizer maps text to ids. Padding and truncation settings do not count."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        vocabulary = json.dumps(tokenizer.get_vocab(), sort_keys=True)
        return hash_bytes(type(tokenizer).__name__.encode(), vocabulary.encode())
    state = json.loads(backend.to_str())
    kept = {key: value for key, value in state.items() if key not in ("truncation", "padding", "version")}
    return hash_bytes(json.dumps(kept, sort_keys=True).encode())


def same_tokenizer(first: Any, second: Any) -> bool:
    """Tell whether ids of one tokenizer mean the same text in the other."""
    return tokenizer_hash(first) == tokenizer_hash(second)
