"""The word lists of the equivalence rules: courtesy, grammar, synonyms; compiled once from `words.yaml`.

Tokens go in, tokens without courtesy come out; a word goes in, its canonical form (or nothing) comes out. Pure.
"""

from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Final, NamedTuple

from ahocorasick_rs import AhoCorasick, MatchKind

from medray.config import parse_yaml
from medray.knowledge.entities import Token, tokenize
from medray.knowledge.entities.spelling import parse_table

_PACKAGE: Final = "medray.inference.response_cache.equivalence"


class Vocabulary(NamedTuple):
    """Compiled lists; `synonyms` maps phrases (words joined by spaces) to canonical forms.

    `procedures` and `symptoms` are canonical findings that are no disease.
    """

    grammar: frozenset[str]
    synonyms: dict[str, str]
    longest: int
    courtesy: AhoCorasick
    procedures: frozenset[str]
    symptoms: frozenset[str]


@cache
def vocabulary() -> Vocabulary:
    """Return the packaged lists."""
    data = parse_yaml(files(_PACKAGE).joinpath("words.yaml").read_text(encoding="utf-8"))
    synonyms = {
        _key(name): canonical
        for canonical, names in parse_table(data["synonyms"]).items()
        for name in (canonical.replace("_", " "), *names)
    }
    courtesy = sorted({_key(phrase) for phrase in _phrases(data["courtesy"])} - {""})
    return Vocabulary(
        grammar=frozenset(_key(word) for word in _phrases(data["function"])) | {"one"},  # by itself it is read as 1
        synonyms=synonyms,
        longest=max(len(key.split(" ")) for key in synonyms),
        courtesy=AhoCorasick(list(map(_wrapped, courtesy)), matchkind=MatchKind.LeftmostLongest, store_patterns=False),
        procedures=frozenset(_phrases(data["procedures"])),
        symptoms=frozenset(_phrases(data["symptoms"])),
    )


def without_courtesy(tokens: Sequence[Token]) -> list[Token]:
    """Return the tokens that are not part of a courtesy phrase."""
    ends = [0]
    for token in tokens:
        ends.append(ends[-1] + len(token.normal) + 2)
    text = "".join([f" {token.normal} " for token in tokens])
    dropped: set[int] = set()
    place = {end: index for index, end in enumerate(ends)}
    for _, start, end in vocabulary().courtesy.find_matches_as_indexes(text):
        dropped.update(range(place[start], place[end]))
    return [token for index, token in enumerate(tokens) if index not in dropped]


def _phrases(text: str) -> list[str]:
    return [phrase.strip() for phrase in text.replace("\n", " ").split(",")]


def _key(phrase: str) -> str:
    return " ".join(token.normal for token in tokenize(phrase))


def _wrapped(key: str) -> str:
    return "".join(f" {word} " for word in key.split(" "))
