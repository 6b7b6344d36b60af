"""The response cache: answers served again, from memory or disk, exactly or by clinical equivalence (PAPER M2, Eq. 8).

Public names load on first use: importing this package brings in neither torch nor a store. What a wrong hit costs and
how often one was seen is published in docs/cache-safety.md.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from medray.inference.response_cache.cache import ResponseCache
    from medray.inference.response_cache.config import CacheConfig, DiskConfig
    from medray.inference.response_cache.entry import Answer, Hit
    from medray.inference.response_cache.playback import replay
    from medray.inference.response_cache.policy import RequestShape
    from medray.inference.response_cache.scope import Scope
    from medray.inference.response_cache.sharing import Served, SharedAnswers

_PUBLIC = {
    "Answer": "entry",
    "CacheConfig": "config",
    "DiskConfig": "config",
    "Hit": "entry",
    "RequestShape": "policy",
    "ResponseCache": "cache",
    "Scope": "scope",
    "Served": "sharing",
    "SharedAnswers": "sharing",
    "replay": "playback",
}

__all__ = [
    "Answer",
    "CacheConfig",
    "DiskConfig",
    "Hit",
    "RequestShape",
    "ResponseCache",
    "Scope",
    "Served",
    "SharedAnswers",
    "replay",
]


def __getattr__(name: str) -> object:
    """Load a public name from its module (PEP 562)."""
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PUBLIC[name]}"), name)
