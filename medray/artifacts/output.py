"""The writing side of an artifact: one job, one output folder, all or nothing.

Work happens in a sibling, `OUT.unfinished`, which carries the job's fingerprint (kind, config, inputs) and a lock. On
success the manifest is sealed, everything is flushed and the sibling is renamed to `OUT`; a killed job leaves the old
artifact or none. The sibling of the same fingerprint is resumed, any other is refused. For a URI the sibling is local
and the finished folder is uploaded, the manifest last.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from medray.artifacts import storage
from medray.artifacts.manifest import MANIFEST, Manifest, dump, seal
from medray.config import config_hash
from medray.errors import ArtifactError, InputError

_JOB = ".job.json"
_LOCK = ".lock"


class Output:
    """A context manager around one output folder.

    Attributes: `path` (where to write), `resumed` (work of an earlier, killed run is there), `location` (the final
    place). Raises ArtifactError when the place is taken, holds other unfinished work or is being written by a live
    process. Leaving with an InputError removes a fresh sibling; any other exception keeps it for resuming.
    """

    def __init__(
        self,
        location: str | Path,
        *,
        kind: str,
        config: Mapping[str, Any],
        inputs: Mapping[str, str],
        overwrite: bool = False,
    ) -> None:
        self.location = str(location).rstrip("/")
        self.kind = kind
        self._config = dict(config)
        self._inputs = dict(inputs)
        self._overwrite = overwrite
        self._lock: IO[str] | None = None
        self.resumed = False
        twin = storage.local_twin(self.location) if storage.is_remote(location) else Path(self.location).absolute()
        self._final = twin
        self.path = twin.with_name(twin.name + ".unfinished")

    @property
    def fingerprint(self) -> str:
        """What must be equal for unfinished work to be resumed: kind, config and inputs."""
        return config_hash({"kind": self.kind, "config": self._config, "inputs": self._inputs})

    def __enter__(self) -> Self:
        self._refuse_taken()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ArtifactError(f"cannot write at {self.path.parent}: {type(error).__name__}") from None
        self._take_lock()
        try:
            self._adopt_or_claim()
        except ArtifactError:
            self._release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release()
        if isinstance(error, InputError) and not self.resumed:
            shutil.rmtree(self.path, ignore_errors=True)

    def commit(self, manifest: Manifest) -> Manifest:
        """Seal, flush and publish; returns the sealed manifest. Nothing may be written to `path` afterwards."""
        update = {"kind": self.kind, "config": self._config, "parents": {**self._inputs, **manifest.parents}}
        sealed = seal(manifest.model_copy(update=update), self.path, without=[_JOB, _LOCK])
        (self.path / MANIFEST).write_text(dump(sealed), encoding="utf-8")
        _open_to_readers(self.path)
        _flush_tree(self.path)
        self._publish()
        return sealed

    def _refuse_taken(self) -> None:
        if not storage.is_taken(self.location):
            return
        finished = storage.is_finished(self.location)
        if finished and self._overwrite:
            return
        # --overwrite replaces artifacts only: a mistyped --out must not cost somebody a home folder.
        what = "a finished artifact" if finished else "files that are no finished artifact"
        do = "choose another --out" + (" or give --overwrite" if finished else "")
        raise ArtifactError(f"expected --out to be free, {self.location} already holds {what}: {do}")

    def _take_lock(self) -> None:
        lock = (self.path / _LOCK).open("w", encoding="utf-8")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            raise ArtifactError(
                f"another process is writing {self.location}: wait for it or choose another --out"
            ) from None
        self._lock = lock

    def _adopt_or_claim(self) -> None:
        job = self.path / _JOB
        if job.is_file():
            if _fingerprint_in(job) == self.fingerprint:
                self.resumed = True
                return
            if not self._overwrite:
                raise ArtifactError(
                    f"{self.path} holds unfinished work of another config or other inputs: run that again to resume "
                    "it, choose another --out, or give --overwrite to discard it"
                )
            self._clear()
        elif any(item.name != _LOCK for item in self.path.iterdir()):
            raise ArtifactError(f"{self.path} holds files of unknown origin: move them away or choose another --out")
        text = json.dumps({"kind": self.kind, "fingerprint": self.fingerprint})
        _write_flushed(job, text)

    def _clear(self) -> None:
        for item in self.path.iterdir():
            if item.name == _LOCK:
                continue
            if item.is_dir():
                shutil.rmtree(item)
            else:
                item.unlink()

    def _publish(self) -> None:
        if storage.is_remote(self.location):
            if self._overwrite and storage.is_taken(self.location):
                storage.remove(self.location)
            self._drop_marks(self.path)
            storage.upload(self.path, self.location)
            shutil.rmtree(self.path)
            return
        old = self._final.with_name(self._final.name + ".replaced")
        if old.exists():
            shutil.rmtree(old)
        if self._final.exists():
            self._final.rename(old)
        self.path.rename(self._final)
        self._drop_marks(self._final)  # only now: until the rename they are what a restart recognises the work by
        _flush(self._final.parent)
        if old.exists():
            shutil.rmtree(old)

    def _drop_marks(self, folder: Path) -> None:
        for name in (_JOB, _LOCK):
            (folder / name).unlink(missing_ok=True)

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def _fingerprint_in(job: Path) -> str | None:
    try:
        data = json.loads(job.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return data.get("fingerprint") if isinstance(data, dict) else None


def _write_flushed(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())


def _open_to_readers(folder: Path) -> None:
    """Give files the usual permissions: safetensors writes 0600, which locks others out of a shared folder."""
    umask = os.umask(0)
    os.umask(umask)
    for path in folder.rglob("*"):
        if path.is_file():
            path.chmod(0o666 & ~umask)


def _flush_tree(folder: Path) -> None:
    for path in folder.rglob("*"):
        _flush(path)
    _flush(folder)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
