"""Artifacts: folders with a manifest, written atomically, accepted only when the manifest validates.

`Output` is the writing side (one job, one folder), `read` the reading side. Locations are local paths or any URI that
`pyarrow.fs` opens (`s3://bucket/run`). What is inside an artifact is the business of the stage that wrote it.
"""

from medray.artifacts.hashing import hash_bytes, hash_file, hash_tree
from medray.artifacts.manifest import FORMAT_VERSION, MANIFEST, Manifest, is_artifact, read
from medray.artifacts.output import Output
from medray.artifacts.storage import fetch, is_remote

__all__ = [
    "FORMAT_VERSION",
    "MANIFEST",
    "Manifest",
    "Output",
    "fetch",
    "hash_bytes",
    "hash_file",
    "hash_tree",
    "is_artifact",
    "is_remote",
    "read",
]
