"""Playing a kept answer as a live one would come: text in pieces, then the end with its reason and counts."""

import re
from collections.abc import Iterator
from typing import Final

from medray.inference.engine import Delta
from medray.inference.response_cache.entry import Answer, Hit

_PIECE: Final = re.compile(r"\S+\s*|\s+")
_WORDS_A_PIECE: Final = 8


def replay(found: Hit | Answer) -> Iterator[Delta]:
    """Yield the answer as deltas: the joined texts are the answer, token counts add up, the last alone has a reason."""
    words = _PIECE.findall(found.answer if isinstance(found, Hit) else found.text)
    pieces = ["".join(words[at : at + _WORDS_A_PIECE]) for at in range(0, len(words), _WORDS_A_PIECE)]
    for index, piece in enumerate(pieces):
        first, last = found.tokens * index // len(pieces), found.tokens * (index + 1) // len(pieces)
        yield Delta(piece, last - first)
    reason = "stop" if isinstance(found, Hit) else found.finish_reason
    yield Delta("", 0, reason, found.prompt_tokens)
