"""What a question asks: templates over its tokens, longest first.

Tokens go in, the kinds that the question asks and the tokens that say so come out. A template's gaps keep their words
for the lexicons. Pure; the templates are data (`data/ask.yaml`). It does not classify: a question may ask several things.
"""

from collections import defaultdict
from collections.abc import Container, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Final, NamedTuple

from medray.config import parse_yaml
from medray.knowledge.entities.tokens import BREAK, Token, tokenize

_MAX_GAP: Final = 8
MAX_QUESTION_TOKENS: Final = 128
"""Longer texts are answers or documents: they are not searched for templates."""


_SAME: Final = {"which": "what"}
_PROTECTED: Final = "\1"


class _Template(NamedTuple):
    kind: str
    parts: tuple[tuple[str, ...], ...]
    size: int


class Ask(NamedTuple):
    """One thing asked, and the indexes of the tokens that ask it."""

    kind: str
    tokens: tuple[int, ...]


@cache
def _templates() -> Mapping[str, tuple[_Template, ...]]:
    """Return the templates by their first word, those with most words first."""
    text = files("medray.knowledge.entities").joinpath("data/ask.yaml").read_text(encoding="utf-8")
    table: dict[str, dict[tuple[tuple[str, ...], ...], _Template]] = defaultdict(dict)
    for kind, lines in parse_yaml(text).items():
        for written in lines.replace("\n", " ").split(","):
            parts = tuple(_words(part) for part in written.split("*") if part.strip())
            if parts:
                template = _Template(kind, parts, sum(map(len, parts)))
                table[parts[0][0]].setdefault(parts, template)
    return {word: tuple(sorted(found.values(), key=lambda t: -t.size)) for word, found in table.items()}


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
    templates = _templates()
    words = [_PROTECTED if at in protected else _SAME.get(t.normal, t.normal) for at, t in enumerate(tokens)] + [BREAK]
    found: list[tuple[int, int, Ask]] = []
    for start, word in enumerate(words):
        for template in templates.get(word, ()):
            places = _match(words, start, template)
            if places:
                found.append((-template.size, start, Ask(template.kind, places)))
    taken: set[int] = set()
    asks: list[Ask] = []
    for _, _, ask in sorted(found):
        if taken.isdisjoint(ask.tokens):
            taken.update(ask.tokens)
            asks.append(ask)
    return sorted(asks, key=lambda ask: ask.tokens)


def _match(words: Sequence[str], start: int, template: _Template) -> tuple[int, ...]:
    """Return the places of the template's words from `start`, empty where it does not fit."""
    first = template.parts[0]
    size = len(first)
    if tuple(words[start : start + size]) != first:
        return ()
    places = list(range(start, start + size))
    at = start + size
    for part in template.parts[1:]:
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
        if words[at] == BREAK:
            return -1
    return -1
