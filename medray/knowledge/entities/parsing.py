"""A text as a list of units: lexicon phrases, quantities and the words between them.

The extraction reports its entities; the response cache also reads the words. Pure, deterministic, safe in threads.
"""

from collections.abc import Sequence
from typing import Final

from medray.knowledge.entities.asks import MAX_QUESTION_TOKENS, Ask, find_asks
from medray.knowledge.entities.lexicon import Lexicon
from medray.knowledge.entities.quantities import read_quantities
from medray.knowledge.entities.schema import Unit
from medray.knowledge.entities.tokens import BREAK, Token, tokenize

_NAMED: Final = frozenset({"drug", "drug_class", "finding", "lab", "population"})
_USUAL: Final = "*"
"""Among an abbreviation's cues: this reading holds where no other is supported."""
_ASKED: Final = "\0"  # no lexicon phrase holds it


def parse(text: str, lexicon: Lexicon | None = None) -> list[Unit]:
    """Return the units of `text` in order; they do not overlap, and each word of the text lies in one."""
    return parse_tokens(tokenize(text), lexicon)


def parse_tokens(tokens: list[Token], lexicon: Lexicon | None = None) -> list[Unit]:
    """Return the units of tokens that `tokenize` made; what is asked is read first, its words are no content."""
    lexicon = lexicon or Lexicon.load()
    words = [token.normal for token in tokens]
    asks = find_asks(tokens, _names(words, lexicon)) if len(words) <= MAX_QUESTION_TOKENS else []
    if asks:
        tokens = _asked(tokens, asks, words)
    units: list[Unit] = []
    at = 0
    for first, past, concept in lexicon.matches(words):
        units.extend(map(_plain, tokens[at:first]))
        units.append(Unit(concept.type, concept.normal, tokens[first].start, tokens[past - 1].end))
        at = past
    units.extend(map(_plain, tokens[at:]))
    return read_quantities(_resolved(units, set(words), lexicon))


def _names(words: Sequence[str], lexicon: Lexicon) -> set[int]:
    """Return the places inside names of several words."""
    found: set[int] = set()
    for first, past, concept in lexicon.matches(words):
        if past - first > 1 and concept.type in _NAMED:
            found.update(range(first, past))
    return found


def _asked(tokens: Sequence[Token], asks: Sequence[Ask], words: list[str]) -> list[Token]:
    """Return the tokens with the last word of each ask marked; the others of its words stay as empty ones."""
    marked = list(tokens)
    for ask in asks:
        for place in ask.tokens:
            words[place] = _ASKED
            marked[place] = tokens[place]._replace(normal=_ASKED + (ask.kind if place == ask.tokens[-1] else ""))
    return marked


def _plain(token: Token) -> Unit:
    if token.normal[:1] == _ASKED:
        return Unit("ask", token.normal[1:], token.start, token.end)
    if token.normal == BREAK:
        return Unit("break", BREAK, token.start, token.end)
    return Unit("number" if token.is_number else "word", token.normal, token.start, token.end)


def _resolved(units: list[Unit], words: set[str], lexicon: Lexicon) -> list[Unit]:
    """Give an ambiguous abbreviation the one reading that the text's other words support, or leave it."""
    present = words & lexicon.ambiguous.keys()
    if not present:
        return units
    readings: dict[str, str] = {}
    for abbreviation in present:
        supported = [reading for reading, cues in lexicon.ambiguous[abbreviation] if cues & words]
        supported = supported or [reading for reading, cues in lexicon.ambiguous[abbreviation] if _USUAL in cues]
        if len(supported) == 1:
            readings[abbreviation] = supported[0]
    return [
        Unit("finding", readings[unit.normal], unit.start, unit.end)
        if unit.type == "word" and unit.normal in readings
        else unit
        for unit in units
    ]
