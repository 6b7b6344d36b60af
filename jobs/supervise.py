"""Children that leave nothing behind: every process a supervisor starts, however deep, is found again and stopped.

A child inherits a mark in its environment; whatever still carries the mark when the supervisor closes is terminated,
then killed, also after Ctrl-C, a failure, or a child that died and left its own children. The peak memory of all of
them together is sampled on the way.
"""

import os
import subprocess
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import psutil

_MARK = "MEDRAY_SUPERVISOR"
_SAMPLE_EVERY_S = 2.0
_GRACE_S = 15.0
_LOOK_EVERY_S = 0.1


class Supervisor:
    """Starts marked children; a context manager. `peak_bytes` is the largest sum of their resident memory seen."""

    def __init__(self) -> None:
        self.peak_bytes = 0
        self._mark = uuid.uuid4().hex
        self._children: list[subprocess.Popen[bytes]] = []
        self._closing = threading.Event()
        self._sampler = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Self:
        self._sampler.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self.stop_all()
        self._sampler.join()

    def start(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        output: IO[bytes] | int | None = None,
        cwd: Path | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start a marked child. `output` takes both of its streams; None shares ours."""
        inherited = {**os.environ, **(environment or {})}
        # Marks pile up, so that a supervisor inside another leaves its children visible to both.
        inherited[_MARK] = f"{os.environ.get(_MARK, '')}:{self._mark}"
        child = subprocess.Popen(
            list(command),
            env=inherited,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=None if output is None else subprocess.STDOUT,
        )
        self._children.append(child)
        return child

    def run(self, command: Sequence[str], *, environment: Mapping[str, str] | None = None) -> int:
        """Start a marked child, wait for it and stop whatever it left; return its exit code."""
        code = self.start(command, environment=environment).wait()
        self.stop_all()
        return code

    def stop_all(self) -> None:
        """Terminate every marked process, then kill what is left."""
        for process in self.processes():
            _signal(process, "terminate")
        if not self._gone(_GRACE_S):
            for process in self.processes():
                _signal(process, "kill")
            self._gone(_GRACE_S)
        for child in self._children:
            if child.poll() is None:
                child.kill()  # whatever the table of processes says, our own child does not outlive us
            child.wait()  # reaped, so that no zombie does either

    def _gone(self, within_s: float) -> bool:
        """Wait until no marked process is seen twice in a row: one that is just being started shows late."""
        end_s, empty = time.monotonic() + within_s, 0
        while empty < 2 and time.monotonic() < end_s:
            for child in self._children:
                child.poll()  # reaps ours, and keeps its exit code
            empty = 0 if self.processes() else empty + 1
            time.sleep(_LOOK_EVERY_S)
        return empty == 2

    def processes(self) -> list[psutil.Process]:
        """Return the live processes that carry the mark."""
        return [process for process in psutil.process_iter() if self._is_marked(process)]

    def _is_marked(self, process: psutil.Process) -> bool:
        try:
            return bool(
                process.status() != psutil.STATUS_ZOMBIE and self._mark in process.environ().get(_MARK, "").split(":")
            )
        except psutil.Error:
            return False

    def _sample(self) -> None:
        while not self._closing.wait(_SAMPLE_EVERY_S):
            self.peak_bytes = max(self.peak_bytes, sum(_own_bytes(process) for process in self.processes()))


def _own_bytes(process: psutil.Process) -> int:
    """Return a process's proportional set size: shared pages are counted once over all sharers."""
    try:
        return int(process.memory_full_info().pss)
    except psutil.Error:
        return 0


def _signal(process: psutil.Process, how: str) -> None:
    try:
        getattr(process, how)()
    except psutil.NoSuchProcess:
        return  # gone by itself, which is what we want
