"""From the configured pools to what will run: models found, fallbacks chosen, artifacts named.

Runs once, where the application is built. Relative folders count from `$MEDRAY_ROOT`, else from the current folder,
because Serve may build the application in a process that started elsewhere. No weights are opened.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medray.artifacts import is_artifact, is_remote, read
from medray.config import config_hash
from medray.errors import ConfigError
from medray.inference.engine import Mode
from medray.inference.factory import EngineConfig
from medray.log import event
from medray.models import PULLABLE, ModelRef, resolve
from medray.serving.config import PoolConfig, ServingArgs
from medray.serving.decision import Candidate


@dataclass(frozen=True)
class PoolPlan:
    """A pool that will run.

    `engine` has the model's absolute place; `artifact` is its short content hash, else its public name; `fallback` says
    that the configured model was absent.
    """

    config: PoolConfig
    engine: EngineConfig
    artifact: str
    quality: Mapping[str, float]
    fallback: bool

    @property
    def name(self) -> str:
        """The pool's name in configs, headers and model ids."""
        return self.config.name

    @property
    def mode(self) -> Mode:
        """Adapter or merged."""
        return self.engine.mode

    @property
    def deployment(self) -> str:
        """The name of its Serve deployment."""
        return f"{self.mode.capitalize()}-{self.name}"

    @property
    def fingerprint(self) -> str:
        """What must be equal for a proof of life to count: the artifact and the engine's settings."""
        return config_hash({"artifact": self.artifact, "engine": self.engine.model_dump(mode="json")})

    def candidate(self) -> Candidate:
        """The pool as the decision sees it."""
        specialties = self.config.specialties
        return Candidate(self.name, self.mode, self.quality, None if specialties is None else frozenset(specialties))


def plan_pools(args: ServingArgs) -> tuple[PoolPlan, ...]:
    """Find the model of every pool. Raises ConfigError, ModelError or ArtifactError when one cannot be served."""
    return tuple(_plan(pool, args.fallback_model) for pool in args.pools)


def _plan(pool: PoolConfig, fallback_model: str | None) -> PoolPlan:
    if pool.engine.engine == "fake":
        return PoolPlan(pool, pool.engine, f"fake-{pool.name}", {}, fallback=False)
    wanted = _absolute(pool.engine.model)
    absent = _is_absent_folder(wanted)
    if absent and fallback_model is None:
        raise ConfigError(
            f"pool '{pool.name}': expected a model at {pool.engine.model}, found none there: make the artifact, "
            "set MEDRAY_ROOT, or name a fallback_model"
        )
    if absent:
        event("fallback_model_used", level="warning", pool=pool.name, fallback=fallback_model)
    place = _absolute(str(fallback_model)) if absent else wanted
    ref = resolve(place)
    engine = pool.engine.model_copy(update={"model": place})
    return PoolPlan(pool, engine, _public_name(ref), _quality(place), fallback=absent)


def _absolute(name: str) -> str:
    """Anchor what names a folder; leave URIs, pulled names and hub ids as they are."""
    if is_remote(name) or name in PULLABLE:
        return name
    path = Path(name).expanduser()
    anchored = path if path.is_absolute() else Path(os.environ.get("MEDRAY_ROOT") or Path.cwd()) / path
    return str(anchored) if anchored.exists() or _looks_like_folder(name) else name


def _looks_like_folder(name: str) -> bool:
    """Tell a path from a hub id, which has exactly one slash and no leading dot or tilde."""
    return name.startswith((".", "/", "~")) or name.count("/") != 1


def _is_absent_folder(place: str) -> bool:
    return Path(place).is_absolute() and not Path(place).exists()


def _public_name(ref: ModelRef) -> str:
    if ref.artifact_id:
        return ref.artifact_id
    return ref.path if ref.kind == "hub" else Path(ref.path).name


def _quality(place: str) -> dict[str, float]:
    """Read the lower bound of measured quality per class from the artifact's manifest, where it has any."""
    folder = next((path for path in (Path(place), Path(place).parent) if is_artifact(path)), None)
    quality = (read(folder).quality if folder is not None else None) or {}
    bounds = {name: _lower_bound(value) for name, value in quality.items()}
    return {name: bound for name, bound in bounds.items() if bound is not None}


def _lower_bound(value: Any) -> float | None:
    """A class's entry is `{"lower": x, ...}` with x in [0, 1]; anything else counts as not measured."""
    bound = value.get("lower") if isinstance(value, Mapping) else None
    usable = isinstance(bound, int | float) and not isinstance(bound, bool) and 0.0 <= bound <= 1.0
    return float(bound) if usable and bound is not None else None
