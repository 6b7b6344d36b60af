"""Messages to prompt ids and back, with a model's own tokenizer and chat template.

Content cannot forge a turn: a control marker written in a message (`<|im_end|>` and the like) is replaced by a space
before the template is applied, because tokenizers read such text as the marker itself. Knows no model weights.
"""

import threading
from collections.abc import Collection, Sequence
from typing import Any

from medray.errors import ModelError, RequestError
from medray.inference.engine import Message


class ChatTokenizer:
    """Thread-safe wrapper of a fast Hugging Face tokenizer. Raises ModelError if it has no chat template."""

    def __init__(self, tokenizer: Any, *, name: str) -> None:
        if not getattr(tokenizer, "chat_template", None):
            raise ModelError(f"{name}: expected a tokenizer with a chat template, got none: take an instruct model")
        self._tokenizer = tokenizer
        self._markers = _control_markers(tokenizer)
        self._lock = threading.Lock()  # the backend refuses a setting change while another thread encodes

    def prompt_ids(self, messages: Sequence[Message]) -> list[int]:
        """Render and tokenise a conversation up to where the answer begins. Raises RequestError."""
        from jinja2 import TemplateError

        turns = [{"role": message.role, "content": self._plain(message.content)} for message in messages]
        with self._lock:
            try:
                text = self._tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
            except TemplateError:
                raise RequestError(
                    "messages: this model's chat template refuses the order or kind of roles",
                    status=400,
                    code="invalid_value",
                    param="messages",
                ) from None
            ids: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
            return ids

    def decode(self, ids: list[int]) -> str:
        """Return the text of ids, control markers left out, spaces as they are."""
        with self._lock:
            text: str = self._tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
            return text

    def end_ids(self, generation_config: Any) -> frozenset[int]:
        """Return the ids that end an answer: the model's own and the tokenizer's end-of-turn."""
        own = generation_config.eos_token_id
        ids = set(own) if isinstance(own, list | tuple) else {own}
        return frozenset(int(value) for value in ids | {self._tokenizer.eos_token_id} if value is not None)

    @property
    def pad_id(self) -> int:
        """The id that fills finished rows."""
        return int(self._tokenizer.pad_token_id)

    def _plain(self, content: str) -> str:
        for marker in self._markers:
            content = content.replace(marker, " ")
        return content


def _control_markers(tokenizer: Any) -> Collection[str]:
    added = [str(token) for token in tokenizer.added_tokens_decoder.values() if token.special]
    return sorted({marker for marker in (*added, *tokenizer.all_special_tokens) if marker.strip()}, key=len)[::-1]
