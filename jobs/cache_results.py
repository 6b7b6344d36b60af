"""Where the cache's measurements go: a JSON file and the page that is rendered from it, in one folder."""

import json
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from medray.errors import ConfigError
from medray.inference.response_cache.keys import KEY_VARIABLE


@contextmanager
def work_folder(out: str) -> Iterator[Path]:
    """Give a folder for the caches that are measured, under `out`, with a key of its own; both are gone afterwards."""
    if "://" in out:
        raise ConfigError(f"--out: expected a folder of this machine, got a URI ({out.partition(':')[0]})")
    Path(out).mkdir(parents=True, exist_ok=True)
    before = os.environ.get(KEY_VARIABLE)
    os.environ[KEY_VARIABLE] = secrets.token_hex(32)
    try:
        with TemporaryDirectory(dir=out, suffix=".unfinished") as folder:
            yield Path(folder)
    finally:
        os.environ.pop(KEY_VARIABLE)
        if before is not None:
            os.environ[KEY_VARIABLE] = before


def write(out: str, name: str, result: Mapping[str, Any], render: Callable[[Mapping[str, Any]], str]) -> None:
    """Write `NAME.json` and its page `NA-ME.md`, and say where."""
    path = Path(out) / f"{name}.json"
    page = path.with_name(name.replace("_", "-") + ".md")
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    page.write_text(render(result), encoding="utf-8")
    print(f"{path} and {page}: to publish them, copy the first to docs/results/ and the second to docs/")
