"""Clinical equivalence of two questions: the rules that decide whether one's answer may serve the other.

`profile(question)` reads a question once; `compare(a, b)` gives the reasons against equivalence; `differences` does
both. Two questions are equivalent when every decisive element agrees and no content word is left over on either side:
what the rules cannot account for is a reason. Pure and deterministic; nothing here knows similarity, scopes or
storage.
"""

from medray.inference.response_cache.equivalence.comparison import compare
from medray.inference.response_cache.equivalence.profile import profile
from medray.inference.response_cache.equivalence.schema import KINDS, Kind, Profile, Reason
from medray.inference.response_cache.equivalence.vocabulary import vocabulary
from medray.knowledge.entities import Lexicon

__all__ = ["KINDS", "Kind", "Profile", "Reason", "compare", "differences", "profile", "rules_version"]


def differences(first: str, second: str) -> list[str]:
    """Return the reasons against serving the answer to one question for the other; empty means equivalent."""
    return [str(reason) for reason in compare(profile(first), profile(second))]


def rules_version() -> str:
    """Name the rules and lexicons: profiles stored under another version must be computed again."""
    return f"{vocabulary().version}-{Lexicon.load().content_hash}"
