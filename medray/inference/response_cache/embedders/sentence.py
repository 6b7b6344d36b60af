"""Sentence-transformers folders as embedders, through transformers alone: mean or CLS pooling, unit length.

The folder says how to pool (`1_Pooling/config.json`); without that file the mean over the attention mask is taken, as
for MiniLM. torch is loaded when the first question is embedded. Knows nothing of the cache.
"""

import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from medray.errors import ModelError
from medray.models import resolve

_MAX_TOKENS: Final = 256
_BATCH: Final = 64


class SentenceEmbedder:
    """A pulled model or a local folder. Raises ModelError if it is no sentence-transformers folder that is here."""

    reads_terms = False

    def __init__(self, name: str) -> None:
        self._ref = resolve(name)
        if self._ref.kind != "folder":
            raise ModelError(
                f"embedder: expected a sentence-transformers folder or a pulled name, got '{self._ref.kind}' "
                "weights: give the folder, or run `medray models pull minilm`"
            )
        config = self._ref.config_json()
        if "hidden_size" not in config:
            raise ModelError("embedder: expected config.json with hidden_size, got one without: not such a folder")
        self.dimensions = int(config["hidden_size"])
        self.name = f"{Path(self._ref.path).name}-{self._ref.artifact_id or 'folder'}"[:80].replace(" ", "_")
        self._pooling = _pooling(Path(self._ref.path))
        self._lock = threading.Lock()  # the tokenizer's settings are not thread-safe
        self._loaded: tuple[Any, Any] | None = None

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return unit rows, float32 of shape (texts, dimensions)."""
        with self._lock:
            tokenizer, model = self._load()
            rows = [self._embed(tokenizer, model, texts[at : at + _BATCH]) for at in range(0, len(texts), _BATCH)]
        return np.concatenate(rows) if rows else np.zeros((0, self.dimensions), dtype=np.float32)

    def _load(self) -> tuple[Any, Any]:
        if self._loaded is None:
            from transformers import AutoModel, AutoTokenizer

            options: dict[str, Any] = {"trust_remote_code": False, "local_files_only": True}
            tokenizer = AutoTokenizer.from_pretrained(self._ref.path, **options)
            model = AutoModel.from_pretrained(self._ref.path, use_safetensors=True, **options).eval()
            self._loaded = (tokenizer, model)
        return self._loaded

    def _embed(self, tokenizer: Any, model: Any, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        import torch

        batch = tokenizer(list(texts), padding=True, truncation=True, max_length=_MAX_TOKENS, return_tensors="pt")
        with torch.inference_mode():
            hidden_BTH = model(**batch).last_hidden_state
        mask_BT1 = batch["attention_mask"].unsqueeze(-1).to(hidden_BTH.dtype)
        if self._pooling == "cls":
            pooled_BH = hidden_BTH[:, 0]
        else:
            pooled_BH = (hidden_BTH * mask_BT1).sum(1) / mask_BT1.sum(1).clamp(min=1e-9)
        unit: npt.NDArray[np.float32] = torch.nn.functional.normalize(pooled_BH, dim=1).float().numpy()
        return unit


def _pooling(folder: Path) -> str:
    place = folder / "1_Pooling" / "config.json"
    if not place.is_file():
        return "mean"
    try:
        config = json.loads(place.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise ModelError("embedder: 1_Pooling/config.json cannot be read: the folder is damaged") from None
    if config.get("pooling_mode_mean_tokens"):
        return "mean"
    if config.get("pooling_mode_cls_token"):
        return "cls"
    raise ModelError("embedder: expected mean or CLS pooling in 1_Pooling/config.json, got another kind")
