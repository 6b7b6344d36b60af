"""What a person sees of a compression: one table of bytes per part, and what quality cost."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from medray.compression.architecture import PARTS
from medray.compression.codes import TensorCodes

_UNITS = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def bytes_table(title: str, columns: Mapping[str, Mapping[str, int]]) -> Table:
    """Render bytes per part, one column a format; the first column is what the last row's saving is taken against."""
    table = Table(title=title)
    table.add_column("part")
    for name in columns:
        table.add_column(name, justify="right")
    for part in PARTS:
        if any(parts.get(part) for parts in columns.values()):
            table.add_row(part, *(shown_bytes(parts.get(part, 0)) for parts in columns.values()))
    totals = [sum(parts.values()) for parts in columns.values()]
    table.add_section()
    table.add_row("total", *(shown_bytes(total) for total in totals))
    table.add_row("saved", *(f"{100 * (1 - total / totals[0]):.1f} %" for total in totals))
    return table


def variants_table(variants: Mapping[str, int], weights: int) -> Table:
    """Render planned totals in GB (10^9 bytes) of every format and reading; the first is what is saved against."""
    table = Table(title=f"planned total, {weights / 1e9:.3f} G weights")
    for name in ("format", "GB", "saved"):
        table.add_column(name, justify="left" if name == "format" else "right")
    first = next(iter(variants.values()))
    for name, total in variants.items():
        table.add_row(name, f"{total / 1e9:.2f}", f"{100 * (1 - total / first):.1f} %")
    return table


def codes_table(tensors: Sequence[TensorCodes]) -> Table:
    """Render each tensor's bits, its code and the relative round-trip error of every code that was tried."""
    names = list(dict.fromkeys(code for tensor in tensors for code in tensor.errors))
    table = Table(title="round-trip error, relative")
    for name in ("tensor", "bits", "code"):
        table.add_column(name)
    for name in names:
        table.add_column(name, justify="right")
    for tensor in tensors:
        errors = (f"{tensor.errors[name]:.5f}" if name in tensor.errors else "" for name in names)
        table.add_row(tensor.module, str(tensor.bits), tensor.code, *errors)
    return table


def summary_table(summary: Mapping[str, Any]) -> Table:
    """Render the summary of a compression: bytes on disk per part, memory and KL per format."""
    formats: Mapping[str, Mapping[str, Any]] = summary["formats"]
    columns = {"FP16": summary["fp16"]["bytes_per_part"]}
    columns |= {name: found["bytes_per_part"] for name, found in formats.items()}
    table = bytes_table("bytes on disk", columns)
    table.add_section()
    table.add_row(
        f"in memory ({summary['compute_dtype']})",
        "",
        *(shown_bytes(found["resident_bytes"]) for found in formats.values()),
    )
    table.add_row("KL to merged", "", *(_shown_kl(found) for found in formats.values()))
    table.add_row("top token equal", "", *(_shown_share(found) for found in formats.values()))
    measured = next((found for found in formats.values() if "kl" in found), None)
    if measured:
        table.caption = f"KL in nats per token, on {measured['tokens']} answer tokens of {measured['rows']} lessons"
    return table


def shown_bytes(count: int) -> str:
    """Return bytes with three digits behind the point, in powers of ten (GB is 10^9)."""
    for size, unit in _UNITS:
        if count >= size:
            return f"{count / size:.3f} {unit}"
    return f"{count} B"


def _shown_kl(found: Mapping[str, Any]) -> str:
    if "kl" not in found:
        return "reference"
    error = f" ± {found['kl_se']:.4f}" if found["kl_se"] is not None else ""
    return f"{found['kl']:.4f}{error}"


def _shown_share(found: Mapping[str, Any]) -> str:
    return f"{100 * found['agreement']:.1f} %" if "agreement" in found else "reference"
