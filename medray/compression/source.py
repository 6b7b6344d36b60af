"""What a compression starts from: the model that the config names, checked without reading a weight."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medray.artifacts import hash_file, hash_tree, is_artifact, is_remote
from medray.compression.config import CompressConfig
from medray.compression.merge import refuse_quantised
from medray.errors import ConfigError
from medray.models import ModelRef, resolve
from medray.models.identity import content_identity


def find_source(config: CompressConfig) -> ModelRef:
    """Resolve what has to be compressed: the adapter over its base, or the model alone.

    Raises ConfigError when `adapter` is none or was trained on another base than `model`, ModelError when the base is
    quantised.
    """
    ref = resolve(config.adapter if config.adapter is not None else str(config.model))
    if config.adapter is not None:
        _check_adapter(ref, config)
    refuse_quantised(ref)
    return ref


def config_of(name: str) -> Mapping[str, Any]:
    """Return a model's `config.json`; a folder that holds nothing else will do. Raises ModelError."""
    folder = Path(name).expanduser()
    if not is_remote(name) and (folder / "config.json").is_file() and not is_artifact(folder):
        return ModelRef(name, "folder", str(folder)).config_json()
    return resolve(name).config_json()


def data_identity(data: str) -> str:
    """Return a hash of the data that is measured on; a name without a file stands for itself."""
    path = Path(data).expanduser()
    if path.is_dir():
        return hash_tree(path)
    return hash_file(path) if path.is_file() else f"name:{data}"


def _check_adapter(ref: ModelRef, config: CompressConfig) -> None:
    if ref.kind != "adapter" or ref.base is None:
        raise ConfigError(
            f"adapter: expected an adapter folder or artifact, got a model ({ref.kind}): give it as model"
        )
    if config.model is None:
        return
    given = resolve(config.model)
    if given.path in (ref.base.path, ref.path):
        return
    if content_identity(given) != content_identity(ref.base):
        raise ConfigError(
            f"model: expected the base that the adapter was trained on ({ref.base.name}), got another model: "
            "leave model out to take that base"
        )
