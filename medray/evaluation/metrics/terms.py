"""Lexicons with further names: a YAML lexicon of one's own, or a table of terms and synonyms (medquad_terms).

A table's row is one concept under its term. Where one of its names already has a meaning in the packaged lexicon, the
row's other names take that meaning, so that "heart attack" from a table and "myocardial infarction" from the package
are one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from ahocorasick_rs import AhoCorasick, MatchKind

from medray.errors import DataError
from medray.knowledge.entities import EntityType, Lexicon
from medray.knowledge.entities.lexicon import Concept, phrase_key

_TABLES: Final = frozenset({".parquet", ".jsonl"})
_LEAST_LETTERS: Final = 3
_UNIFIED: Final[frozenset[str]] = frozenset({"drug", "drug_class", "finding", "lab"})


def load_lexicon(path: str) -> Lexicon:
    """Return the packaged lexicon with the names of a file; "" is the packaged one alone.

    Raises DataError or ConfigError when the file cannot be used.
    """
    if not path:
        return Lexicon.load()
    place = Path(path)
    if place.suffix not in _TABLES:
        return Lexicon.load(extra=place)
    return with_terms(Lexicon.load(), _rows(place))


def with_terms(lexicon: Lexicon, rows: Iterable[Mapping[str, Any]]) -> Lexicon:
    """Return a lexicon with the rows' names (`term`, `synonyms`); rows that are no drug or disorder are left out."""
    phrases = dict(lexicon.phrases)
    for row in rows:
        kind = _type_of(row)
        keys = [key for name in (row["term"], *(row.get("synonyms") or ())) if (key := _key(str(name)))]
        if kind is None or not keys:
            continue
        known = {lexicon.phrases[key] for key in keys if key in lexicon.phrases}
        meanings = {concept for concept in known if concept.type in _UNIFIED}
        concept = meanings.pop() if len(meanings) == 1 else Concept(kind, str(row["term"]).casefold())
        for key in keys:
            phrases.setdefault(key, concept)
    keys = sorted(phrases)
    # The form in which `Lexicon.matches` spells a text: each word between blanks.
    patterns = ["".join(f" {word} " for word in key.split(" ")) for key in keys]
    automaton = AhoCorasick(patterns, matchkind=MatchKind.LeftmostLongest, store_patterns=False)
    concepts = tuple(phrases[key] for key in keys)
    return replace(lexicon, phrases=phrases, automaton=automaton, concepts=concepts)


def _rows(path: Path) -> list[Mapping[str, Any]]:
    import json

    from pyarrow import ArrowException, parquet

    try:
        if path.suffix == ".parquet":
            found: list[Mapping[str, Any]] = parquet.read_table(path).to_pylist()
        else:
            found = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        return [row for row in found if row["term"]]
    except (OSError, ValueError, KeyError, TypeError, ArrowException) as error:
        raise DataError(f"{path}: expected rows with term and synonyms, got {type(error).__name__}") from None


def _type_of(row: Mapping[str, Any]) -> EntityType | None:
    if row.get("semantic_group") == "Disorders" or row.get("category") == "Disease":
        return "finding"
    if row.get("category") == "Drug" or row.get("semantic_group") == "Chemicals & Drugs":
        return "drug"
    own = row.get("type")
    return own if own in _UNIFIED else None


def _key(name: str) -> str:
    key = phrase_key(name)
    letters = sum(letter.isalpha() for letter in key)
    return key if letters >= _LEAST_LETTERS and "\n" not in key else ""
