"""Playing a cached answer as a live one would come: text in pieces, then the end with its reason and counts."""

import re
from collections.abc import Iterator
from typing import Final

from medray.inference.engine import Delta
from medray.inference.response_cache.entry import Hit

_PIECE: Final = re.compile(r"\S+\s*|\s+")
_WORDS_A_PIECE: Final = 8


def replay(hit: Hit) -> Iterator[Delta]:
    """Yield the answer as deltas: the joined texts are the answer, token counts add up, the last alone has a reason."""
    words = _PIECE.findall(hit.answer)
    pieces = ["".join(words[at : at + _WORDS_A_PIECE]) for at in range(0, len(words), _WORDS_A_PIECE)]
    for index, piece in enumerate(pieces):
        first, last = hit.tokens * index // len(pieces), hit.tokens * (index + 1) // len(pieces)
        yield Delta(piece, last - first)
    yield Delta("", 0, "stop", hit.prompt_tokens)
