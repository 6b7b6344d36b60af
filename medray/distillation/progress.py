"""Progress of a run: a small actor that rank 0 writes rows to, and what the driver shows of them.

On a terminal a bar, elsewhere a plain line now and then. Losing the board loses no training: nobody waits for it.
"""

import sys
import time
from types import TracebackType
from typing import Any, Self, TextIO

from medray.distillation.record import StepRow

_PLAIN_LINES = 20


class ProgressBoard:
    """Rows in transit from rank 0 to the driver; runs as a Ray actor without a name."""

    def __init__(self) -> None:
        self._rows: list[StepRow] = []

    def push(self, row: StepRow) -> None:
        """Add a row."""
        self._rows.append(row)

    def take(self) -> list[StepRow]:
        """Return the rows since the last call."""
        taken, self._rows = self._rows, []
        return taken


class ProgressDisplay:
    """Shows rows as they come; a context manager."""

    def __init__(self, total_steps: int, stream: TextIO | None = None) -> None:
        from rich.console import Console

        self._console = Console(file=stream or sys.stderr, highlight=False)
        self._total = total_steps
        self._bar = _bar(self._console) if self._console.is_terminal else None
        self._task = self._bar.add_task("distil", total=total_steps, figures="") if self._bar else None
        self._every = max(1, total_steps // _PLAIN_LINES)
        self._started = time.monotonic()
        self._first_step: int | None = None

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, row: StepRow) -> None:
        """Show one finished step; after a restart steps may come again."""
        if self._first_step is None:
            self._first_step, self._started = row.step, time.monotonic() - row.seconds
        if self._bar is not None:
            self._bar.update(self._task, completed=row.step, figures=figures(row))
        elif row.step % self._every == 0 or row.step in (1, self._total):
            self._console.print(f"step {row.step}/{self._total}  {figures(row)}  eta {self._eta_s(row.step):.0f} s")

    def _eta_s(self, step: int) -> float:
        done = max(step - (self._first_step or 1) + 1, 1)
        return (time.monotonic() - self._started) / done * (self._total - step)


def figures(row: StepRow) -> str:
    """Return the figures of a row as a short line; speed in answer tokens."""
    kl = f"  kl {row.kl:.3f}" if row.kl is not None else ""
    return f"loss {row.loss:.3f}{kl}  lr {row.lr:.1e}  {row.tokens / max(row.seconds, 1e-9):.0f} answer tokens/s"


def _bar(console: Any) -> Any:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[figures]}"),
        TimeRemainingColumn(),
        console=console,
    )
