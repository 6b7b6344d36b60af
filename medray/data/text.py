"""Text in one form: what is stored (`normalise`) and what is compared (`words`). Pure functions of a string."""

import re
import unicodedata
from collections.abc import Iterable
from hashlib import blake2b

# Control characters but tab and line feed, lone surrogates, and zero-width or direction-changing marks: invisible, and
# they make equal texts differ. A tab stays until blanks are made single, because it keeps words apart.
_REMOVED = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f\ud800-\udfff\u00ad\u200b\u200e\u200f\u2060\ufeff\u202a-\u202e\u2066-\u2069]"
)
_BLANKS = re.compile(r"[^\S\n]+")
_BLANKS_AT_LINE_ENDS = re.compile(r" ?\n ?")
_MANY_LINES = re.compile(r"\n{3,}")
_LINE_ENDS = re.compile(r"\r\n?|[\u2028\u2029\u0085\v\f]")
# Signs are words where they say something: a comparison, a percentage, "HER2+" against "HER2-", "-5" against "5".
_WORD = re.compile(
    r"\d+(?:[.,\u2044/]\d+)*|[^\W\d_]+(?:'[^\W\d_]+)*|[%<>+\u2264\u2265\u00b1]|(?<=\w)-(?![\w-])|(?<![\w-])-(?=\d)"
)
_ONE_FORM = str.maketrans({"\u2019": "'", "\u2018": "'", "\u02bc": "'", "\u2212": "-", "\u2010": "-", "\u2011": "-"})


def normalise(text: str) -> str:
    """Return NFC text without control or invisible characters, blanks single, at most one empty line. Idempotent."""
    lines = _LINE_ENDS.sub("\n", text)
    visible = _REMOVED.sub("", lines)
    composed = unicodedata.normalize("NFC", visible)
    blanks = _BLANKS_AT_LINE_ENDS.sub("\n", _BLANKS.sub(" ", composed))
    return _MANY_LINES.sub("\n\n", blanks).strip()


def one_line(text: str) -> str:
    """Return normalised text on one line."""
    return " ".join(normalise(text).split())


def words(text: str) -> list[str]:
    """Return the words, numbers and comparison signs of a text, folded (NFKC, case) for comparison only."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).translate(_ONE_FORM).casefold())


def group_key(text: str) -> str:
    """Return the form in which two focuses or questions are one group: folded words, single blanks."""
    return " ".join(words(text)) or " ".join(text.split())


def hash64(parts: Iterable[str]) -> int:
    """Return 64 bits of BLAKE2b over the parts; borders between parts count."""
    digest = blake2b(digest_size=8)
    for part in parts:
        data = part.encode()
        digest.update(len(data).to_bytes(4, "big"))
        digest.update(data)
    return int.from_bytes(digest.digest(), "big")
