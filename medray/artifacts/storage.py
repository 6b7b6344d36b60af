"""Local folders and remote URIs behind one small surface, through `pyarrow.fs`.

Object stores cannot rename, so a remote artifact counts as finished when its manifest is there: the manifest is
written last. Credentials and endpoints are pyarrow's business (environment variables, query parameters of the URI).
"""

import hashlib
import os
import shutil
from pathlib import Path
from typing import Any

from medray.artifacts.manifest import MANIFEST
from medray.errors import ArtifactError


def is_remote(location: str | Path) -> bool:
    """Tell a URI (`s3://bucket/run`) from a local path."""
    return "://" in str(location)


def home() -> Path:
    """Return the folder for pulled models and caches: `$MEDRAY_HOME`, else `~/.cache/medray`."""
    configured = os.environ.get("MEDRAY_HOME")
    return Path(configured).expanduser() if configured else Path.home() / ".cache" / "medray"


def local_twin(uri: str) -> Path:
    """Return the local folder that stands for a remote one while it is written or read."""
    return home() / "remote" / hashlib.sha256(uri.encode()).hexdigest()[:24]


def is_finished(location: str | Path) -> bool:
    """Tell whether a finished artifact lies at a path or URI."""
    if not is_remote(location):
        return (Path(location) / MANIFEST).is_file()
    return _exists(f"{str(location).rstrip('/')}/{MANIFEST}")


def is_taken(location: str | Path) -> bool:
    """Tell whether anything at all lies at a path or URI."""
    if not is_remote(location):
        path = Path(location)
        return path.is_file() or (path.is_dir() and any(path.iterdir()))
    from pyarrow import fs

    filesystem, remote = _open(str(location))
    return bool(filesystem.get_file_info(fs.FileSelector(remote, allow_not_found=True)))


def upload(folder: Path, uri: str) -> None:
    """Copy a finished local folder to a URI, the manifest last."""
    from pyarrow import fs

    filesystem, target = _open(uri)
    names = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()]
    for name in sorted(names, key=lambda name: name == MANIFEST):
        filesystem.create_dir(f"{target}/{name}".rpartition("/")[0], recursive=True)
        fs.copy_files(str(folder / name), f"{target}/{name}", destination_filesystem=filesystem)


def remove(location: str | Path) -> None:
    """Delete a local folder or everything below a URI, the manifest first so that no half looks finished."""
    if not is_remote(location):
        shutil.rmtree(location, ignore_errors=False)
        return
    filesystem, path = _open(str(location))
    if _exists(f"{str(location).rstrip('/')}/{MANIFEST}"):
        filesystem.delete_file(f"{path}/{MANIFEST}")
    filesystem.delete_dir(path)


def fetch(location: str | Path) -> Path:
    """Return a local folder with the artifact: itself when local, a downloaded copy when remote."""
    if not is_remote(location):
        return Path(location)
    uri = str(location).rstrip("/")
    if not is_finished(uri):
        raise ArtifactError(f"expected a finished artifact at {_shown(uri)}, found no {MANIFEST}")
    from pyarrow import fs

    filesystem, path = _open(uri)
    twin = local_twin(uri)
    fresh = twin.with_name(twin.name + f".{os.getpid()}")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    fs.copy_files(path, str(fresh), source_filesystem=filesystem)
    if twin.exists():
        shutil.rmtree(twin)
    fresh.rename(twin)
    return twin


def _open(uri: str) -> tuple[Any, str]:
    from pyarrow import fs

    try:
        filesystem, path = fs.FileSystem.from_uri(uri.rstrip("/"))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"cannot open the location {_shown(uri)}: {type(error).__name__}") from None
    return filesystem, path


def _exists(uri: str) -> bool:
    from pyarrow import fs

    filesystem, path = _open(uri)
    return bool(filesystem.get_file_info(path).type == fs.FileType.File)


def _shown(uri: str) -> str:
    """Drop the query, where credentials may stand, before a URI reaches a message."""
    return uri.partition("?")[0]
