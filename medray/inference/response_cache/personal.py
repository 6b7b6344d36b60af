"""Whether a question is about a person rather than about medicine (pure rules over English text).

"Can I take X with Y?" is asked by everybody; "I take X", "my", an age with a case, names, dates, contact data and
identifiers belong to somebody. The rules err towards somebody. They know no records and keep nothing.
"""

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from medray.config import parse_yaml

_NAMES: Final = Path(__file__).with_name("names.yaml")


class _Rule(NamedTuple):
    """A pattern, tried only where one of its words (folded) or a digit or `@#` occurs: most questions have none."""

    reason: str
    words: frozenset[str]
    on_digits: bool
    pattern: re.Pattern[str]


def _rule(reason: str, words: str, *patterns: str, flags: re.RegexFlag = re.IGNORECASE) -> _Rule:
    triggers = frozenset(words.split())
    pattern = re.compile("|".join(f"(?:{pattern})" for pattern in patterns), flags)
    return _Rule(reason, triggers - {"0"}, "0" in triggers, pattern)


_MODAL: Final = r"(?:can|could|should|may|might|must|do|did|will|would|shall|need|if|when|how|before|after|while|once)"
# What a person says of themselves; after a modal or "if" these verbs still speak of anybody ("should I have a scan?").
_STATES: Final = (
    r"(?:am|was|were|'?m|'?ve|feel|felt|had|took|weigh|got|get|keep|kept|started|stopped|suffer|noticed|woke|experienced|"
    r"currently|just|recently|already|still|also|now|used to)"
)
_MONTH: Final = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|"
    r"nov(?:ember)?|dec(?:ember)?)"
)
_RELATIVE: Final = (
    r"(?:wife|husband|spouse|partner|son|daughter|mother|father|mom|mum|dad|brother|sister|baby|child|kid|toddler|infant|"
    r"grand\w+|aunt|uncle|niece|nephew|friend|girlfriend|boyfriend|doctor|gp|colleague|neighbou?r)"
)

_RULES: Final = (
    _rule("possessive", "my mine our ours myself ourselves", r"\b(?:my|mine|our|ours|myself|ourselves)\b"),
    _rule(
        "self",
        "i im ive i'm i've i'd i'll",
        rf"\bi\s*{_STATES}\b",
        r"\bive\b",
        r"\b(?:am|was|were|have) i\b",
        r"\bi'(?:m|ve|d|ll)\b",
    ),
    # "im" is a route as well: a person only where a sentence about one begins.
    _rule(
        "self",
        "im",
        r"^im\b(?! injection)",
        r"(?:[.,;!?] ?|\b(?:because|but|cause|if|when|since|and) )"
        r"im (?:\d|(?:an?|on|not|so|very|allergic|pregnant|diabetic|\w+ing)\b)",
    ),
    _rule("self", "i", rf"\b(?!{_MODAL}\b)[a-z']+ i (?:have|take|use|drink|smoke|eat|weigh)\b", r"^\s*i\b"),
    _rule(
        "self",
        "me",
        r"\b(?:for|to|with|on|in|about|harm|hurt|affect|make|makes|give|gave|gives|put|told|prescribed) me\b",
    ),
    _rule(
        "self",
        "we we're we've us",
        r"\bwe(?:'re|'ve| are| have| had| were| got| think| gave| noticed)\b",
        r"\b(?:for|to|give|help|with|of) us\b",
    ),
    _rule(
        "other",
        "he she his him hers himself herself patient her their wife husband spouse partner son daughter mother father "
        "mom mum dad brother sister baby child kid toddler infant aunt uncle niece nephew friend girlfriend boyfriend "
        "doctor gp colleague neighbour neighbor grandmother grandfather grandson granddaughter grandma grandpa",
        r"\b(?:he|she|his|him|hers|himself|herself)\b",
        r"\b(?:this|that|the|your|one) patient\b",
        rf"\b(?:his|her|their|your) {_RELATIVE} (?:is|was|has|had|takes|took|weighs|keeps|got|started)\b",
    ),
    _rule(
        "case",
        "0 aged age old born",
        r"\b\d{1,3}[- ]?(?:year|yr|month|week|day)s?[- ]?old\b.{0,60}\b"
        r"(?:presents?|presented|complain\w*|comes|came|arriv\w+|has been|reports?|"
        r"is brought|was brought|was found|admitted)\b",
        r"\b\d{1,3}\s?(?:yo|y/o|y\.o\.?)\b",
        r"\b(?:aged?|years old|born)\b.{0,20}\b(?:named|called)\b",
    ),
    _rule(
        "time",
        "yesterday today tonight tomorrow this last since on next ago",
        r"\b(?:yesterday|today|tonight|tomorrow|"
        r"this morning|this afternoon|this evening|last (?:night|week|month|year))\b",
        r"\b(?:since|on|last|next|this) (?:mon|tues|wednes|thurs|fri|satur|sun)day\b",
        r"\b(?:minutes?|hours?|days?|weeks?|months?|years?) ago\b",
    ),
    _rule(
        "date",
        "0 born dob birthday birth",
        r"\b\d{1,2}[/.-]\d{1,2}[/.-](?:\d{2}|\d{4})\b",
        r"\b(?:19|20)\d{2}-\d{1,2}-\d{1,2}\b",
        rf"\b\d{{1,2}}(?:st|nd|rd|th)?(?: of)? {_MONTH}\b(?! \d* ?(?:mg|ml|g)\b)",
        rf"\b{_MONTH} \d{{1,2}}(?:st|nd|rd|th)?\b(?!\d)",
        r"\b(?:born (?:on|in)|date of birth|dob|birthday)\b",
    ),
    _rule(
        "identifier",
        "0 http https www mrn ssn nhs record passport insurance",
        r"\w@[\w-]+\.\w",
        r"\b(?:https?://|www\.)\S+",
        r"\b\d{3}[-. ]\d{2,4}[-. ]\d{3,4}\b",
        r"(?<![\d.,])(?:\+\d{1,3}[ -]?)?\(?\d{2,4}\)?(?:[ -]\d{2,4}){2,}(?![\d.,])",
        r"(?<![\d.,])\d{6,}(?![\d.,]|\s?(?:iu|units?|u|cells?|copies|mcg|mg|ml|/))",
        r"\b(?:mrn|ssn|nhs number|medical record|record number|patient (?:id|number|no)|case (?:id|number|no)|passport|"
        r"insurance (?:id|number|no)|room \d+|ward \d+|account (?:id|number|no))\b",
        r"#\s?\d{3,}",
        r"\b(?=[a-z]*\d)(?=\d*[a-z])[a-z]{1,3}\d{5,}[a-z\d]*\b",
    ),
    _rule("name", "named name called signed", r"\b(?:named|my name|name is|patient called|signed)\b"),
    _rule(
        "name",
        "mr mrs ms miss mister dr prof sir madam",
        r"\b(?:Mr|Mrs|Ms|Miss|Mister|Dr|Prof|Sir|Madam)\b\.? ?[A-Z]",
        flags=re.RegexFlag(0),
    ),
)

# A name before these is a condition's or a plant's own name.
_EPONYM: Final = re.compile(
    r"(?:['’]?s)?(?:[ -](?:[A-Z][\w-]+|and|type|\w+ic|\w+al))?[ -]"
    r"(?:diseases?|syndromes?|disorders?|palsy|signs?|tests?|wort|"
    r"dystrophy|an[ae]?emia|tumou?rs?|sarcoma|lymphoma|reflex|fracture|procedure|criteria|scale|score|oesophagus|esophagus|"
    r"contracture|ataxia|thyroiditis|phenomenon|chorea|atrophy|operation|maneuver|manoeuvre|classification|law|stain)\b",
    re.IGNORECASE,
)
_CAPITALISED: Final = re.compile(r"\b[A-Z][a-z]+\b")
_ANY_WORD: Final = re.compile(r"[A-Za-z]+")
_SPLIT: Final = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*")
_DIGIT_LIKE: Final = re.compile(r"[\d@#]")
_ASKING: Final = re.compile(
    r"\b(?:tell|give|show|teach|help|explain to|advise|inform|remind|let) (?:me|us)\b|\bhelp me understand\b|"
    r"^i(?: would|'d) like to (?:know|understand|learn)\b|"
    r"^i (?:want|need|wish) to (?:know|understand|learn)\b|"
    r"^i(?:'m| am) (?:wondering|curious|asking)\b",
    re.IGNORECASE,
)


def personal_reason(question: str) -> str | None:
    """Return why the question is somebody's own ("personal:KIND"), or None if anybody may have asked it."""
    text = _ASKING.sub(" ", question.replace("’", "'").strip())
    words = frozenset(_SPLIT.findall(text.casefold()))
    digits = _DIGIT_LIKE.search(text) is not None
    for rule in _RULES:
        tried = (rule.on_digits and digits) or not rule.words.isdisjoint(words)
        if tried and rule.pattern.search(text):
            return f"personal:{rule.reason}"
    return "personal:name" if _names_somebody(text) else None


def _names_somebody(text: str) -> bool:
    sure, ambiguous = _given_names()
    for found in _ANY_WORD.finditer(text):
        word = found.group()
        known = word.casefold() in sure or (
            word.casefold() in ambiguous and _CAPITALISED.fullmatch(word) is not None and found.start() > 0
        )
        if known and not _EPONYM.match(text, found.end()) and not _inside_eponym(text, found.start()):
            return True
    return False


def _inside_eponym(text: str, start: int) -> bool:
    """Tell whether the word belongs to a hyphenated or sainted name (Louis-Bar, St. John's)."""
    return text[max(0, start - 1) : start] == "-" or text[max(0, start - 4) : start].casefold() in (
        "st. ",
        "st ",
        " st ",
    )


@cache
def _given_names() -> tuple[frozenset[str], frozenset[str]]:
    data = parse_yaml(_NAMES.read_text(encoding="utf-8"))
    sure: Sequence[str] = data["sure"].split()
    ambiguous: Sequence[str] = data["ambiguous"].split()
    return frozenset(sure), frozenset(ambiguous)
