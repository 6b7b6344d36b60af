"""The classifier's keyword lexicon: a YAML file, validated and compiled into phrase matchers.

`load_lexicon` reads the packaged file once. A keyword that would add the same weight to two classes says nothing about
either and is refused, as is one listed twice in a class. Nothing here scores a question.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final, Literal, TypeAlias, get_args

from pydantic import Field

from medray.config import Config, parse_yaml, validate
from medray.errors import ConfigError
from medray.knowledge.tokens import PhraseMatcher, fold_phrase

Category: TypeAlias = Literal["emergency", "medication", "diagnosis", "treatment", "prevention", "general"]
CATEGORIES: Final[tuple[Category, ...]] = get_args(Category)
"""All classes; the order breaks ties: emergency first, because it is the costly miss."""

Kind: TypeAlias = Literal["keyword", "red_flag", "sign"]


class NearRule(Config):
    """A word of `second` at most `within` tokens after one of `first`, in one sentence."""

    first: tuple[str, ...] = Field(min_length=1)
    second: tuple[str, ...] = Field(min_length=1)
    within: int = Field(ge=0, le=20)


class Group(Config):
    """The keywords of one sub-type; `weight` is what one match adds to the class."""

    weight: float = Field(gt=0)
    kind: Kind = "keyword"
    keywords: tuple[str, ...] = ()
    near: tuple[NearRule, ...] = ()


class Negation(Config):
    """Words that negate what follows within `window` tokens, and phrases that only look like them."""

    negators: tuple[str, ...]
    exceptions: tuple[str, ...]
    window: int = Field(ge=1, le=10)


class Context(Config):
    """Phrases that make a red flag a mere topic, and phrases that make it acute again."""

    topic: tuple[str, ...]
    acute: tuple[str, ...]


class LexiconFile(Config):
    """The YAML file as it is written."""

    version: str
    ignored_words: tuple[str, ...]
    negation: Negation
    context: Context
    categories: dict[Category, dict[str, Group]]


@dataclass(frozen=True, slots=True)
class Entry:
    """What a match means: its class, sub-type, weight and kind."""

    category: Category
    subtype: str
    weight: float
    kind: Kind


Side: TypeAlias = tuple[int, bool]
"""(index of a near rule, True for its second list)."""


@dataclass(frozen=True)
class Lexicon:
    """A compiled lexicon: matchers over folded tokens."""

    version: str
    content_hash: str
    ignored: frozenset[str]
    keywords: PhraseMatcher[tuple[Entry, ...]]
    near_words: PhraseMatcher[tuple[Side, ...]]
    near_rules: tuple[tuple[Entry, int], ...]
    context: PhraseMatcher[Literal["topic", "acute"]]
    negation: PhraseMatcher[bool]
    negation_window: int


@cache
def load_lexicon() -> Lexicon:
    """Return the packaged lexicon. Raises ConfigError when the file was edited into something contradictory."""
    return parse_lexicon(files("medray.knowledge").joinpath("lexicon.yaml").read_text(encoding="utf-8"))


def parse_lexicon(text: str) -> Lexicon:
    """Validate and compile a lexicon from YAML text. Raises ConfigError."""
    data = parse_yaml(text)
    if not isinstance(data, dict):
        raise ConfigError(f"lexicon: expected a mapping, got {type(data).__name__}")
    written = validate(LexiconFile, data, source="lexicon")
    if "general" in written.categories:
        raise ConfigError("lexicon: 'general' has no keywords of its own, it means that none matched; remove it")
    ignored = frozenset(fold_phrase(" ".join(written.ignored_words)))
    near_words, near_rules = _compile_near(written, ignored)
    return Lexicon(
        version=written.version,
        content_hash=hashlib.sha256(text.encode()).hexdigest()[:16],
        ignored=ignored,
        keywords=PhraseMatcher(_compile_keywords(written, ignored)),
        near_words=PhraseMatcher(near_words),
        near_rules=near_rules,
        context=PhraseMatcher(_compile_context(written.context)),
        negation=PhraseMatcher(_compile_negation(written.negation)),
        negation_window=written.negation.window,
    )


def _groups(written: LexiconFile) -> Iterator[tuple[Entry, Group]]:
    for category, groups in written.categories.items():
        for subtype, group in groups.items():
            yield Entry(category, subtype, group.weight, group.kind), group


def _compile_keywords(written: LexiconFile, ignored: frozenset[str]) -> dict[tuple[str, ...], tuple[Entry, ...]]:
    table: dict[tuple[str, ...], tuple[Entry, ...]] = {}
    for entry, group in _groups(written):
        for keyword in group.keywords:
            key = _folded(keyword, ignored)
            others = table.get(key, ())
            _check_duplicate(keyword, entry, others)
            table[key] = (*others, entry)
    return table


def _check_duplicate(keyword: str, entry: Entry, others: tuple[Entry, ...]) -> None:
    for other in others:
        if other.category == entry.category:
            raise ConfigError(f"lexicon: '{keyword}' is listed twice in {entry.category} (plurals count as one)")
        if other.weight == entry.weight:
            raise ConfigError(
                f"lexicon: '{keyword}' adds {entry.weight:g} to both {other.category} and {entry.category}; "
                "give it different weights or keep it in one class"
            )


def _compile_near(
    written: LexiconFile, ignored: frozenset[str]
) -> tuple[dict[tuple[str, ...], tuple[Side, ...]], tuple[tuple[Entry, int], ...]]:
    words: dict[tuple[str, ...], tuple[Side, ...]] = {}
    rules: list[tuple[Entry, int]] = []
    for entry, group in _groups(written):
        for near in group.near:
            for is_second, phrases in ((False, near.first), (True, near.second)):
                for phrase in phrases:
                    key = _folded(phrase, ignored)
                    words[key] = (*words.get(key, ()), (len(rules), is_second))
            rules.append((entry, near.within))
    return words, tuple(rules)


def _compile_context(context: Context) -> dict[tuple[str, ...], Literal["topic", "acute"]]:
    table: dict[tuple[str, ...], Literal["topic", "acute"]] = {_folded(phrase): "topic" for phrase in context.topic}
    for phrase in context.acute:
        if _folded(phrase) in table:
            raise ConfigError(f"lexicon: '{phrase}' is both a topic and an acute phrase; keep one")
        table[_folded(phrase)] = "acute"
    return table


def _compile_negation(negation: Negation) -> dict[tuple[str, ...], bool]:
    table = {_folded(phrase): True for phrase in negation.negators}
    table.update({_folded(phrase): False for phrase in negation.exceptions})
    return table


def _folded(phrase: str, ignored: frozenset[str] = frozenset()) -> tuple[str, ...]:
    key = fold_phrase(phrase, ignored)
    if not key or "." in key or "," in key:
        raise ConfigError(f"lexicon: '{phrase}' holds no word to match, or a break mark that ends a phrase")
    return key
