"""What every process must know at once: withdrawn artifacts, and how the audit judged each class.

A small LMDB environment beside the entries, without secrets (artifact ids are content hashes) and so without a key.
A withdrawal is durable when `withdraw` returns and is seen by the next look-up of every process that shares the folder.
It is final: a content hash that was withdrawn never serves again. If the folder cannot be read, everything counts as
withdrawn: the cache is then of no use, and of no harm. Without a folder, the same in memory.
"""

import hashlib
import struct
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol

import lmdb

from medray.errors import CapabilityError
from medray.inference.response_cache.disk import environment
from medray.log import event

_MAP_BYTES: Final = 64 * 1024**2  # half a million withdrawals
_COUNTS: Final = struct.Struct(">QQ")


class Control(Protocol):
    """Withdrawals and audit counts."""

    def is_withdrawn(self, *artifacts: str) -> bool:
        """Tell whether any of the artifacts is withdrawn."""
        ...

    def withdraw(self, artifact: str) -> None:
        """Withdraw an artifact for good. Raises CapabilityError if that cannot be made durable."""
        ...

    def count_audit(self, category: str, *, wrong: bool) -> None:
        """Add one audited hit to its class."""
        ...

    def audited(self) -> Mapping[str, tuple[int, int]]:
        """Return (audited, wrong) by class."""
        ...

    def close(self) -> None:
        """Let go of files."""
        ...


class MemoryControl:
    """For a cache without a folder: one process, and gone with it."""

    def __init__(self) -> None:
        self._withdrawn: set[str] = set()
        self._audited: dict[str, tuple[int, int]] = {}
        self._lock = threading.Lock()

    def is_withdrawn(self, *artifacts: str) -> bool:
        """Tell whether any of the artifacts is withdrawn."""
        return not self._withdrawn.isdisjoint(artifacts)

    def withdraw(self, artifact: str) -> None:
        """Withdraw an artifact."""
        self._withdrawn.add(artifact)

    def count_audit(self, category: str, *, wrong: bool) -> None:
        """Add one audited hit."""
        with self._lock:
            audited, bad = self._audited.get(category, (0, 0))
            self._audited[category] = (audited + 1, bad + int(wrong))

    def audited(self) -> Mapping[str, tuple[int, int]]:
        """Return (audited, wrong) by class."""
        with self._lock:
            return dict(self._audited)

    def close(self) -> None:
        """Nothing to let go of."""


class DiskControl:
    """Shared through a folder. What this process withdrew or audited holds here even if it could not be written."""

    def __init__(self, folder: Path) -> None:
        self._environment = environment.acquire(folder, _MAP_BYTES)
        try:
            self._withdrawn = self._environment.open_db(b"withdrawn")
            self._audited = self._environment.open_db(b"audited")
        except lmdb.Error:
            environment.release(self._environment)
            raise
        self._here: set[str] = set()
        self._unwritten = MemoryControl()
        self._last_read: Mapping[str, tuple[int, int]] = {}
        self._said = False

    def is_withdrawn(self, *artifacts: str) -> bool:
        """Tell whether any of the artifacts is withdrawn: one read transaction, microseconds."""
        if self._here and not self._here.isdisjoint(artifacts):
            return True
        try:
            with self._environment.begin(db=self._withdrawn) as transaction:
                return any(transaction.get(_name(artifact)) is not None for artifact in set(artifacts))
        except lmdb.Error as error:
            self._say(error)
            return True

    def withdraw(self, artifact: str) -> None:
        """Withdraw an artifact for good. Raises CapabilityError if that cannot be made durable."""
        self._here.add(artifact)
        try:
            with self._environment.begin(write=True, db=self._withdrawn) as transaction:
                transaction.put(_name(artifact), struct.pack(">d", time.time()))
        except (lmdb.Error, OSError) as error:
            raise CapabilityError(
                f"cache: could not write the withdrawal ({type(error).__name__}): it holds in this process only; free "
                "disk space and withdraw again"
            ) from None

    def count_audit(self, category: str, *, wrong: bool) -> None:
        """Add one audited hit to its class, over all processes; of this process alone if it cannot be written."""
        try:
            with self._environment.begin(write=True, db=self._audited) as transaction:
                audited, bad = _counts(transaction.get(category.encode()))
                transaction.put(category.encode(), _COUNTS.pack(audited + 1, bad + int(wrong)))
        except (lmdb.Error, OSError) as error:
            self._say(error)
            self._unwritten.count_audit(category, wrong=wrong)

    def audited(self) -> Mapping[str, tuple[int, int]]:
        """Return (audited, wrong) by class, as last read if the folder cannot be read now."""
        try:
            with self._environment.begin(db=self._audited) as transaction, transaction.cursor() as cursor:
                self._last_read = {bytes(key).decode(): _counts(bytes(value)) for key, value in cursor}
        except lmdb.Error as error:
            self._say(error)
        return _added(self._last_read, self._unwritten.audited())

    def _say(self, error: Exception) -> None:
        if not self._said:
            self._said = True
            event("cache_control_failed", level="warning", reason=type(error).__name__)

    def close(self) -> None:
        """Let go of the folder."""
        environment.release(self._environment)


def open_control(folder: Path | None) -> Control:
    """Return the control of a cache's folder, or one in memory. Raises CapabilityError if the folder cannot be used."""
    if folder is None:
        return MemoryControl()
    try:
        return DiskControl(folder / "control")
    except lmdb.Error as error:
        raise CapabilityError(
            f"cache: expected to read which artifacts are withdrawn, got {type(error).__name__}: without that nothing "
            "may be served; check the folder's rights and the free space"
        ) from None


def _name(artifact: str) -> bytes:
    return hashlib.sha256(artifact.encode("utf-8", "surrogatepass")).digest()  # any length fits LMDB's keys


def _added(a: Mapping[str, tuple[int, int]], b: Mapping[str, tuple[int, int]]) -> Mapping[str, tuple[int, int]]:
    pairs = {name: (a.get(name, (0, 0)), b.get(name, (0, 0))) for name in a.keys() | b.keys()}
    return {name: (first[0] + second[0], first[1] + second[1]) for name, (first, second) in pairs.items()}


def _counts(data: bytes | None) -> tuple[int, int]:
    if data is None:
        return 0, 0
    audited, wrong = _COUNTS.unpack(data)
    return int(audited), int(wrong)
