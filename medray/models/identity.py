"""What a model is, for a manifest's parents: the content hash of the artifact it lies in, else a hash of its files.

Weights outside an artifact count by name and size only: hashing 140 GB would take longer than compressing it.
"""

import json
from pathlib import Path

from medray.artifacts import hash_bytes, is_artifact, read
from medray.models.reference import ModelRef


def content_identity(ref: ModelRef) -> str:
    """Return a hash that changes with the model; an adapter's covers its base."""
    folder = Path(ref.path)
    for place in (folder, folder.parent):
        if ref.kind != "hub" and is_artifact(place):
            return read(place).content_hash
    own = _files(folder) if ref.kind != "hub" else {"hub": ref.path, "config": ref.config_json()}
    base = content_identity(ref.base) if ref.base is not None else ""
    return hash_bytes(json.dumps(own, sort_keys=True).encode(), base.encode())


def _files(folder: Path) -> dict[str, object]:
    sizes: dict[str, object] = {path.name: path.stat().st_size for path in sorted(folder.glob("*.safetensors"))}
    for path in sorted(folder.glob("*.json")):
        sizes[path.name] = hash_bytes(path.read_bytes())
    return sizes
