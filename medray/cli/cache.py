"""`medray cache`: look into the response cache, withdraw answers, and measure how safe it is."""

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import click

from medray.errors import CapabilityError, DataError

_PAIRS: Final = Path("tests/unit/inference/response_cache/pairs")
_RESULTS: Final = Path("docs/results/cache_safety.json")
_PAGE: Final = Path("docs/cache-safety.md")

_folder = click.option(
    "--folder", type=click.Path(path_type=Path, file_okay=False), required=True, help="The disk tier's folder."
)
_pairs = click.option("--pairs", type=click.Path(path_type=Path), default=_PAIRS, show_default=True)
_embedders = click.option(
    "--embedder", "embedders", multiple=True, default=("minilm", "static"), show_default=True, help="May be repeated."
)


@click.group()
def cache() -> None:
    """Look into the response cache, withdraw answers, and measure how safe it is."""


@cache.command("stats")
@_folder
def stats(folder: Path) -> None:
    """Print what the folder holds, and the audit's counts, as JSON."""
    from medray.inference.response_cache.maintenance import folder_stats

    click.echo(json.dumps(folder_stats(_there(folder)), indent=2))


@cache.command("verify")
@_folder
def verify(folder: Path) -> None:
    """Open every entry; drop those that are damaged, expired or withdrawn. Exit code 1 if any was damaged."""
    from medray.inference.response_cache.maintenance import verify_folder

    found = verify_folder(_there(folder))
    click.echo(json.dumps(found))
    if found["damaged"]:
        sys.exit(1)


@cache.command("invalidate")
@_folder
@click.option("--artifact", required=True, help="The id of the artifact whose answers shall never be served again.")
def invalidate(folder: Path, artifact: str) -> None:
    """Withdraw all answers of an artifact for good, in every process that shares the folder. Needs no key."""
    from medray.inference.response_cache.maintenance import withdraw

    withdraw(folder, artifact)
    click.echo(f"withdrawn: {artifact}")


@cache.command("export")
@_folder
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="JSON lines, mode 0600.")
def export(folder: Path, out: Path) -> None:
    """Write questions and answers in plain text to a new file that only its owner can read."""
    from medray.inference.response_cache.maintenance import export_folder

    click.echo(f"{export_folder(_there(folder), out)} entries in {out}")


@cache.command("calibrate")
@_pairs
@_embedders
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Default: the package's calibration.")
def calibrate(pairs: Path, embedders: tuple[str, ...], out: Path | None) -> None:
    """Measure the rules by class and choose Eq. 8's weights on labelled pairs."""
    from medray.inference.response_cache.calibration import SHIPPED
    from medray.inference.response_cache.clinical import ClinicalRules
    from medray.inference.response_cache.safety.calibrating import calibrate as measure_weights
    from medray.inference.response_cache.safety.pairs import read_pairs

    found = measure_weights(read_pairs(pairs), ClinicalRules(), embedders)
    _write(out or SHIPPED, json.dumps(found.model_dump(mode="json"), indent=2) + "\n")
    for name, weights in found.embedders.items():
        click.echo(f"{name}: a = {weights.jaccard_weight:.2f}, threshold = {weights.threshold:.2f}")
    for name, counted in found.classes.items():
        click.echo(f"{name}: {counted.false_hits} of {counted.trials}, 95 % bound {counted.bound:.4f}")
    click.echo(f"all: {found.pooled.false_hits} of {found.pooled.trials}, 95 % bound {found.pooled.bound:.4f}")


@cache.command("safety-report")
@_pairs
@_embedders
@click.option("--results", type=click.Path(path_type=Path, dir_okay=False), default=_RESULTS, show_default=True)
@click.option("--page", type=click.Path(path_type=Path, dir_okay=False), default=_PAGE, show_default=True)
@click.option("--render-only", is_flag=True, help="Make the page from the results that are there.")
def safety_report(pairs: Path, embedders: tuple[str, ...], results: Path, page: Path, render_only: bool) -> None:
    """Measure false hits and found paraphrases, write the figures and the page."""
    from medray.inference.response_cache.calibration import shipped
    from medray.inference.response_cache.safety.measure import measure
    from medray.inference.response_cache.safety.page import render
    from medray.inference.response_cache.safety.pairs import read_pairs

    if render_only:
        result = _read_results(results)
    else:
        result = measure(read_pairs(pairs), shipped(), embedders, ["medray", "cache", "safety-report"])
        _write(results, json.dumps(result, indent=1) + "\n")
    _write(page, render(result))
    total, same = result["end_to_end"]["all"], result["end_to_end"]["paraphrase"]
    click.echo(f"{total['hits']} false hits of {total['n']}, {same['hits']} paraphrases hit of {same['n']}: {page}")


def _there(folder: Path) -> Path:
    if not folder.is_dir():
        raise CapabilityError(f"expected the disk tier's folder at {folder}, found none: check --folder")
    return folder


def _read_results(path: Path) -> dict[str, Any]:
    try:
        result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"expected results at {path}, got {type(error).__name__}: run without --render-only") from None
    return result


def _write(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, delete=False) as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    temporary = Path(stream.name)
    temporary.chmod(0o644)
    temporary.replace(path)
