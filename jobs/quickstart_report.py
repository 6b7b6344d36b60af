"""What the quickstart prints at the end, from its `summary.json` alone."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

NOTICE = "demonstration: expect wrong medicine. Not a medical device, not for patients."


def show(summary: Mapping[str, Any], console: Console | None = None) -> None:
    """Print the result of a run."""
    console = console or Console()
    console.rule("medray quickstart")
    _distillation(summary["distilled"], console)
    _compression(summary["compressed"], console)
    _answers(summary, console)
    for name, place in summary["artifacts"].items():
        console.print(f"{name:>10}: {place}", soft_wrap=True, highlight=False)
    console.print(
        f"{summary['seconds']:.0f} s in all, ready to serve after {summary['ready_s']:.0f} s, "
        f"peak memory {summary['peak_bytes'] / 1e9:.1f} GB, {len(summary['distilled']['workers'])} training processes"
    )


def _distillation(distilled: Mapping[str, Any], console: Console) -> None:
    before, after = distilled["valid_before"], distilled["valid_after"]
    console.print(
        f"validation KL(teacher || student), nats a token: before {before['kl']:.3f}, after {after['kl']:.3f}; "
        f"cross-entropy: before {before['ce']:.3f}, after {after['ce']:.3f}"
    )


def _compression(compressed: Mapping[str, Any], console: Console) -> None:
    packed, plain = compressed["formats"]["bitsandbytes"], compressed["fp16"]
    table = Table(title="bytes of weights, MB (10^6)")
    for heading in ("part", "FP16", "int8 + NF4"):
        table.add_column(heading, justify="left" if heading == "part" else "right")
    for part, size in plain["bytes_per_part"].items():
        table.add_row(part, f"{size / 1e6:.2f}", f"{packed['bytes_per_part'][part] / 1e6:.2f}")
    table.add_row("total", f"{plain['bytes'] / 1e6:.2f}", f"{packed['bytes'] / 1e6:.2f}", style="bold")
    console.print(table)
    error = "" if packed["kl_se"] is None else f"standard error {packed['kl_se']:.4f}, "
    console.print(f"KL(merged || compressed): {packed['kl']:.4f} nats a token ({error}{packed['tokens']} tokens)")


def _answers(summary: Mapping[str, Any], console: Console) -> None:
    console.print(f"[bold yellow]{NOTICE}[/]")
    for row, teacher in zip(summary["answers"], summary["teacher_answers"], strict=True):
        console.print(Text(row["question"], style="bold"))
        console.print(
            f"  class {row['category']}, mode {row['mode']}, engine {row['engine']}, {row['seconds']:.1f} s",
            highlight=False,
        )
        console.print(Text(f"  student: {row['text'].strip()}"))
        console.print(Text(f"  teacher: {teacher.strip()}"))
