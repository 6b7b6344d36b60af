"""Formats that a plan can be written in: one protocol, one file a backend.

A backend writes a loaded 16- or 32-bit model by a plan into an empty folder and loads it back in its own runtime.
Tokenizers, measurements and artifacts are the caller's.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from medray.compression.backends.bitsandbytes import BitsAndBytes
from medray.compression.backends.compressed_tensors import CompressedTensors
from medray.compression.backends.gguf import Gguf
from medray.compression.backends.merged import Merged
from medray.compression.formats import W8A8
from medray.compression.plan import Plan
from medray.errors import ConfigError


class Backend(Protocol):
    """One container format."""

    def write(self, model: Any, plan: Plan, folder: Path, *, dtype: str, device: str) -> Any:
        """Write the model; return what was written as it is in memory. The model given may be changed."""

    def load(self, folder: Path, *, dtype: str, device: str) -> Any:
        """Load what `write` wrote."""


BACKENDS: Mapping[str, Backend] = {
    "merged": Merged(),
    "bitsandbytes": BitsAndBytes(),
    "compressed-tensors": CompressedTensors("mixed"),
    W8A8: CompressedTensors("w8a8"),
    "gguf": Gguf(),
}


def backend(name: str) -> Backend:
    """Return the backend of a format. Raises ConfigError, naming those that exist."""
    if name not in BACKENDS:
        raise ConfigError(f"expected a format of {', '.join(BACKENDS)}, got '{name}'")
    return BACKENDS[name]
