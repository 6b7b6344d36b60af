"""How results are shown: Markdown tables rendered from committed JSON, and the provenance that the JSON carries.

A page in `docs/` is never typed: a command writes `docs/results/NAME.json`, a renderer turns it into the page, and a
test compares the two.
"""

import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def provenance(*, seed: int | None, config_hash: str, command: Sequence[str]) -> dict[str, Any]:
    """Return what every result is committed with: commit, seed, config hash, machine, command."""
    return {
        "commit": commit(),
        "seed": seed,
        "config_hash": config_hash,
        "machine": machine(),
        "command": " ".join(command),
    }


def commit(folder: Path = Path()) -> str:
    """Return the short commit of the working tree, `+` when it has changes, `unknown` outside git."""
    try:
        head = _git(folder, "rev-parse", "--short=12", "HEAD")
        return head + ("+" if _git(folder, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def machine() -> dict[str, Any]:
    """Name the machine by what matters for a figure: processor, cores, memory, devices."""
    import psutil

    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Render rows as a Markdown table; numbers to the right."""
    numeric = [all(isinstance(row[index], int | float) for row in rows) for index in range(len(header))]
    lines = [_line(header), _line(["---:" if number else "---" for number in numeric])]
    lines += [_line([_cell(value) for value in row]) for row in rows]
    return "\n".join(lines) + "\n"


def provenance_line(result: Mapping[str, Any]) -> str:
    """Render the provenance of a result as one sentence for the foot of a page."""
    source = result["provenance"]
    where = source["machine"]
    return (
        f"Made by `{source['command']}` at commit `{source['commit']}`, seed {source['seed']}, config hash "
        f"`{source['config_hash']}`, on {where['processor']} ({where['cores']} cores, {where['memory_gb']} GB, "
        f"{where['system']}, Python {where['python']}).\n"
    )


def _line(cells: Sequence[object]) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def _cell(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, float):
        return str(value)
    return f"{value:.4g}" if abs(value) < 1e4 else f"{value:,.0f}"


def _git(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True, timeout=10
    ).stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"
