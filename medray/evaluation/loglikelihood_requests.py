"""From a prompt to token ids: the context, and each answer that may follow it.

Plain text is encoded as lm-evaluation-harness does it: context and answer together, parted where the context alone
ends; the tokenizer decides on a start token. A chat is rendered by the model's template, and answers are encoded alone.
"""

from dataclasses import dataclass
from typing import Any, Final

from medray.evaluation.prompts import Prompt
from medray.knowledge.prompts import Message, render

_THINK: Final = "<think>"
_NO_THOUGHT: Final = "\n</think>\n\n"


@dataclass(frozen=True, slots=True)
class Request:
    """Token ids of a context, never empty, and of its answers, none empty."""

    context: tuple[int, ...]
    answers: tuple[tuple[int, ...], ...]


class PromptEncoder:
    """Encodes prompts for one tokenizer. Raises ModelError when a chat is asked of one without a template."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def encode(self, prompt: Prompt) -> Request:
        """Return the ids. Raises ValueError when context or an answer has none."""
        made = self._chat(prompt) if prompt.messages else self._text(prompt)
        if not made.context or not all(made.answers):
            raise ValueError("expected text to condition on and text to score, got none")
        return made

    def _text(self, prompt: Prompt) -> Request:
        text = prompt.text.rstrip()
        blanks = prompt.text[len(text) :] + prompt.delimiter
        context = self._ids(text)
        wholes = (self._ids(text + blanks + answer) for answer in prompt.answers)
        return Request(tuple(context), tuple(tuple(whole[len(context) :]) for whole in wholes))

    def _chat(self, prompt: Prompt) -> Request:
        turns: list[Message] = [{"role": turn.role, "content": turn.content} for turn in prompt.messages]
        text = render(turns, self._tokenizer)
        if text.rstrip().endswith(_THINK):
            # The template opens the reasoning; a letter scored there would be read as a thought.
            text = text.rstrip() + _NO_THOUGHT
        context = self._ids(text, special=False)
        return Request(tuple(context), tuple(tuple(self._ids(answer, special=False)) for answer in prompt.answers))

    def _ids(self, text: str, *, special: bool = True) -> list[int]:
        bos: str = getattr(self._tokenizer, "bos_token", None) or ""
        doubled = bool(bos) and text.startswith(bos)
        ids: list[int] = self._tokenizer(text, add_special_tokens=special and not doubled)["input_ids"]
        return ids


def window(request: Request, max_length: int) -> list[Request]:
    """Return the request, or one per answer with the context cut from its start where model positions run out.

    As lm-evaluation-harness: the last `max_length` + 1 tokens count. Raises ValueError when an answer alone is longer.
    """
    longest = max(len(answer) for answer in request.answers)
    if longest > max_length:
        raise ValueError("expected answers within the model's positions, got a longer one")
    if len(request.context) + longest <= max_length + 1:
        return [request]
    return [Request(request.context[-(max_length + 1 - len(answer)) :], (answer,)) for answer in request.answers]
