"""Local folders and URIs behind `pyarrow.fs`: list, open, hash. Knows bytes, not corpora.

A location is made absolute here, because Ray workers open it from another working folder. On several nodes it has to
be one that every node can open: a shared mount or a URI.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medray.artifacts.hashing import combine
from medray.artifacts.storage import is_remote
from medray.errors import DataError

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class File:
    """One regular file: where it is, its POSIX name below the location asked for, its size."""

    location: str
    name: str
    size_bytes: int

    @property
    def suffix(self) -> str:
        """The lower-case ending of the name, with its dot."""
        return Path(self.name).suffix.lower()


def walk(location: str) -> tuple[list[File], bool]:
    """Return the files at a location, sorted by name, and whether it is a folder. Raises DataError when absent."""
    from pyarrow import fs

    location = absolute(location)
    filesystem, path = _resolve(location)
    try:
        info = filesystem.get_file_info(path)
        below = filesystem.get_file_info(fs.FileSelector(path, recursive=True)) if _is(info, "Directory") else []
    except OSError as error:
        raise _unreadable(location, error) from None
    if _is(info, "File"):
        return [File(location, info.base_name, info.size)], False
    if not _is(info, "Directory"):
        raise DataError(f"expected a file or folder at {shown(location)}, found none: check `data` and `test_sets`")
    files = [
        File(_below(location, name), name, item.size)
        for item in below
        if _is(item, "File") and not _is_hidden(name := item.path[len(path) :].strip("/"))
    ]
    return sorted(files, key=lambda file: file.name), True


def open_file(location: str) -> Any:
    """Open a file for random access, as a pyarrow NativeFile. Raises DataError."""
    filesystem, path = _resolve(location)
    try:
        return filesystem.open_input_file(path)
    except OSError as error:
        raise _unreadable(location, error) from None


def chunks(location: str) -> Iterator[bytes]:
    """Yield the bytes of a file in chunks of 1 MiB."""
    with open_file(location) as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            yield chunk


def content_hash(location: str) -> str:
    """Return one SHA-256 for a file, or for the names and contents of a folder. Raises DataError."""
    files, is_folder = walk(location)
    hashes = {file.name: _hash(file) for file in files}
    return combine(hashes) if is_folder else hashes[files[0].name]


def absolute(location: str) -> str:
    """Return a location that means the same in every process."""
    return location if is_remote(location) else str(Path(location).expanduser().absolute())


def shown(location: str) -> str:
    """Drop the query of a URI, where credentials may stand, before it reaches a message."""
    return location.partition("?")[0] if is_remote(location) else location


def _hash(file: File) -> str:
    digest = hashlib.sha256()
    for chunk in chunks(file.location):
        digest.update(chunk)
    return digest.hexdigest()


def _resolve(location: str) -> tuple[Any, str]:
    from pyarrow import fs

    if not is_remote(location):
        return fs.LocalFileSystem(), location
    try:
        filesystem, path = fs.FileSystem.from_uri(location)
    except (OSError, ValueError) as error:
        raise DataError(f"cannot open {shown(location)}: {type(error).__name__}: check the URI") from None
    return filesystem, path


def _below(location: str, name: str) -> str:
    if not is_remote(location):
        return f"{location.rstrip('/')}/{name}"
    base, mark, query = location.partition("?")
    return f"{base.rstrip('/')}/{name}{mark}{query}"


def _is(info: Any, kind: str) -> bool:
    return bool(info.type.name == kind)


def _unreadable(location: str, error: OSError) -> DataError:
    return DataError(f"cannot read {shown(location)}: {type(error).__name__}: check the path and its rights")


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))
