"""Content hashes of files and folders (SHA-256), independent of where they lie and when they were written."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

_CHUNK_BYTES = 1 << 20


def hash_bytes(*parts: bytes) -> str:
    """Return the hex SHA-256 of the parts, each preceded by its length so that borders count."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()


def hash_file(path: Path) -> str:
    """Return the hex SHA-256 of a file's bytes, read in chunks."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def files_below(folder: Path, *, without: Iterable[str] = ()) -> dict[str, Path]:
    """Return every regular file below a folder by its POSIX path relative to it, sorted."""
    skip = frozenset(without)
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: found[name] for name in sorted(found) if name not in skip}


def hash_tree(folder: Path, *, without: Iterable[str] = ()) -> str:
    """Return one hash for a folder's names and contents."""
    return combine({name: hash_file(path) for name, path in files_below(folder, without=without).items()})


def combine(hashes: Mapping[str, str]) -> str:
    """Fold per-file hashes into the content hash of the whole."""
    return hash_bytes(*(f"{name}\0{hashes[name]}".encode() for name in sorted(hashes)))
