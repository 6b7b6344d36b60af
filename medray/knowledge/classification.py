"""Question classification by weighted keywords (PAPER K1, Eq. 1), in two levels: class and sub-type.

A question goes in, a `Classification` comes out: pure, deterministic, one pass over the tokens. It knows words, not
medicine, and it is wrong at a measured rate: docs/classification.md.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from medray.knowledge.lexicon import CATEGORIES, Category, Entry, Lexicon, load_lexicon
from medray.knowledge.tokens import Token, tokenize

_SCORED = CATEGORIES[:-1]
_ENDS_NEGATION = frozenset({".", ",", "but", "although", "however", "yet", "and"})
_CONTINUES_NEGATION = frozenset({"or", "nor"})


@dataclass(frozen=True, slots=True)
class Classification:
    """The class of a question.

    `scores` holds the points of every class but `general`. `confidence` is the winner's share of all points, in [0, 1]:
    1 when only its keywords occurred, 0 when none did. It is not a probability of being right. `subtype` is the
    sub-type with the most points inside the class, None for `general`.
    """

    category: Category
    confidence: float
    scores: dict[Category, float]
    subtype: str | None = None


class _Hit(NamedTuple):
    entry: Entry
    token: Token


def classify(question: str) -> Classification:
    """Return the class with the most points: C(q) = argmax_c sum_k w_k 1[k in q, k in K_c] (Eq. 1).

    Keywords may be phrases and carry weights (the paper's count is w = 1). No match gives `general` with confidence 0;
    emergency wins ties. An acute sign that is not negated lifts emergency to at least the highest score, so it is never
    lost to another class; asking about such a condition as a topic ("What is a stroke?") does not count.
    """
    return classify_with(load_lexicon(), question)


def classify_with(lexicon: Lexicon, question: str) -> Classification:
    """Classify with a given lexicon; see `classify`."""
    tokens = tokenize(question)
    kept = [token for token in tokens if token.text not in lexicon.ignored]
    negated = _negated_positions(lexicon, tokens)
    is_topic = _TopicFrames(lexicon, tokens)
    points: dict[Category, dict[str, float]] = {category: defaultdict(float) for category in _SCORED}
    sign_seen = False
    for hit in _hits(lexicon, kept):
        if hit.token.position in negated:
            continue
        red_flag = hit.entry.kind == "red_flag" and not is_topic.at(hit.token)
        if hit.entry.kind == "red_flag" and not red_flag:
            continue
        sign_seen = sign_seen or red_flag or hit.entry.kind == "sign"
        points[hit.entry.category][hit.entry.subtype] += hit.entry.weight
    return _decide(points, sign_seen)


def _hits(lexicon: Lexicon, kept: Sequence[Token]) -> Iterator[_Hit]:
    words = [token.text for token in kept]
    for match in lexicon.keywords.find(words):
        for entry in match.value:
            yield _Hit(entry, kept[match.start])
    yield from _near_hits(lexicon, kept, words)


def _near_hits(lexicon: Lexicon, kept: Sequence[Token], words: Sequence[str]) -> Iterator[_Hit]:
    """Yield each near rule at most once: repeating a word must not outvote the rest of the question."""
    firsts: dict[int, list[tuple[int, int]]] = defaultdict(list)
    seconds: dict[int, list[int]] = defaultdict(list)
    for match in lexicon.near_words.find(words):
        for rule, is_second in match.value:
            if is_second:
                seconds[rule].append(match.start)
            else:
                firsts[rule].append((match.start, match.end))
    for rule in firsts.keys() & seconds.keys():
        entry, within = lexicon.near_rules[rule]
        for start, end in firsts[rule]:
            at = bisect_left(seconds[rule], end)
            if at == len(seconds[rule]):
                continue
            second = seconds[rule][at]
            if second - end <= within and kept[second].sentence == kept[start].sentence:
                yield _Hit(entry, kept[start])
                break


def _negated_positions(lexicon: Lexicon, tokens: Sequence[Token]) -> set[int]:
    """Return the positions that a negator reaches; a comma ends its reach, so that a list errs towards alarm."""
    words = [token.text for token in tokens]
    positions: set[int] = set()
    for match in lexicon.negation.find(words):
        left = lexicon.negation_window if match.value else 0
        at = match.end
        while left and at < len(words) and words[at] not in _ENDS_NEGATION:
            positions.add(at)
            left = lexicon.negation_window if words[at] in _CONTINUES_NEGATION else left - 1
            at += 1
    return positions


class _TopicFrames:
    """Where a question speaks of a condition as a topic: after a topic phrase, in a clause without an acute one."""

    def __init__(self, lexicon: Lexicon, tokens: Sequence[Token]) -> None:
        self._first_topic_clause: dict[int, int] = {}
        self._acute_clauses: set[int] = set()
        for match in lexicon.context.find([token.text for token in tokens]):
            token = tokens[match.start]
            if match.value == "acute":
                self._acute_clauses.add(token.clause)
            else:
                self._first_topic_clause.setdefault(token.sentence, token.clause)

    def at(self, token: Token) -> bool:
        started = self._first_topic_clause.get(token.sentence)
        return started is not None and started <= token.clause and token.clause not in self._acute_clauses


def _decide(points: dict[Category, dict[str, float]], sign_seen: bool) -> Classification:
    scores: dict[Category, float] = {category: float(sum(found.values())) for category, found in points.items()}
    if sign_seen:
        scores["emergency"] = max(scores.values())
    total = sum(scores.values())
    if not total:
        return Classification("general", 0.0, scores)
    # max keeps the first of equals: CATEGORIES' order breaks ties.
    category = max(_SCORED, key=scores.__getitem__)
    found = points[category]
    return Classification(category, scores[category] / total, scores, max(found, key=found.__getitem__))
