"""llama.cpp behind the call that a transformers model has, so that one measurement serves every format.

Token ids in, logits out; no sampling, no chat. Needs the extra `edge` (llama-cpp-python). One caller at a time.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from medray.errors import CapabilityError, ModelError

_CONTEXT = 2048


@dataclass(frozen=True)
class Output:
    """What a call returns: float32 logits (batch, tokens, vocabulary) on the CPU, zero where a row is padding."""

    logits: Any


class GgufModel:
    """A loaded GGUF file, with an adapter over it where `lora` names a GGUF-LoRA file.

    `context` is the most tokens of one sequence (None: the model's own, at most 2048). `precise` keeps keys and values
    in float32 instead of float16, llama.cpp's default. Raises CapabilityError without llama-cpp-python, ModelError for
    a file that it cannot load or an adapter that it does not take.
    """

    def __init__(
        self,
        path: Path,
        *,
        lora: Path | None = None,
        context: int | None = None,
        threads: int | None = None,
        precise: bool = False,
    ) -> None:
        llama_cpp = _llama_cpp()
        if not path.is_file() or (lora is not None and not lora.is_file()):
            raise ModelError(f"expected a GGUF file, found none: {path if not path.is_file() else lora}")
        cache = {"type_k": llama_cpp.GGML_TYPE_F32, "type_v": llama_cpp.GGML_TYPE_F32} if precise else {}
        try:
            self._llama = llama_cpp.Llama(
                model_path=str(path),
                lora_path=None if lora is None else str(lora),
                n_ctx=context or min(_trained_context(path), _CONTEXT),
                n_threads=threads or os.cpu_count(),
                n_threads_batch=threads or os.cpu_count(),
                logits_all=True,
                verbose=False,
                **cache,
            )
        except (ValueError, RuntimeError) as error:
            raise ModelError(
                f"{path}: llama.cpp cannot load it ({type(error).__name__}): damaged, or of another version?"
            ) from None
        # llama-cpp-python 0.3.36 compares the adapter with None, which a null pointer is not, and goes on without it.
        if lora is not None and not self._llama._lora_adapter:
            self.close()
            raise ModelError(f"{lora}: llama.cpp refuses it over {path.name}: damaged, or made for another model?")
        self._vocabulary = int(self._llama.n_vocab())

    def __call__(self, input_ids: Any, attention_mask: Any = None, **_: Any) -> Output:
        """Return logits for a batch of token ids, padded on the right. Raises ModelError for too long a row."""
        import torch

        batch, width = input_ids.shape
        logits_BTV = torch.zeros(batch, width, self._vocabulary)
        for row in range(batch):
            count = width if attention_mask is None else int(attention_mask[row].sum())
            logits_BTV[row, :count] = self._row(input_ids[row, :count].tolist())
        return Output(logits_BTV)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @property
    def weight_bytes(self) -> int:
        """Bytes of the tensors as the runtime holds them."""
        return int(_llama_cpp().llama_model_size(self._llama.model))

    def tokens(self, text: str, *, special: bool = True) -> list[int]:
        """Return a text's token ids by the file's own tokenizer, without a leading begin-of-text token."""
        found: list[int] = self._llama.tokenize(text.encode(), add_bos=False, special=special)
        return found

    def close(self) -> None:
        """Free the weights. The model cannot be used afterwards."""
        self._llama.close()

    def _row(self, ids: list[int]) -> Any:
        import torch

        if len(ids) > self._llama.n_ctx():
            raise ModelError(f"gguf: expected at most {self._llama.n_ctx()} tokens, got {len(ids)}: give more context")
        self._llama.reset()
        self._llama.eval(ids)
        return torch.from_numpy(self._llama.scores[: len(ids)])


def _llama_cpp() -> Any:
    try:
        import llama_cpp
    except ImportError:
        raise CapabilityError("GGUF needs llama-cpp-python to run: pip install 'medray[edge]'") from None
    return llama_cpp


def _trained_context(path: Path) -> int:
    from medray.compression.backends.gguf_read import metadata

    entries = metadata(path)
    return int(entries.get(f"{entries.get('general.architecture')}.context_length", _CONTEXT))
