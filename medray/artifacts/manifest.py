"""The manifest of an artifact: what it is, where it came from, what is in it.

Reading checks the schema, the format version and that every listed file is there with its size; `verify=True` also
hashes the contents. The package knows no stage: `metrics` and `details` are the stage's own words.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from medray.artifacts.hashing import combine, files_below, hash_file
from medray.config import Config
from medray.errors import ArtifactError

MANIFEST = "manifest.json"
FORMAT_VERSION = 1


class FileEntry(Config):
    """One file of an artifact."""

    sha256: str
    size_bytes: int


class Manifest(Config):
    """What a `manifest.json` holds."""

    kind: str
    format_version: int = FORMAT_VERSION
    content_hash: str = ""
    parents: dict[str, str] = Field(default_factory=dict)  # role -> content hash of what it was made from
    config: dict[str, Any] = Field(default_factory=dict)  # resolved, defaults included
    base_model: str | None = None
    tokenizer_hash: str | None = None
    bits: dict[str, int] | None = None  # part -> bits a weight, where the stage changes them
    quality: dict[str, Any] | None = None  # per class, written by the evaluation, read by the selector
    metrics: dict[str, float | None] = Field(default_factory=dict)
    details: dict[str, Any] = Field(default_factory=dict)
    command: tuple[str, ...] = ()
    created_at: str = Field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    files: dict[str, FileEntry] = Field(default_factory=dict)

    @property
    def artifact_id(self) -> str:
        """The short content hash by which headers, logs and recalls name the artifact."""
        return self.content_hash[:12]


def seal(manifest: Manifest, folder: Path, *, without: Sequence[str] = ()) -> Manifest:
    """Return the manifest with the files of `folder` (but those in `without`) listed and the content hash set."""
    files = {
        name: FileEntry(sha256=hash_file(path), size_bytes=path.stat().st_size)
        for name, path in files_below(folder, without=[MANIFEST, *without]).items()
    }
    content_hash = combine({name: entry.sha256 for name, entry in files.items()})
    return manifest.model_copy(update={"files": files, "content_hash": content_hash})


def is_artifact(folder: Path) -> bool:
    """Tell whether a folder claims to be a finished artifact."""
    return (folder / MANIFEST).is_file()


def read(folder: Path, *, kind: str | None = None, verify: bool = False) -> Manifest:
    """Read and check the manifest of a finished artifact. Raises ArtifactError."""
    path = folder / MANIFEST
    try:
        manifest = Manifest.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise ArtifactError(f"expected a finished artifact at {folder}, found no {MANIFEST}") from None
    except (OSError, ValidationError) as error:
        raise ArtifactError(f"{path}: expected a medray manifest, got {_problem(error)}") from None
    if manifest.format_version != FORMAT_VERSION:
        raise ArtifactError(
            f"{path}: expected format version {FORMAT_VERSION}, got {manifest.format_version}: make the artifact anew"
        )
    if kind is not None and manifest.kind != kind:
        raise ArtifactError(f"{folder}: expected an artifact of kind '{kind}', got '{manifest.kind}'")
    _check_files(manifest, folder, verify=verify)
    return manifest


def dump(manifest: Manifest) -> str:
    """Render a manifest as JSON, sorted and indented."""
    return json.dumps(manifest.model_dump(mode="json"), indent=2, sort_keys=True) + "\n"


def _check_files(manifest: Manifest, folder: Path, *, verify: bool) -> None:
    for name, entry in manifest.files.items():
        path = folder / name
        if not path.is_file():
            raise ArtifactError(f"{folder}: the manifest lists {name}, which is not there: make the artifact anew")
        if path.stat().st_size != entry.size_bytes or (verify and hash_file(path) != entry.sha256):
            raise ArtifactError(f"{folder}: {name} is not what the manifest lists: it was changed or damaged")


def _problem(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(str(part) for part in first['loc']) or 'the file'}: {first['msg']}"
    return type(error).__name__
