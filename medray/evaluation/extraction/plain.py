r"""Answers without their markup: Markdown, LaTeX and tags, so that one set of patterns reads all of them.

`\boxed{...}` and `<answer>...</answer>` become ⟦...⟧, which `claims` reads as the strongest form of choosing.
"""

import re
import unicodedata
from typing import Final

OPEN_BOX, CLOSE_BOX = "⟦", "⟧"

_WRAPPED: Final = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|mathsf|operatorname|emph)\s*\{([^{}]*)\}")
_BOXED: Final = re.compile(r"\\boxed\s*\{([^{}]*)\}")
_TAGGED: Final = re.compile(r"<(answer|final_answer|choice)>\s*(.*?)\s*</\1>", re.IGNORECASE | re.DOTALL)
_LATEX: Final = re.compile(r"\\[()\[\]]|\$|\\(?:left|right|,|;|quad)\b")
_MARKDOWN: Final = re.compile(r"```\w*|\*\*|__|`|(?<!\w)_(?=\w)|(?<=\w)_(?!\w)|\*(?=\S)|(?<=\S)\*")
_LINE_LEAD: Final = re.compile(r"^[ \t]*(?:#+[ \t]*|[*•>][ \t]+|-[ \t]+)+", re.MULTILINE)
_RIGHT: Final = re.compile(r"[✓✔✅☑]\ufe0f?")
_WRONG: Final = re.compile(r"[✗✘❌☒]\ufe0f?")
_QUOTES: Final = str.maketrans({"\u2019": "'", "\u2018": "'", "\u201c": '"', "\u201d": '"', "\u3002": "."})


def plain(text: str) -> str:
    """Return the text in NFKC with markup gone; line ends stay."""
    text = unicodedata.normalize("NFKC", text).translate(_QUOTES)
    for _ in range(3):  # nested as deep as models write it
        text = _WRAPPED.sub(r"\1", text)
    text = _BOXED.sub(rf"{OPEN_BOX}\1{CLOSE_BOX}", text)
    text = _TAGGED.sub(rf"{OPEN_BOX}\2{CLOSE_BOX}", text)
    text = _LATEX.sub("", text)
    text = _LINE_LEAD.sub("", text)
    text = _MARKDOWN.sub("", text)
    return _WRONG.sub(" incorrect ", _RIGHT.sub(" correct ", text))
