"""`medray doctor`: what this machine can run, and why not the rest.

Each finding is a line: area, subject, yes or no, the reason, and what to do. Probing imports nothing that is not
installed and starts nothing.
"""

import importlib.metadata
import importlib.util
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import click


@dataclass(frozen=True)
class Finding:
    """One thing this machine has or lacks."""

    area: str
    subject: str
    ok: bool
    reason: str
    do: str = ""


@dataclass(frozen=True)
class _Package:
    module: str
    distribution: str
    extra: str
    what: str


_ENGINES = (
    _Package("transformers", "transformers", "", "reference engine, any device"),
    _Package("vllm", "vllm", "vllm", "throughput engine, GPU (or its CPU build)"),
    _Package("llama_cpp", "llama-cpp-python", "edge", "GGUF engine for small machines"),
)
_EXTRAS = (
    _Package("bitsandbytes", "bitsandbytes", "", "int8 and NF4 layers"),
    _Package("flash_attn", "flash-attn", "gpu", "flash attention on CUDA"),
    _Package("pynvml", "nvidia-ml-py", "gpu", "GPU memory and energy figures"),
)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def doctor(as_json: bool) -> None:
    """Say what this machine can run, and why not the rest."""
    findings = list(examine())
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
        return
    _print(findings)


def examine() -> Iterator[Finding]:
    """Yield every finding, devices first."""
    yield from _devices()
    yield from _kernels()
    for package in _ENGINES:
        yield _installed("engine", package)
    for package in _EXTRAS:
        yield _installed("extra", package)
    yield from _models()
    yield from _ray(dict(os.environ), Path.home())


def _devices() -> Iterator[Finding]:
    import psutil
    import torch

    memory_gb = psutil.virtual_memory().total / 1e9
    yield Finding("device", "cpu", True, f"{os.cpu_count()} cores, {memory_gb:.1f} GB memory")
    if not torch.cuda.is_available():
        do = "" if torch.version.cuda else "with an NVIDIA GPU: make setup GPU=1"
        why = "no CUDA device found" if torch.version.cuda else f"torch {torch.__version__} is a CPU build"
        yield Finding("device", "cuda", False, why, do)
    for index in range(torch.cuda.device_count()):
        card = torch.cuda.get_device_properties(index)
        yield Finding("device", f"cuda:{index}", True, f"{card.name}, {card.total_memory / 1e9:.1f} GB")


def _kernels() -> Iterator[Finding]:
    import torch

    from medray.models.capability import DeviceProbe, fast_four_bit

    four_bit = fast_four_bit(DeviceProbe.here())
    do = "" if four_bit.yes else "merged mode serves 16/32-bit weights here; 4-bit artifacts still load"
    yield Finding("kernel", "fast 4-bit", four_bit.yes, four_bit.reason, do)
    bf16 = torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    yield Finding("kernel", "bfloat16", bf16, "CUDA device with bfloat16" if bf16 else "float32 is used on this device")
    flash = torch.cuda.is_available() and importlib.util.find_spec("flash_attn") is not None
    yield Finding("kernel", "flash attention", flash, "flash-attn" if flash else "torch's SDPA is used instead")


def _installed(area: str, package: _Package) -> Finding:
    if importlib.util.find_spec(package.module) is None:
        return Finding(
            area, package.module, False, f"not installed: {package.what}", f"pip install 'medray[{package.extra}]'"
        )
    version = importlib.metadata.version(package.distribution)
    return Finding(area, package.module, True, f"{version}: {package.what}")


def _models() -> Iterator[Finding]:
    from medray.artifacts import is_artifact
    from medray.artifacts.storage import home
    from medray.models.pull import PULLABLE
    from medray.models.reference import pulled_folder

    for name in sorted(PULLABLE):
        here = is_artifact(pulled_folder(name))
        yield Finding(
            "model", name, here, "pulled" if here else "not pulled", "" if here else f"medray models pull {name}"
        )
    folder = next(path for path in (home(), *home().parents) if path.exists())
    free_gb = shutil.disk_usage(folder).free / 1e9
    yield Finding(
        "model", "cache space", free_gb > 2, f"{free_gb:.0f} GB free", "" if free_gb > 2 else "set MEDRAY_HOME"
    )


def _ray(environment: dict[str, str], home: Path) -> Iterator[Finding]:
    """Judge Ray's version and authentication from the environment and the token file, starting nothing."""
    yield Finding("ray", "version", True, importlib.metadata.version("ray"))
    mode = environment.get("RAY_AUTH_MODE", "")
    on = mode == "token"
    why = "RAY_AUTH_MODE=token" if on else f"RAY_AUTH_MODE is '{mode}': `ray start` and `serve` may run without a token"
    yield Finding("ray", "token authentication", on, why, "" if on else "export RAY_AUTH_MODE=token")
    path = Path(environment.get("RAY_AUTH_TOKEN_PATH", home / ".ray" / "auth_token"))
    there = bool(environment.get("RAY_AUTH_TOKEN")) or path.is_file()
    yield Finding(
        "ray", "token", there, "found" if there else "none yet", "" if there else "ray get-auth-token --generate"
    )
    address = environment.get("RAY_ADDRESS")
    yield Finding(
        "ray", "cluster", bool(address), "RAY_ADDRESS is set: jobs join it" if address else "jobs start a local one"
    )


def _print(findings: list[Finding]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title="What this machine can run")
    for heading in ("area", "subject", "", "why", "do"):
        table.add_column(heading, overflow="fold")
    for finding in findings:
        mark = "[green]yes[/]" if finding.ok else "[yellow]no[/]"
        table.add_row(finding.area, finding.subject, mark, escape(finding.reason), escape(finding.do))
    Console().print(table)
