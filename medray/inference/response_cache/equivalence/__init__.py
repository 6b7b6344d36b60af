"""Clinical equivalence of two questions: the rules that decide whether one's answer may serve the other.

`profile(question)` reads a question once; `compare(a, b)` gives the reasons against equivalence; `differences` does
both. Two questions are equivalent when every decisive element agrees and no content word is left over on either side:
what the rules cannot account for is a reason. Pure and deterministic; nothing here knows similarity, scopes or
storage.
"""

import hashlib
from functools import cache
from importlib.resources import files
from typing import Final

from medray.inference.response_cache.equivalence.comparison import compare
from medray.inference.response_cache.equivalence.profile import profile
from medray.inference.response_cache.equivalence.schema import KINDS, Kind, Profile, Reason

_RULES: Final = "medray.inference.response_cache.equivalence"
_ENTITIES: Final = "medray.knowledge.entities"

__all__ = ["KINDS", "Kind", "Profile", "Reason", "compare", "differences", "profile", "rules_version"]


def differences(first: str, second: str) -> list[str]:
    """Return the reasons against serving the answer to one question for the other; empty means equivalent."""
    return [str(reason) for reason in compare(profile(first), profile(second))]


@cache
def rules_version() -> str:
    """Name the rules, word lists and lexicons: profiles stored under another version must be computed again."""
    digest = hashlib.sha256()
    for package in (_RULES, _ENTITIES, f"{_ENTITIES}.data"):
        for file in sorted(files(package).iterdir(), key=lambda entry: entry.name):
            if file.name.endswith((".py", ".yaml", ".txt")):
                digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]
