"""Whether an answer declines to answer: refuses, or says that it does not know. Wording only; pure."""

import re
from typing import Final

_DECLINES: Final = re.compile(
    r"\b(?:i|we)(?:'m| am| are)?\s+(?:(?:just|only|really|truly|honestly)\s+)?(?:am\s+)?"
    r"(?:not (?:able|sure|certain|qualified|allowed)|unable|unsure|uncertain|cannot|can't|can not|couldn't|could not|"
    r"won't|will not|do not know|don't know|do not have (?:enough|sufficient)|don't have (?:enough|sufficient))\b"
    r"|\bas an? (?:ai|artificial intelligence|language model)\b"
    r"|\bi(?:'m| am) (?:just |only )?an? (?:ai|language model)\b"
    r"|\b(?:cannot|can't|can not) be (?:determined|answered|decided)\b"
    r"|\bnot possible to (?:determine|say|tell|answer|decide)\b"
    r"|\b(?:not enough|insufficient) information\b|\b(?:answer|it) is (?:unclear|unknown|uncertain)\b"
    r"|\bimpossible to (?:determine|say|tell|decide)\b",
    re.IGNORECASE,
)


def abstains(text: str) -> bool:
    """Tell whether the text says that it will not or cannot answer."""
    return bool(_DECLINES.search(text.replace("\u2019", "'")))
