"""Place a model on devices: `python -m jobs.device_map --set model=FOLDER --out map.json`.

Needs the model's `config.json` alone. Prints the map in runs, the predicted times and the memory of every device, and
writes one JSON file whose `device_map` accelerate takes as it is. Where nothing fits it writes nothing, says what is
missing and what would fit, and exits with code 2.
"""

import json
import os
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from jobs.entry import Request, run
from medray.compression.placement.config import DeviceMapConfig
from medray.compression.placement.render import runs
from medray.compression.placement.run import place
from medray.compression.show import shown_bytes
from medray.config import config_hash, resolved
from medray.errors import ConfigError
from medray.report import provenance


def make_device_map(config: DeviceMapConfig, request: Request) -> None:
    """Solve, print and write."""
    out = _free(request)
    record = place(config)
    source = provenance(seed=None, config_hash=config_hash(config), command=request.command)
    _write(out, {**record, "config": resolved(config), "provenance": source})
    show(record, Console())
    Console().print(f"device map: {out}", soft_wrap=True)


def show(record: Mapping[str, Any], console: Console) -> None:
    """Print what a person wants of a placement record."""
    console.print(_map_table(record))
    console.print(_memory_table(record))
    times = record["predicted"]
    solved = "proven optimal" if record["optimal"] else f"within {100 * record['gap']:.2f} % of optimal"
    console.print(
        f"predicted: first token {1e3 * times['first_token_s']:.1f} ms, "
        f"then {1e3 * times['per_token_s']:.1f} ms a token; "
        f"{solved}, solved in {record['solver_seconds']:.2f} s",
        soft_wrap=True,
    )
    for engine, settings in record["engines"].items():
        console.print(f"{engine}: {settings}", soft_wrap=True, markup=False)


def _map_table(record: Mapping[str, Any]) -> Table:
    table = Table("device", "from", "to", title="device map")
    for device, first, last in runs(record["device_map"]):
        table.add_row(str(device), first, last)
    return table


def _memory_table(record: Mapping[str, Any]) -> Table:
    table = Table("device", "needed", "there", title="memory")
    for name, found in record["memory"].items():
        there = found["capacity_bytes"]
        table.add_row(name, shown_bytes(found["needed_bytes"]), "any" if there is None else shown_bytes(there))
    return table


def _free(request: Request) -> Path:
    """Return where the file goes. Raises ConfigError where it may not."""
    if "://" in request.out:
        raise ConfigError(f"--out: expected a file of this machine, got a URI ({request.out.partition(':')[0]})")
    out = Path(request.out).expanduser()
    if out.is_dir():
        raise ConfigError(f"--out: expected a file, got a folder: {out}: name it {out / 'device_map.json'}")
    if out.exists() and not request.overwrite:
        raise ConfigError(f"--out: {out} exists: choose another name or give --overwrite")
    return out


def _write(out: Path, data: Mapping[str, Any]) -> None:
    """Write the whole file or none of it."""
    out.parent.mkdir(parents=True, exist_ok=True)
    unfinished = out.with_name(f".{out.name}.{os.getpid()}.unfinished")
    try:
        with unfinished.open("w", encoding="utf-8") as stream:
            stream.write(json.dumps(data, indent=2) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        unfinished.replace(out)
    finally:
        unfinished.unlink(missing_ok=True)


main = partial(run, "device_map", DeviceMapConfig, make_device_map)

if __name__ == "__main__":
    sys.exit(main())
