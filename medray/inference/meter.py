"""Live figures of one engine: who waits, who runs, how fast tokens come.

One `Ticket` per request goes through `enter`, `start`, `token`..., `leave`; any thread may call. Windows are bounded,
so the figures are recent and the memory constant. The meter knows no model and no queue.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from medray.inference.engine import EngineStats

_WINDOW_REQUESTS = 64
_WINDOW_TOKENS = 512


@dataclass(slots=True, eq=False)
class Ticket:
    """One request's passage through the engine."""

    entered_at_s: float
    started: bool = False
    left: bool = False
    last_token_at_s: float | None = None


class Meter:
    """Count requests and time tokens. `clock` reads seconds that never go back."""

    def __init__(self, slots: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._slots = slots
        self._clock = clock
        self._lock = threading.Lock()
        self._queued = 0
        self._running = 0
        self._last_token_at_s: float | None = None
        self._ttfts_s: deque[float] = deque(maxlen=_WINDOW_REQUESTS)
        self._gaps_s: deque[float] = deque(maxlen=_WINDOW_TOKENS)

    def enter(self) -> Ticket:
        """A request is accepted and waits for a slot."""
        with self._lock:
            self._queued += 1
            return Ticket(self._clock())

    def start(self, ticket: Ticket) -> None:
        """The request has a slot."""
        with self._lock:
            ticket.started = True
            self._queued -= 1
            self._running += 1

    def token(self, ticket: Ticket) -> None:
        """The model made one token for the request."""
        with self._lock:
            now_s = self._clock()
            if ticket.last_token_at_s is None:
                self._ttfts_s.append(now_s - ticket.entered_at_s)
            else:
                self._gaps_s.append(now_s - ticket.last_token_at_s)
            ticket.last_token_at_s = self._last_token_at_s = now_s

    def leave(self, ticket: Ticket) -> None:
        """The request is over and its slot free. Calling it twice counts once."""
        with self._lock:
            if ticket.left:
                return
            ticket.left = True
            if ticket.started:
                self._running -= 1
            else:
                self._queued -= 1

    def stats(self, *, alive: bool, memory_bytes: int) -> EngineStats:
        """Return the figures of this moment."""
        with self._lock:
            gaps_s = sum(self._gaps_s)
            last_s = self._last_token_at_s
            return EngineStats(
                alive=alive,
                running=self._running,
                queued=self._queued,
                slots=self._slots,
                tokens_per_s=len(self._gaps_s) / gaps_s if gaps_s > 0 else None,
                ttft_s=median(self._ttfts_s) if self._ttfts_s else None,
                seconds_since_token=None if last_s is None else self._clock() - last_s,
                memory_bytes=memory_bytes,
            )
