"""Steps of a long job that are not done twice: each leaves a small mark with its result when it is finished.

A step that was cut short has no mark and starts anew; marks are written atomically and dropped before publishing.
"""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from medray import log
from medray.errors import ArtifactError

_MARKS = ".steps"


class Steps:
    """The finished steps of one output folder."""

    def __init__(self, folder: Path) -> None:
        self._marks = folder / _MARKS
        self._marks.mkdir(exist_ok=True)

    def run(self, name: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return what `work` returned, now or in an earlier, interrupted run."""
        mark = self._marks / f"{name}.json"
        if mark.is_file():
            log.event("step_resumed", step=name)
            return _read(mark)
        result = work()
        _write_atomically(mark, json.dumps(result))
        return result

    def drop(self) -> None:
        """Remove the marks: what is left is the artifact's content."""
        shutil.rmtree(self._marks, ignore_errors=True)


def fresh_folder(path: Path) -> Path:
    """Return an empty folder, whatever an interrupted step left there."""
    if path.exists():
        shutil.rmtree(path)
    path.mkdir(parents=True)
    return path


def _read(mark: Path) -> dict[str, Any]:
    try:
        data = json.loads(mark.read_text(encoding="utf-8"))
    except ValueError:
        raise ArtifactError(f"{mark}: expected JSON, got something else: remove the file to repeat the step") from None
    return dict(data)


def _write_atomically(path: Path, text: str) -> None:
    temporary = path.with_suffix(".partial")
    with temporary.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)
