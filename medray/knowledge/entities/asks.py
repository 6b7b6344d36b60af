"""What a question asks: templates over its tokens, longest first.

Tokens go in, the kinds that the question asks and the tokens that say so come out. A template's gaps keep their words
for the lexicons. Pure; the templates are data (`data/ask.yaml`). It does not classify: a question may ask several
things.
"""

import re
from collections.abc import Container, Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from itertools import product
from typing import Final, NamedTuple, TypeAlias

from medray.config import parse_yaml
from medray.knowledge.entities.tokens import BREAK, Token, tokenize

_MAX_GAP: Final = 8
MAX_QUESTION_TOKENS: Final = 64
"""Longer texts are answers or documents: they are not searched for templates."""


_SAME: Final = {"which": "what"}
_PROTECTED: Final = "\1"
_CHOICE: Final = re.compile(r"\[([^\]]*)\]")
_ENDS_GAP: Final = frozenset({"while", "who", "whose", "if", "unless", "although"})
"""They open another clause, whose words answer to no word before it: "can one drink while taking A"."""
_OF_TIME: Final = ("when", "take")


class _Template(NamedTuple):
    kind: str
    parts: tuple[tuple[str, ...], ...]
    size: int


class Ask(NamedTuple):
    """One thing asked, and the indexes of the tokens that ask it."""

    kind: str
    tokens: tuple[int, ...]


_Index: TypeAlias = Mapping[str, Mapping[int, Mapping[tuple[str, ...], tuple[_Template, ...]]]]


@cache
def _templates() -> _Index:
    """Return the templates by their first word, the length of their first part, and that part."""
    text = files("medray.knowledge.entities").joinpath("data/ask.yaml").read_text(encoding="utf-8")
    known: dict[tuple[tuple[str, ...], ...], _Template] = {}
    for kind, lines in parse_yaml(text).items():
        for written in _choices(lines):
            parts = tuple(_words(part) for part in written.split("*") if part.strip())
            if parts:
                known.setdefault(parts, _Template(kind, parts, sum(map(len, parts))))
    index: dict[str, dict[int, dict[tuple[str, ...], tuple[_Template, ...]]]] = {}
    for parts, template in known.items():
        first = parts[0]
        by_part = index.setdefault(first[0], {}).setdefault(len(first), {})
        by_part[first] = (*by_part.get(first, ()), template)
    return index


def _choices(lines: str) -> Iterator[str]:
    """Yield the templates of a group, with each of the words in brackets: `how [often|frequently]`."""
    for written in lines.replace("\n", " ").split(","):
        pieces = _CHOICE.split(written)
        choices = [piece.split("|") if at % 2 else [piece] for at, piece in enumerate(pieces)]
        yield from ("".join(chosen) for chosen in product(*choices))


def _words(part: str) -> tuple[str, ...]:
    """Return the normal forms of a template's part; `$` is the end of the sentence."""
    words = tuple(_SAME.get(token.normal, token.normal) for token in tokenize(part.replace("$", "")))
    return (*words, BREAK) if part.strip().endswith("$") else words


def find_asks(tokens: Sequence[Token], protected: Container[int] = ()) -> list[Ask]:
    """Return what the tokens ask, in order of place; no token counts for two.

    `protected` are places inside names of several words ("hormone replacement therapy"): they ask nothing.
    """
    if len(tokens) > MAX_QUESTION_TOKENS:
        return []
    index = _templates()
    words = [_PROTECTED if at in protected else _SAME.get(t.normal, t.normal) for at, t in enumerate(tokens)] + [BREAK]
    present = set(words)
    found: list[tuple[int, int, Ask]] = []
    for start, word in enumerate(words):
        for length, by_part in index.get(word, {}).items():
            for template in by_part.get(tuple(words[start : start + length]), ()):
                places = _match(words, start, template, present)
                if places:
                    found.append((-template.size, start, Ask(template.kind, places)))
    taken: set[int] = set()
    asks: list[Ask] = []
    for _, _, ask in sorted(found):
        if taken.isdisjoint(ask.tokens):
            taken.update(ask.tokens)
            asks.append(ask)
    return sorted(asks, key=lambda ask: ask.tokens)


def _match(words: Sequence[str], start: int, template: _Template, present: set[str]) -> tuple[int, ...]:
    """Return the places of the template's words, its first part standing at `start`; empty where it does not fit."""
    first, *rest = template.parts
    if not all(part[0] in present for part in rest):
        return ()
    if start and words[start - 1] != BREAK and tuple(words[start : start + 2]) == _OF_TIME:
        return ()  # "when taking A" inside a clause asks nothing
    at = start + len(first)
    places = list(range(start, at))
    for part in rest:
        at = _find(words, part, at)
        if at < 0:
            return ()
        places.extend(range(at, at + len(part)))
        at += len(part)
    return tuple(place for place in places if words[place] != BREAK)


def _find(words: Sequence[str], part: tuple[str, ...], start: int) -> int:
    size = len(part)
    for at in range(start, min(start + _MAX_GAP, len(words) - size) + 1):
        if words[at] == part[0] and tuple(words[at : at + size]) == part:
            return at
        if words[at] == BREAK or words[at] in _ENDS_GAP:
            return -1
    return -1
