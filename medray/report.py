"""How results are shown: Markdown tables rendered from committed JSON, the provenance that the JSON carries, HTML.

A page in `docs/` is never typed: a command writes `docs/results/NAME.json`, a renderer turns it into the page, and a
test compares the two. A report in HTML is one file that opens offline.
"""

import io
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from html import escape
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


def figure(width: float, height: float) -> Any:
    """Return an empty matplotlib figure in inches, without pyplot: no global state, no display."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def svg(drawing: Any, description: str) -> str:
    """Render a matplotlib figure as inline SVG: the same bytes every time, text as text, a description for readers."""
    import matplotlib

    stream = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "medray", "svg.fonttype": "none", "font.family": "sans-serif"}):
        drawing.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    drawn = stream.getvalue()
    return f'<div class="plot" role="img" aria-label="{escape(description)}">{drawn[drawn.index("<svg") :]}</div>'


def html_table(header: Sequence[str], rows: Sequence[Sequence[object]], *, marked: Sequence[int] = ()) -> str:
    """Render rows as an HTML table; `marked` rows stand out. Every cell is escaped."""
    head = "".join(f"<th>{escape(str(name))}</th>" for name in header)
    body = "".join(
        f"<tr{' class=marked' if index in marked else ''}>"
        + "".join(f"<td{_numeric(cell)}>{escape(_cell(cell))}</td>" for cell in row)
        + "</tr>"
        for index, row in enumerate(rows)
    )
    return f'<div class="table"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def html_page(title: str, lead: str, sections: Sequence[tuple[str, str]]) -> str:
    """Return one self-contained page: no script, no font and no file from elsewhere. Sections are (heading, HTML)."""
    contents = "".join(f'<a href="#s{place}">{escape(heading)}</a>' for place, (heading, _) in enumerate(sections))
    body = "".join(
        f'<section id="s{place}"><h2>{escape(heading)}</h2>{html}</section>'
        for place, (heading, html) in enumerate(sections)
    )
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head><body><header><h1>{escape(title)}</h1>{lead}</header>"
        f"<nav>{contents}</nav><main>{body}</main></body></html>\n"
    )


def _numeric(cell: object) -> str:
    return " class=number" if isinstance(cell, int | float) and not isinstance(cell, bool) else ""


_STYLE = """
:root{--ink:#1c2430;--soft:#5b6675;--line:#dde3ea;--ground:#fff;--tint:#f4f7fa;--accent:#1f5f8b}
:root{--warn:#8a4b00;--warnbg:#fff6e6}
*{box-sizing:border-box}
body{margin:0;color:var(--ink);background:var(--ground);font:15px/1.55 system-ui,"Segoe UI",Roboto,Arial,sans-serif}
header,nav,main{max-width:1080px;margin:0 auto;padding:0 28px}
header{padding-top:34px}
h1{font-size:27px;line-height:1.2;margin:0 0 6px;letter-spacing:-.01em}
h2{font-size:19px;margin:0 0 10px}
h3{font-size:15px;margin:22px 0 6px}
p{margin:6px 0 10px;max-width:78ch}
.lead{color:var(--soft)}
nav{padding-top:14px;padding-bottom:6px;display:flex;flex-wrap:wrap;gap:6px 16px;font-size:13.5px}
nav a,a{color:var(--accent);text-decoration:none}
nav a:hover{text-decoration:underline}
section{border-top:1px solid var(--line);padding:22px 0 16px}
.table{overflow-x:auto;margin:8px 0 14px}
table{border-collapse:collapse;font-size:13.5px;font-variant-numeric:tabular-nums}
th{text-align:left;color:var(--soft);font-weight:600;border-bottom:2px solid var(--line);vertical-align:bottom}
th,td{padding:6px 14px 6px 0}
td{border-bottom:1px solid var(--line);vertical-align:top}
td.number{text-align:right}
tr.marked td{background:var(--tint);font-weight:600}
.note{background:var(--warnbg);border-left:3px solid var(--warn);padding:7px 12px;margin:6px 0;max-width:84ch}
.plot svg{max-width:100%;height:auto;display:block;margin:6px 0}
.pair{display:flex;flex-wrap:wrap;gap:8px 26px;align-items:flex-start}
details{margin:8px 0}summary{cursor:pointer;color:var(--accent);font-size:14px}
pre{background:var(--tint);padding:12px;overflow-x:auto;font-size:12.5px;line-height:1.45}
code{font-size:.93em;overflow-wrap:anywhere}
@media print{nav{display:none}section{break-inside:avoid}}
"""
