"""Resolving a model's name to what has to be loaded, with every check that needs no weights.

A name is, in this order: a URI of an artifact, an existing folder, a pulled name (`smollm2-135m`), a hub id
(`org/name`).
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from medray.artifacts import MANIFEST, Manifest, fetch, is_artifact, is_remote, read
from medray.artifacts.storage import home
from medray.errors import ModelError

QUANTISATION = "quantisation.json"  # marks a format sub-folder whose layers are replaced before loading
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_PREFERRED_FORMATS = ("merged", "bitsandbytes")

Kind = Literal["hub", "folder", "adapter", "bitsandbytes"]


@dataclass(frozen=True)
class ModelRef:
    """A resolved model.

    `path` is a folder, or the hub id when `kind` is "hub". An adapter also has the `base` it was trained on.
    `artifact_id` names the artifact it came from, if any.
    """

    name: str
    kind: Kind
    path: str
    base: "ModelRef | None" = None
    artifact_id: str | None = None

    @property
    def tokenizer_path(self) -> str:
        """Where the tokenizer lies: beside the weights, else with the base."""
        if self.base is None or (Path(self.path) / "tokenizer.json").is_file():
            return self.path
        return self.base.tokenizer_path

    def config_json(self) -> dict[str, Any]:
        """Return the architecture's `config.json` as plain data. Raises ModelError."""
        source = self.base or self
        if source.kind == "hub":
            return _hub_config(source.path)
        return _read_json(Path(source.path) / "config.json")


def resolve(name: str) -> ModelRef:
    """Resolve a model's name. Raises ModelError or ArtifactError, saying what was expected and what to do."""
    if not name.strip():
        raise ModelError("expected a model (hub id, pulled name, folder or artifact), got an empty name")
    if is_remote(name):
        return _from_folder(fetch(name), name)
    path = Path(name).expanduser()
    if path.is_dir():
        return _from_folder(path.absolute(), name)
    if path.is_file():
        raise ModelError(f"expected a model folder, got a file: {name}")
    return _from_word(name)


def pulled_folder(name: str) -> Path:
    """Return where a pulled model lies, or will lie."""
    return home() / "models" / name


def _from_word(name: str) -> ModelRef:
    from medray.models.pull import PULLABLE

    if name in PULLABLE:
        folder = pulled_folder(name)
        if not is_artifact(folder):
            raise ModelError(f"model '{name}' is not here yet: run `medray models pull {name}`")
        return ModelRef(name, "folder", str(folder), artifact_id=read(folder).artifact_id)
    if _HUB_ID.fullmatch(name):
        return ModelRef(name, "hub", name)
    raise ModelError(
        f"no model '{name}': expected an existing folder, a pulled name ({', '.join(sorted(PULLABLE))}) "
        "or a hub id like org/name"
    )


def _from_folder(folder: Path, name: str) -> ModelRef:
    if is_artifact(folder):
        return _from_artifact(folder, name, read(folder))
    if (folder / "adapter_config.json").is_file():
        return _from_adapter(folder, name)
    if is_artifact(folder.parent):  # a format sub-folder of a finished artifact
        return _plain(folder, name, read(folder.parent).artifact_id)
    return _plain(folder, name, None)


def _from_artifact(folder: Path, name: str, manifest: Manifest) -> ModelRef:
    if (folder / "adapter" / "adapter_config.json").is_file():
        return _from_adapter(folder / "adapter", name)
    for sub in _PREFERRED_FORMATS:
        if (folder / sub / "config.json").is_file():
            return _plain(folder / sub, name, manifest.artifact_id)
    if (folder / "config.json").is_file():
        return _plain(folder, name, manifest.artifact_id)
    raise ModelError(f"{folder}: the artifact of kind '{manifest.kind}' holds no model: name one that does")


def _from_adapter(folder: Path, name: str) -> ModelRef:
    if not (folder / "adapter_model.safetensors").is_file():
        raise ModelError(f"{folder}: expected adapter_model.safetensors beside adapter_config.json, found none")
    parent = folder.parent
    manifest = read(parent) if is_artifact(parent) else None
    if (parent / "base" / "config.json").is_file():
        base = _plain(parent / "base", str(parent / "base"), manifest.artifact_id if manifest else None)
    else:
        written = _read_json(folder / "adapter_config.json").get("base_model_name_or_path")
        base = resolve(str((manifest.base_model if manifest else None) or written or ""))
    return ModelRef(name, "adapter", str(folder), base=base, artifact_id=manifest.artifact_id if manifest else None)


def _plain(folder: Path, name: str, artifact_id: str | None) -> ModelRef:
    if not (folder / "config.json").is_file():
        found = f"only {MANIFEST}" if is_artifact(folder) else "none"
        raise ModelError(f"{folder}: expected a model folder with config.json, found {found}")
    if not any(folder.glob("*.safetensors")):
        pickled = any(folder.glob("*.bin")) or any(folder.glob("*.pt"))
        hint = "pickled weights are never loaded; convert them to safetensors" if pickled else "download the weights"
        raise ModelError(f"{folder}: expected weights as *.safetensors, found none: {hint}")
    kind: Kind = "bitsandbytes" if (folder / QUANTISATION).is_file() else "folder"
    return ModelRef(name, kind, str(folder), artifact_id=artifact_id)


def _hub_config(hub_id: str) -> dict[str, Any]:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return _read_json(Path(hf_hub_download(hub_id, "config.json")))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise ModelError(
            f"cannot get {hub_id} from the hub ({type(error).__name__}): check the id and network"
        ) from None


def _read_json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: expected a JSON object, got {type(error).__name__}") from None
    if not isinstance(data, dict):
        raise ModelError(f"{path}: expected a JSON object, got {type(data).__name__}")
    return data
