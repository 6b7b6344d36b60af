"""A question as a list of items: what is left once courtesy and grammar are gone.

Text goes in; items (type, canonical key) come out in order, each with the little words that stood before it, which say
its role: `for asthma`, `with asthma`, `from asthma`. `A of B` is read as `B A`. Pure.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from medray.inference.response_cache.equivalence.vocabulary import in_plain_words, vocabulary, without_courtesy
from medray.knowledge.entities import BREAK, Lexicon, Token, Unit, parse_tokens, tokenize

QUESTION_WORDS: Final = frozenset({"how", "why", "when", "where", "who", "what", "which", "whose"})
_AUXILIARIES: Final = frozenset(
    {"be", "do", "can", "could", "should", "would", "will", "may", "might", "must", "have", "shall"}
)
_LEAVE: Final = frozenset({"can", "may", "could"})
_RELATIVE: Final = frozenset({"when", "which", "who", "what", "whose"})
"""Asking at the start of a clause, mere joints inside one."""
_NOUNS: Final = frozenset({"word", "drug", "drug_class", "finding", "lab", "dose", "number", "form"})
_PRONOUNS: Final = {"he": "male", "him": "male", "his": "male", "she": "female", "her": "female"}


_RAISED: Final = {"high": "increase", "low": "decrease"}
_SHORTEST_ADVERB: Final = 7
_TYPED: Final = frozenset({"type 1 diabetes", "type 2 diabetes"})
_AFTER_LEFT: Final = frozenset({"in", "on", "at", "for", "after", "alone"})
_DOCTORS_DO: Final = frozenset({"do", "would", "by", "can", "should", "will", "may", "could"})
_TAGGED: Final = frozenset({"it", "they", "he", "she", "there", "you", "that"})
_ORDERS: Final = frozenset({"list", "name", "state", "outline"})
"""First words that ask for what follows: "name the stages of A"."""
_WHETHER: Final = ("be it true", "be it right", "be it correct", "be it so", "true that", "be it case", "be it fact")


class Item(NamedTuple):
    """One element of a question; `before` are the grammar words since the previous item."""

    type: str
    key: str
    before: tuple[str, ...]


def items_of(question: str, lexicon: Lexicon | None = None) -> list[Item]:
    """Return the items of a question, in order."""
    whole = _asked_not_ordered(in_plain_words(_without_tag(tokenize(question))))
    tokens = without_courtesy(whole)
    units = parse_tokens(tokens, lexicon)
    units = _shared_type(units)
    form = _form([token.normal for token in tokens])
    if form == "open" and " ".join([token.normal for token in whole[:4]]).startswith(_WHETHER):
        form = "polar"
    items: list[Item] = []
    before: list[str] = []
    at = 0
    while at < len(units):
        unit = units[at]
        if unit.type == "break" or (unit.type == "ask" and not unit.normal):
            before.append(unit.normal)
            at += 1
            continue
        if unit.type in ("word", "form", "unit", "direction", "type", "finding", "lab"):
            phrase, past = _synonym(units, at)
            if phrase == "doctor" and _DOCTORS_DO & set(before[-1:]):
                at = past  # it goes without saying who prescribes and diagnoses
                continue
            if phrase is not None:
                items.append(Item("word", phrase, tuple(before)))
                before, at = [], past
                continue
        at += 1
        if unit.type in ("word", "unit"):
            if _is_grammar(unit.normal, before, first=not items):
                before.append(unit.normal)
                continue
            items.append(_word(unit.normal, before))
        elif unit.type == "ask":
            items += _asks(unit.normal, tuple(before))
        else:
            items.append(Item(unit.type, unit.normal, tuple(before)))
        before = []
    items.append(Item("end", form, tuple(before)))
    return _compounds(_passive(_named_once(items)))


def _asked_not_ordered(tokens: list[Token]) -> list[Token]:
    """Read "name the stages of A" as "what are the stages of A"."""
    if tokens and tokens[0].normal in _ORDERS:
        return [tokens[0]._replace(normal="what"), *tokens[1:]]
    return tokens


def _asks(kind: str, before: tuple[str, ...]) -> list[Item]:
    """Return the items of what is asked; "what does A do to B" is how A affects B."""
    if kind == "effect_on":
        return [Item("ask", "how", before), Item("word", "affect", ())]
    return [Item("direction" if n else "ask", part, before) for n, part in enumerate(kind.split("+"))]


def _is_grammar(word: str, before: Sequence[str], *, first: bool) -> bool:
    if word in _RELATIVE and not first and not (before and before[-1] == BREAK):
        return True
    if word == "like" and not first and not before:
        return False  # "Larsen-like syndrome"
    return word in vocabulary().grammar and word not in _PRONOUNS


def _word(word: str, before: Sequence[str]) -> Item:
    sex = _PRONOUNS.get(word)
    if sex:
        return Item("pronoun", sex, tuple(before))
    adverb = word.endswith("ally") and len(word) > _SHORTEST_ADVERB
    return Item("word", word.removesuffix("ly") if adverb else word, tuple(before))


def _passive(items: list[Item]) -> list[Item]:
    """Read "is raised by" as what raises, not as what is high; "is left by" as what leaves, not as a side."""
    out: list[Item] = []
    for item, follows in zip(items, [*items[1:], items[-1]], strict=True):
        if item.type == "direction" and item.key in _RAISED and "by" in follows.before:
            out.append(item._replace(key=_RAISED[item.key]))
        elif item.key == "left" and (
            "by" in follows.before or ("be" in item.before and _AFTER_LEFT & set(follows.before))
        ):
            out.append(item._replace(type="word", key="leave"))
        else:
            out.append(item)
    return out


def _shared_type(units: Sequence[Unit]) -> list[Unit]:
    """Give `type 1 and type 2 diabetes` the noun that it writes once."""
    out = list(units)
    for at in range(len(out) - 3):
        kind, number, joint, named = out[at : at + 4]
        whole = f"type {number.normal} diabetes"
        if kind.normal == "type" and number.type == "number" and named.type == "finding" and named.normal in _TYPED:
            out[at : at + 2] = [Unit("finding", whole, kind.start, number.end)]
            return _shared_type(out) if joint.type == "word" else list(units)
    return out


def _without_tag(tokens: list[Token]) -> list[Token]:
    """Leave out a tag and the negation that it answers: "it is not contagious, is it?"."""
    words = [token.normal for token in tokens if token.normal != BREAK]
    if len(words) < 5 or words[-1] not in _TAGGED or words[-2] not in _AUXILIARIES or "not" not in words[:-2]:
        return tokens
    last = [at for at, token in enumerate(tokens) if token.normal != BREAK][-2]
    if tokens[last - 1].normal != BREAK:
        return tokens
    denied = next(at for at, token in enumerate(tokens) if token.normal == "not")
    # What is left reads as a statement; the question is whether it is so.
    return [tokens[last], *tokens[:denied], *tokens[denied + 1 : last - 1]]


def _named_once(items: list[Item]) -> list[Item]:
    """Drop a name that only repeats the one before it: "SLE (lupus)", "exenatide (Byetta)"."""
    return [
        item
        for before, item in zip([None, *items], items, strict=False)
        if not (before and item.type in _NOUNS and (item.type, item.key) == (before.type, before.key))
    ]


def _form(words: Sequence[str]) -> str:
    """Return `polar` for a question to answer with yes or no, `may` where it asks leave, `open` for any other."""
    starts = [word for at, word in enumerate(words) if word != BREAK and (not at or words[at - 1] == BREAK)]
    if any(word in QUESTION_WORDS for word in starts):
        return "open"
    leading = next((word for word in starts if word in _AUXILIARIES), "")
    if not leading:
        return "open"
    return "may" if leading in _LEAVE else "polar"


def _compounds(items: list[Item]) -> list[Item]:
    """Put `edema of ankle` in the order of `ankle edema`, so that both read alike."""
    out: list[Item] = []
    for item in items:
        if item.key == "level" and out and out[-1].type == "lab" and item.before in ((), ("of",)):
            continue  # the measurement is the level
        named = bool(out) and item.type in _NOUNS and out[-1].type in _NOUNS
        if named and item.before == ("of",):
            head = out.pop()
            out += [item._replace(before=head.before), head._replace(before=())]
        else:
            out.append(item)
    return out


def _synonym(units: Sequence[Unit], at: int) -> tuple[str | None, int]:
    """Return the canonical form of the longest phrase of plain words from `at`, and the place past it."""
    known = vocabulary()
    if units[at].type != "word":
        return None, at
    past = at
    while past < len(units) and past - at < known.longest and units[past].type == "word":
        past += 1
    while past > at:
        canonical = known.synonyms.get(" ".join([unit.normal for unit in units[at:past]]))
        if canonical is not None:
            return canonical, past
        past -= 1
    return None, at
