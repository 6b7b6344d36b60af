"""When two questions are the same text for exact matching.

White space, quotation marks, dashes, capitals that only begin a word and closing punctuation do not count. Anything
that can carry meaning in medicine does: `mM` is not `mm`, `AIDS` is not `aids`, `10²` is not `102` (so no NFKC).
"""

import re
import unicodedata
from typing import Final

_SPACE: Final = re.compile(r"\s+")
_BEFORE_END: Final = re.compile(r"[\s?.!]+$")
_BEFORE_MARK: Final = re.compile(r"\s+([?,;:!])")
_PLAIN: Final = str.maketrans({"‘": "'", "’": "'", "“": '"', "”": '"', "‐": "-", "‑": "-", "–": "-"})
# Longer words with a capital at their beginning alone are ordinary words; short ones may be units or elements.
_TITLE: Final = re.compile(r"(?<![^\W_])[A-Z][a-z]{2,}(?![^\W_])")
_SHORT_FIRST: Final = re.compile(r"^(Is|Do|If|In|On|To|Of|Am|An|Or|We)\b(?=\s)")


def normalise(question: str) -> str:
    """Return the text that is compared and hashed for an exact match."""
    text = unicodedata.normalize("NFC", question).translate(_PLAIN)
    text = _SPACE.sub(" ", text).strip()
    text = _BEFORE_MARK.sub(r"\1", text)
    text = _BEFORE_END.sub("", text)
    text = _TITLE.sub(lambda match: match.group().lower(), text)
    return _SHORT_FIRST.sub(lambda match: match.group().lower(), text)
