"""medray: distil, compress and serve medical language models on Ray.

Public names are loaded on first use, so `import medray` pulls in neither torch nor ray.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from medray.knowledge import Classification, classify

__version__ = "0.1.0"

_PUBLIC = {
    "classify": "medray.knowledge",
    "Classification": "medray.knowledge",
}

__all__ = ["Classification", "classify", "__version__"]


def __getattr__(name: str) -> object:
    """Load a public name from its package (PEP 562)."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'medray' has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)
