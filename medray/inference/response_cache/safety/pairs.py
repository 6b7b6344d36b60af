"""Labelled pairs of questions: minimal pairs that differ clinically, and paraphrases that do not."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medray.errors import DataError


@dataclass(frozen=True, slots=True)
class Pair:
    """Two questions. `kind` names how they differ, None for paraphrases."""

    id: str
    a: str
    b: str
    kind: str | None = None


@dataclass(frozen=True, slots=True)
class Pairs:
    """All labelled pairs and a hash of their files."""

    minimal: tuple[Pair, ...]
    paraphrases: tuple[Pair, ...]
    sha256: str

    def kinds(self) -> list[str]:
        """Return the kinds of difference, sorted."""
        return sorted({pair.kind for pair in self.minimal if pair.kind is not None})


def read_pairs(folder: Path) -> Pairs:
    """Read `minimal.jsonl` and `paraphrases.jsonl`. Raises DataError with file and line."""
    minimal = _read(folder / "minimal.jsonl", with_kind=True)
    paraphrases = _read(folder / "paraphrases.jsonl", with_kind=False)
    both = b"".join((folder / name).read_bytes() for name in ("minimal.jsonl", "paraphrases.jsonl"))
    return Pairs(tuple(minimal), tuple(paraphrases), hashlib.sha256(both).hexdigest())


def _read(path: Path, *, with_kind: bool) -> list[Pair]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"expected labelled pairs at {path}, got {type(error).__name__}: check --pairs") from None
    pairs = [_pair(path, number, line, with_kind) for number, line in enumerate(lines, 1) if line.strip()]
    if len({pair.id for pair in pairs}) != len(pairs):
        raise DataError(f"{path.name}: expected every id once")
    return pairs


def _pair(path: Path, number: int, line: str, with_kind: bool) -> Pair:
    try:
        row: Any = json.loads(line)
    except ValueError:
        row = None
    names: Sequence[str] = ("id", "a", "b", "kind") if with_kind else ("id", "a", "b")
    if not isinstance(row, dict) or not all(isinstance(row.get(name), str) and row[name].strip() for name in names):
        raise DataError(f"{path.name}, line {number}: expected an object with texts {', '.join(names)}")
    return Pair(row["id"], row["a"], row["b"], row["kind"] if with_kind else None)
