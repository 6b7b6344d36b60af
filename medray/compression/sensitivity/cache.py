"""Finished pieces of a sensitivity analysis on disk, named by the content that they were computed from.

A piece is found again only by the same weights, rows, code and version: whatever else changed does not matter, and a
killed run loses what was under way. Written atomically; a damaged piece counts as none.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from medray.artifacts import hash_bytes, hash_file
from medray.compression.sensitivity.marks import Marked
from medray.models import ModelRef

VERSION: Final = 1  # raise it when the same inputs would give other figures


class Pieces:
    """Records of one model and one set of rows below a folder."""

    def __init__(self, folder: Path, content: str) -> None:
        self._folder = folder
        self._content = content

    def get(self, name: str) -> dict[str, Any] | None:
        """Return a record, None when it is not there or not whole."""
        try:
            record: dict[str, Any] = json.loads(self._path(name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return record if isinstance(record, dict) else None

    def put(self, name: str, record: Mapping[str, Any]) -> None:
        """Store a record."""
        path = self._path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}.partial")
        with temporary.open("w", encoding="utf-8") as stream:
            json.dump(record, stream)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)

    def _path(self, name: str) -> Path:
        key = hash_bytes(self._content.encode(), name.encode())
        return self._folder / key[:2] / f"{key}.json"


def content_key(ref: ModelRef, rows: list[Marked], dtype: str) -> str:
    """Return a hash of the weights themselves, the rows with their marks, the dtype and this code's version."""
    return hash_bytes(str(VERSION).encode(), _weights(ref).encode(), repr(rows).encode(), dtype.encode())


def _weights(ref: ModelRef) -> str:
    """Hash every weight file of a model and of its base: size and name would take a fine-tuned model for its base."""
    folder = Path(ref.path)
    files = sorted([*folder.glob("*.safetensors"), *folder.glob("*config.json")])
    own = "".join(f"{path.name}:{hash_file(path)};" for path in files)
    return own + (_weights(ref.base) if ref.base is not None else "")
