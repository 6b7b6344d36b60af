"""The lexicons of the extraction: YAML tables, validated and compiled into one Aho-Corasick automaton.

`Lexicon.load()` reads the packaged tables once; `Lexicon.load(extra=path)` adds a user's own drugs and findings.
Every name goes through the tokenizer that texts go through, so both meet in one form. A name that would mean two
things of one kind is refused. Nothing here reads a question.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

from ahocorasick_rs import AhoCorasick, MatchKind
from pydantic import Field

from medray.config import Config, load, parse_yaml
from medray.errors import ConfigError
from medray.knowledge.entities.schema import UnitType
from medray.knowledge.entities.spelling import parse_table
from medray.knowledge.entities.tokens import tokenize

_TABLES: Final[tuple[tuple[str, str, UnitType], ...]] = (
    # File, key, type; where two tables hold one name, the earlier wins.
    ("drugs", "drugs", "drug"),
    ("drugs", "classes", "drug_class"),
    ("findings", "findings", "finding"),
    ("findings", "measures", "lab"),
    ("context", "route", "route"),
    ("context", "form", "form"),
    ("context", "time", "time"),
    ("context", "population", "population"),
    ("context", "laterality", "laterality"),
    ("context", "relation", "relation"),
    ("context", "negation", "negation"),
    ("context", "direction", "direction"),
    ("context", "type", "type"),
    ("context", "units", "unit"),
)
_CUES: Final[dict[str, UnitType]] = {"diagnostic criterion": "diagnostic_criterion"}
_LEVELS: Final = {"high": ("raised", "elevated"), "low": ()}
_MAX_NAMES: Final = 200_000


class Concept(NamedTuple):
    """What a matched phrase means."""

    type: UnitType
    normal: str


Table: TypeAlias = Mapping[str, Sequence[str]]


class ExtraLexicon(Config):
    """A user's own names: canonical name -> synonyms."""

    drugs: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    classes: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    findings: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    measures: dict[str, tuple[str, ...]] = Field(default_factory=dict)


@dataclass(frozen=True)
class Lexicon:
    """Compiled lexicon: `phrases` maps a phrase (tokens joined by spaces) to its concept; `content_hash` names it."""

    phrases: Mapping[str, Concept]
    ambiguous: Mapping[str, tuple[tuple[str, frozenset[str]], ...]]
    content_hash: str
    automaton: AhoCorasick
    concepts: tuple[Concept, ...]

    @staticmethod
    def load(extra: Path | None = None) -> "Lexicon":
        """Return the packaged lexicon, with the user's names from the YAML file `extra` added.

        Raises ConfigError for an unreadable file, an unknown key, a name without words, or one that already means
        something else of its kind.
        """
        return _packaged() if extra is None else _compile(load(ExtraLexicon, extra))

    def matches(self, words: Sequence[str]) -> Iterator[tuple[int, int, Concept]]:
        """Yield (first word, past last word, concept) for the leftmost longest phrases in `words`."""
        firsts: dict[int, int] = {}
        lasts: dict[int, int] = {}
        at = 0
        for index, word in enumerate(words):
            firsts[at] = index
            at += len(word) + 2
            lasts[at] = index + 1
        text = "".join([f" {word} " for word in words])
        for pattern, start, end in self.automaton.find_matches_as_indexes(text):
            yield firsts[start], lasts[end], self.concepts[pattern]


@cache
def _packaged() -> Lexicon:
    return _compile(ExtraLexicon())


def phrase_key(name: str) -> str:
    """Return the form in which a name is stored and matched."""
    return " ".join(token.normal for token in tokenize(name))


def _compile(extra: ExtraLexicon) -> Lexicon:
    phrases: dict[str, Concept] = {}
    data = {name: _read_yaml(name) for name in ("drugs", "findings", "context")}
    for file, key, unit_type in _TABLES:
        table = parse_table(data[file][key])
        own: Table = getattr(extra, key, {})
        _add(phrases, unit_type, table if key != "findings" else _with_levels(table), key)
        _add(phrases, unit_type, own, f"extra {key}")
    for canonical, synonyms in parse_table(data["context"]["cue"]).items():
        unit_type = _CUES.get(canonical, "contraindication")
        _add(phrases, unit_type, {canonical: synonyms}, "cue")
    for name in _names():
        phrases.setdefault(phrase_key(name), Concept("drug", name))
    if len(phrases) > _MAX_NAMES:
        raise ConfigError(f"lexicon: expected at most {_MAX_NAMES} names, got {len(phrases)}; drop unused ones")
    keys = sorted(phrases)
    return Lexicon(
        phrases=phrases,
        ambiguous=_ambiguous(data["findings"]["ambiguous"]),
        content_hash=_hash(phrases),
        automaton=AhoCorasick(
            [_wrapped(key) for key in keys], matchkind=MatchKind.LeftmostLongest, store_patterns=False
        ),
        concepts=tuple(phrases[key] for key in keys),
    )


def _wrapped(key: str) -> str:
    return "".join(f" {word} " for word in key.split(" "))


def _add(phrases: dict[str, Concept], unit_type: UnitType, table: Table, source: str) -> None:
    """Add a table; within one type a name may stand for one thing only."""
    for canonical, synonyms in table.items():
        concept = Concept(unit_type, canonical)
        for name in (canonical, *synonyms):
            key = phrase_key(name)
            if not key or "\n" in key:
                raise ConfigError(f"lexicon {source}: expected words, got an empty or broken name under '{canonical}'")
            known = phrases.setdefault(key, concept)
            if known != concept and (known.type == unit_type or source.startswith("extra")):
                raise ConfigError(
                    f"lexicon {source}: '{name}' is listed under '{canonical}' "
                    f"and means '{known.normal}' already; keep one"
                )


def _with_levels(table: Table) -> Table:
    """Add to `high potassium` its other wordings: raised, elevated, increased; potassium level."""
    return {
        canonical: list(dict.fromkeys([*names, *(other for name in (canonical, *names) for other in _levels(name))]))
        for canonical, names in table.items()
    }


def _levels(name: str) -> list[str]:
    lacking = name.removesuffix(" deficiency")
    if lacking != name:
        return [f"lack of {lacking}", f"deficiency of {lacking}", f"low {lacking}", f"{lacking} deficient"]
    first, _, measured = name.partition(" ")
    if first not in _LEVELS or not measured:
        return []
    ends = ("",) if measured.endswith(("count", "pressure", "temperature", "level")) else ("", " level")
    return [
        f"{word} {measured}{end}"
        for word in (first, *_LEVELS[first])
        for end in ends
        if f"{word} {measured}{end}" != name
    ]


def _ambiguous(data: Mapping[str, Mapping[str, Iterable[str]]]) -> dict[str, tuple[tuple[str, frozenset[str]], ...]]:
    return {
        abbreviation: tuple(
            (reading, frozenset(phrase_key(cue) or cue for cue in cues)) for reading, cues in readings.items()
        )
        for abbreviation, readings in data.items()
    }


def _names() -> list[str]:
    text = files("medray.knowledge.entities").joinpath("data/drug_names.txt").read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def _read_yaml(name: str) -> dict[str, Any]:
    text = files("medray.knowledge.entities").joinpath(f"data/{name}.yaml").read_text(encoding="utf-8")
    data: dict[str, Any] = parse_yaml(text)
    return data


def _hash(phrases: Mapping[str, Concept]) -> str:
    text = "\n".join(f"{key}\t{concept.type}\t{concept.normal}" for key, concept in sorted(phrases.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
