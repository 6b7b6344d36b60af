"""LMDB environments, opened once per process and path.

LMDB forbids opening a file twice in one process, so caches of one process share a handle by counting. No `writemap`:
pages are written with pwrite, so a full disk is an error instead of a SIGBUS. `sync` stays on: every commit is whole
on disk or not there at all, whenever the process or the machine dies. A file that was cut short is filled up with holes
when it is opened: reading past its end would be a SIGBUS, reading a hole is an error of LMDB's.
"""

import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import lmdb

from medray.errors import CapabilityError, DataError

_MAX_READERS: Final = 1_024  # threads over all processes that read at once
_TABLES: Final = 8
DAMAGE: Final = (
    lmdb.CorruptedError,
    lmdb.PageNotFoundError,
    lmdb.InvalidError,
    lmdb.VersionMismatchError,
    lmdb.PanicError,
    lmdb.IncompatibleError,
)


@dataclass(slots=True)
class _Shared:
    environment: lmdb.Environment
    users: int


_open: dict[str, _Shared] = {}
_lock = threading.Lock()


def acquire(folder: Path, map_bytes: int) -> lmdb.Environment:
    """Open a folder's environment, or share the open one.

    Raises DataError for damaged pages, CapabilityError if the folder cannot be used at all.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        name = str(folder.resolve())
        with _lock:
            shared = _open.get(name)
            if shared is None:
                environment = lmdb.open(
                    name, map_size=map_bytes, max_dbs=_TABLES, max_readers=_MAX_READERS, mode=0o600, readahead=False
                )
                environment.reader_check()  # slots of killed processes would pin old pages
                _fill_up(environment, folder / "data.mdb")
                shared = _open[name] = _Shared(environment, 0)
            shared.users += 1
            return shared.environment
    except DAMAGE as error:
        raise damaged(error) from None
    except (OSError, lmdb.Error) as error:
        raise CapabilityError(
            f"cache: expected a folder that LMDB can open, got {type(error).__name__}: check the path, its rights and "
            "the free space"
        ) from None


def damaged(error: Exception) -> DataError:
    """Return the one error for pages that LMDB cannot follow."""
    return DataError(
        f"cache: expected whole pages, got {type(error).__name__}: the file is damaged; stop its users and start with "
        "an empty folder (withdrawals lie in `control`: keep that)"
    )


def release(environment: lmdb.Environment) -> None:
    """Give a handle back; the last one closes the environment."""
    with _lock:
        for name, shared in list(_open.items()):
            if shared.environment is environment:
                shared.users -= 1
                if shared.users == 0:
                    environment.close()
                    del _open[name]
                return


def _fill_up(environment: lmdb.Environment, file: Path) -> None:
    """Make the file as long as its last page says. Allocating never shortens a file nor changes what is there."""
    with environment.begin() as transaction:
        page_bytes = int(transaction.stat()["psize"])
    needed = (int(environment.info()["last_pgno"]) + 1) * page_bytes
    if file.stat().st_size >= needed or not hasattr(os, "posix_fallocate"):
        return
    with file.open("r+b") as stream:
        os.posix_fallocate(stream.fileno(), 0, needed)
