"""One answer while it grows: when it ends, why, and which deltas leave.

Every engine feeds its tokens through `Progress`, so end tokens, stop strings, `max_tokens`, deadlines, cancellation
and usage mean the same everywhere. Pure: the caller brings tokens, the time and the signal.
"""

from collections.abc import Collection

from medray.inference.assembly import AnswerAssembler
from medray.inference.engine import Delta, FinishReason


class Progress:
    """Turn tokens into deltas until there is a finish reason.

    `deadline_at_s` is on the clock whose readings `step` gets. The end token and the token that completes a stop
    string count as generated tokens, and show no text.
    """

    def __init__(
        self,
        assembler: AnswerAssembler,
        *,
        prompt_tokens: int,
        max_tokens: int,
        end_ids: Collection[int] = (),
        deadline_at_s: float | None = None,
    ) -> None:
        self._assembler = assembler
        self._prompt_tokens = prompt_tokens
        self._max_tokens = max_tokens
        self._end_ids = frozenset(end_ids)
        self._deadline_at_s = deadline_at_s
        self._tokens = 0
        self._unsent_tokens = 0
        self._unsent_text = ""
        self.finish_reason: FinishReason | None = None

    def step(self, token_id: int, *, now_s: float, cancelled: bool) -> Delta | None:
        """Take one generated token; return a delta if there is text to show and more to come."""
        self._tokens += 1
        self._unsent_tokens += 1
        ended = token_id in self._end_ids
        text = "" if ended else self._assembler.push(token_id)
        if ended or self._assembler.stopped:
            self.finish_reason = "stop"
        elif not self.interrupt(now_s=now_s, cancelled=cancelled) and self._tokens >= self._max_tokens:
            self.finish_reason = "length"
        if self.finish_reason is not None or not text:
            self._unsent_text += text
            return None
        delta = Delta(self._unsent_text + text, self._unsent_tokens)
        self._unsent_text, self._unsent_tokens = "", 0
        return delta

    def interrupt(self, *, now_s: float, cancelled: bool) -> bool:
        """Tell whether the answer must end now, and note why."""
        if cancelled:
            self.finish_reason = "cancelled"
        elif self._deadline_at_s is not None and now_s >= self._deadline_at_s:
            self.finish_reason = "deadline"
        return self.finish_reason is not None

    def last(self) -> Delta:
        """Return the last delta: what was held back, the finish reason and the prompt's size."""
        reason = self.finish_reason or "stop"  # the source ran dry by itself
        return Delta(self._unsent_text + self._assembler.flush(), self._unsent_tokens, reason, self._prompt_tokens)
