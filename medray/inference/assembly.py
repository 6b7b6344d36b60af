"""From token ids to text that can be shown: whole characters only, and nothing of a stop string.

Ids go into `AnswerAssembler.push`, text comes out that no later token can change. `Detokenizer` holds back unfinished
characters, `StopCutter` holds back what may become a stop string. Nothing here knows models, threads or requests.
"""

from collections.abc import Callable, Sequence

Decode = Callable[[list[int]], str]

_REPLACEMENT = "\ufffd"  # what a decoder puts for bytes that are no character, yet or ever
_MAX_WINDOW = 256  # ids without one character boundary are no text: give them up rather than decode them for ever


class Detokenizer:
    """Decode ids one by one; the joined pieces are the decoded whole.

    `decode` sees a short window: the ids of the last shown piece and what came since. Decoders need that context,
    because some of them drop the space before the first word. All replacement marks at the end are held back: decoders
    with byte fallback put one for each byte of a run, the whole characters before it included, until the run is whole.
    """

    def __init__(self, decode: Decode) -> None:
        self._decode = decode
        self._ids: list[int] = []
        self._context = 0  # ids of the window that are shown already
        self._shown = 0  # characters of the window's text that are shown already

    def push(self, token_id: int) -> str:
        """Take one id, return the text that became final."""
        self._ids.append(token_id)
        text = self._decode(self._ids)
        unfinished = len(text) - len(text.rstrip(_REPLACEMENT)) if len(self._ids) <= _MAX_WINDOW else 0
        final = text[self._shown : len(text) - unfinished]
        self._shown += len(final)
        if final and not unfinished:
            self._move_window()
        return final

    def flush(self) -> str:
        """Return what is still held back, unfinished characters as replacement marks."""
        rest = self._decode(self._ids)[self._shown :] if self._ids else ""
        self._ids, self._context, self._shown = [], 0, 0
        return rest

    def _move_window(self) -> None:
        self._ids = self._ids[self._context :]
        self._context = len(self._ids)
        self._shown = len(self._decode(self._ids))


class StopCutter:
    """Cut text at the first stop string, however the text arrives.

    First is the one that is complete first; of those complete at the same character, the longest. Text that may still
    become a stop string is held back, so no part of one is ever returned.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""
        self.stopped = False

    def push(self, text: str) -> str:
        """Take text, return what can be shown."""
        if self.stopped:
            return ""
        buffer = self._held + text
        found = [(start + len(stop), start) for stop in self._stops if (start := buffer.find(stop)) >= 0]
        if found:
            self.stopped, self._held = True, ""
            return buffer[: min(found)[1]]
        keep = self._possible(buffer)
        self._held = buffer[len(buffer) - keep :]
        return buffer[: len(buffer) - keep]

    def flush(self) -> str:
        """Return what was held back and did not become a stop string."""
        rest, self._held = self._held, ""
        return rest

    def _possible(self, buffer: str) -> int:
        """Return the length of the longest end of `buffer` with which a stop string begins."""
        longest = min(max((len(stop) for stop in self._stops), default=1) - 1, len(buffer))
        for length in range(longest, 0, -1):
            if any(stop.startswith(buffer[-length:]) for stop in self._stops):
                return length
        return 0


class AnswerAssembler:
    """Ids in, showable text out: a Detokenizer followed by a StopCutter."""

    def __init__(self, decode: Decode, stops: Sequence[str] = ()) -> None:
        self._text = Detokenizer(decode)
        self._cutter = StopCutter(stops)

    @property
    def stopped(self) -> bool:
        """Whether a stop string was met: the answer is complete."""
        return self._cutter.stopped

    def push(self, token_id: int) -> str:
        """Take one id, return text that can be shown, often none."""
        return self._cutter.push(self._text.push(token_id))

    def flush(self) -> str:
        """Return the rest at the end of generation; none after a stop string."""
        return self._cutter.push(self._text.flush()) + self._cutter.flush()
