"""The word lists of the equivalence rules: courtesy, grammar, synonyms; compiled once from `words.yaml`.

Tokens go in, tokens in plain words and without courtesy come out; a word goes in, its canonical form (or nothing)
comes out. Pure.
"""

from collections.abc import Iterator, Sequence
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
    rewrites: AhoCorasick
    rewritten: tuple[tuple[str, ...], ...]
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
    rewrites = {
        _key(phrase): tuple(_key(plain).split())
        for plain, phrases in parse_table(data["rewrites"]).items()
        for phrase in phrases
    }
    return Vocabulary(
        grammar=frozenset(_key(word) for word in _phrases(data["function"])) | {"one"},  # by itself it is read as 1
        synonyms=synonyms,
        longest=max(len(key.split(" ")) for key in synonyms),
        courtesy=_automaton(courtesy),
        rewrites=_automaton(list(rewrites)),
        rewritten=tuple(rewrites.values()),
        procedures=frozenset(_phrases(data["procedures"])),
        symptoms=frozenset(_phrases(data["symptoms"])),
    )


def in_plain_words(tokens: Sequence[Token]) -> list[Token]:
    """Return the tokens with roundabout phrases put plainly: "is it possible to" as "can you"."""
    out: list[Token] = []
    at = 0
    for pattern, first, past in _places(vocabulary().rewrites, tokens):
        here = tokens[first]
        out += tokens[at:first]
        out += [here._replace(normal=word, end=tokens[past - 1].end) for word in vocabulary().rewritten[pattern]]
        at = past
    return [*out, *tokens[at:]]


def without_courtesy(tokens: Sequence[Token]) -> list[Token]:
    """Return the tokens that are not part of a courtesy phrase."""
    dropped = {at for _, first, past in _places(vocabulary().courtesy, tokens) for at in range(first, past)}
    return [token for index, token in enumerate(tokens) if index not in dropped]


def _places(automaton: AhoCorasick, tokens: Sequence[Token]) -> Iterator[tuple[int, int, int]]:
    """Yield (pattern, first token, past last token) for the leftmost longest phrases."""
    ends = [0]
    for token in tokens:
        ends.append(ends[-1] + len(token.normal) + 2)
    text = "".join([f" {token.normal} " for token in tokens])
    place = {end: index for index, end in enumerate(ends)}
    for pattern, start, end in automaton.find_matches_as_indexes(text):
        yield pattern, place[start], place[end]


def _automaton(keys: Sequence[str]) -> AhoCorasick:
    return AhoCorasick(list(map(_wrapped, keys)), matchkind=MatchKind.LeftmostLongest, store_patterns=False)


def _phrases(text: str) -> list[str]:
    return [phrase.strip() for phrase in text.replace("\n", " ").split(",")]


def _key(phrase: str) -> str:
    return " ".join(token.normal for token in tokenize(phrase))


def _wrapped(key: str) -> str:
    return "".join(f" {word} " for word in key.split(" "))
