"""What every job's command line shares: arguments, config, errors and exit codes.

A job module holds `main = partial(run, name, ConfigClass, function)`. The function gets the validated config and a
`Request` and returns when the artifact is committed. Input errors are one line on standard error and exit code 2.
"""

import argparse
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from medray import cluster
from medray.config import Config, load
from medray.errors import MedrayError

_CONFIGS = Path(__file__).parent / "configs"
_INTERRUPTED = 130

ConfigT = TypeVar("ConfigT", bound=Config)


@dataclass(frozen=True)
class Request:
    """What the command line says beside the config."""

    out: str
    overwrite: bool
    command: tuple[str, ...]


def run(
    name: str,
    config_class: type[ConfigT],
    job: Callable[[ConfigT, Request], None],
    arguments: Sequence[str] | None = None,
) -> int:
    """Parse, load, run; return the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = _parser(name, config_class).parse_args(given)
    cluster.environment()
    try:
        config = load(config_class, options.config, options.set)
        request = Request(options.out, options.overwrite, ("python", "-m", f"jobs.{name}", *given))
        job(config, request)
    except MedrayError as error:
        print(f"jobs.{name}: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(f"jobs.{name}: interrupted; run the same command again to resume", file=sys.stderr)
        return _INTERRUPTED
    return 0


def shown(command: Sequence[str]) -> str:
    """Render a command line for a message."""
    return shlex.join(command)


def _parser(name: str, config_class: type[Config]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python -m jobs.{name}",
        description=(config_class.__doc__ or "").strip().partition("\n")[0],
    )
    parser.add_argument(
        "--config", type=Path, default=_CONFIGS / f"{name}.yaml", help="YAML file (default: %(default)s)"
    )
    parser.add_argument("--set", action="append", default=[], metavar="a.b=value", help="override one key, YAML 1.2")
    parser.add_argument("--out", required=True, metavar="DIR", help="where the artifact goes: a folder or a URI")
    parser.add_argument(
        "--overwrite", action="store_true", help="replace a finished artifact, discard other unfinished work"
    )
    return parser
