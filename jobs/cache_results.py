"""Publish what was measured of the cache: `python -m jobs.cache_results [JSON ...]`.

Copies the JSON files named into docs/results/ and writes docs/cache-latency.md from what lies there.
"""

import json
import os
import secrets
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from medray.errors import ConfigError
from medray.inference.response_cache.keys import KEY_VARIABLE
from medray.inference.response_cache.measuring import latency_page, replay_page

_ROOT = Path(__file__).parents[1]
RESULTS = ("cache_latency.json", "cache_replay.json")


def main(arguments: Sequence[str] | None = None) -> int:
    """Record the files that are named, if any, and write the page."""
    for name in sys.argv[1:] if arguments is None else arguments:
        if Path(name).name not in RESULTS:
            print(f"expected {' or '.join(RESULTS)}, got {Path(name).name}", file=sys.stderr)
            return ConfigError.exit_code
        shutil.copyfile(name, _ROOT / "docs/results" / Path(name).name)
    (_ROOT / "docs/cache-latency.md").write_text(page(_ROOT), encoding="utf-8")
    return 0


def page(root: Path) -> str:
    """Return docs/cache-latency.md as the recorded results give it."""
    latency, replay = (json.loads((root / "docs/results" / name).read_text(encoding="utf-8")) for name in RESULTS)
    return latency_page.render(latency) + "\n" + replay_page.render(replay)


@contextmanager
def work_folder(out: str) -> Iterator[Path]:
    """Give a folder for the caches that are measured, under `out`, with a key of its own; both are gone afterwards."""
    before = os.environ.get(KEY_VARIABLE)
    os.environ[KEY_VARIABLE] = secrets.token_hex(32)
    try:
        with TemporaryDirectory(dir=_folder(out), suffix=".unfinished") as folder:
            yield Path(folder)
    finally:
        os.environ.pop(KEY_VARIABLE)
        if before is not None:
            os.environ[KEY_VARIABLE] = before


def write(out: str, name: str, result: Mapping[str, Any]) -> None:
    """Write a result and say how to publish it."""
    path = _folder(out) / name
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"{path}: to publish it, run python -m jobs.cache_results {path}")


def _folder(out: str) -> Path:
    if "://" in out:
        raise ConfigError(f"--out: expected a folder of this machine, got a URI ({out.partition(':')[0]})")
    Path(out).mkdir(parents=True, exist_ok=True)
    return Path(out)


if __name__ == "__main__":
    sys.exit(main())
