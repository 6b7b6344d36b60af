"""Progress on standard error: a bar for a terminal, a line now and then for a log file."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from medray.evaluation.runner import Progress

_EVERY_S = 30.0


@contextmanager
def shown(total: int) -> Iterator[Progress]:
    """Give a callback (finished, of, failed) that shows progress until the block ends."""
    if not sys.stderr.isatty():
        yield _Lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("items"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[failed]}"),
    )
    with Bar(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("items", total=total, failed="")

        def advance(finished: int, _of: int, failed: int) -> None:
            bar.update(task, completed=finished, failed=f"{failed} failed" if failed else "")

        yield advance


class _Lines:
    """A line every half minute."""

    def __init__(self) -> None:
        self._started = self._last = time.monotonic()
        self._first: int | None = None

    def __call__(self, finished: int, of: int, failed: int) -> None:
        """Print when it is time."""
        if self._first is None:
            self._first = finished - 1
        now = time.monotonic()
        if now - self._last < _EVERY_S and finished < of:
            return
        self._last = now
        rate = (finished - self._first) / max(now - self._started, 1e-9)
        left = (of - finished) / max(rate, 1e-9)
        line = f"{finished}/{of} items, {failed} failed, {rate:.2f} a second, {left:.0f} s left"
        sys.stderr.write(line + "\n")
