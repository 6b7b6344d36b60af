"""Text to tokens: raw pieces with their place, and their normal forms.

Words, numbers (thousands separators folded, numbers in words read), a dash between numbers, any other sign that is not
typography (% / < ↑) and breaks (. , ; : ? ! brackets). Articles and possessives are left out, unless a lone `a` or `i`
names something ("vitamin A", "type I"). Offsets are into the text as given. Pure.
"""

import re
from typing import Final, NamedTuple

from medray.knowledge.entities.particles import (
    CAPITALS,
    CLOSING,
    COUNTED,
    DETERMINERS,
    LETTERED,
    LISTED,
    NUMBERED,
    PRONOUN_ONE,
    ROMAN,
    SCALES,
    SMALL,
    TIME_UNITS,
)
from medray.knowledge.entities.spelling import normal_forms

_TOKEN: Final = re.compile(
    r"(?P<dotted>\b(?:[^\W\d_]\.){2,})"
    r"|(?P<word>[^\W\d_]+(?:[0-9][^\W_]*|(?:['’‘ʼ][^\W\d_]+)*))"
    r"|(?P<ordinal>\d+(?=(?i:st|nd|rd|th)\b))(?i:st|nd|rd|th)"
    r"|(?P<number>(?:(?<![\w)\]])[-−](?=\.?\d))?(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?(?!\d)|\d+(?:\.\d+)?|\.\d+))"
    r"|(?P<dash>(?<=\d)\s?[-–—]\s?(?=[\d.]))"
    r"|(?P<stop>(?:(?<!\s[^\W\d_])\.|[,;:?!()\[\]{}\n])[.,;:?!()\[\]{}\n]*)"
    r"|(?P<sign>[^\w\s.\"'“”‘’´`\-–—…*~|\\#@•·])",
)
_SIGNS: Final = {"&": "and", "½": "0.5", "¼": "0.25", "¾": "0.75", "°": "degree", "%": "percent"}
_ORDINALS: Final = {"1st": "first", "2nd": "second", "3rd": "third"}
BREAK: Final = "\n"
"""The normal form of a break."""


class Token(NamedTuple):
    """One normal form and where its raw piece stands: text[start:end]."""

    normal: str
    start: int
    end: int
    is_number: bool = False


def tokenize(text: str) -> list[Token]:
    """Return the tokens of `text` in order; see the module."""
    raw = _raw(text)
    kept: list[Token] = []
    at = 0
    while at < len(raw):
        token = raw[at]
        if token.normal in SMALL and not _is_pronoun(raw, at):
            number, at = _spelled_number(raw, at)
            kept.append(number)
            continue
        if token.normal in ROMAN and kept and kept[-1].normal in NUMBERED:
            token = token._replace(normal=ROMAN[token.normal], is_number=True)
        elif token.normal in DETERMINERS or token.normal == "a":
            token = _article(raw, at, kept)
        if token.normal:
            kept.append(token)
        at += 1
    return kept


def _raw(text: str) -> list[Token]:
    tokens: list[Token] = []
    for match in _TOKEN.finditer(text):
        start, end = match.span()
        kind = match.lastgroup
        piece = match[0]
        if kind == "word":
            for form in CAPITALS.get(piece) or normal_forms(piece):
                tokens.append(Token(form, start, end))  # noqa: PERF401 - a generator costs more here
        elif kind == "dotted":
            tokens.append(Token(piece.replace(".", "").casefold(), start, end))
        elif kind == "number":
            tokens.append(Token(_number(piece), start, end, is_number=True))
        elif kind == "stop":
            tokens.append(Token(BREAK, start, end))
        elif kind == "dash":
            tokens.append(Token("-", start, end))
        elif kind == "ordinal":
            tokens.append(Token(_ORDINALS.get(piece.lower(), piece.lower()), start, end))
        else:
            normal = _SIGNS.get(piece, piece)
            tokens.append(Token(normal, start, end, is_number=normal[0] == "0"))
    return _joined(tokens)


def _joined(tokens: list[Token]) -> list[Token]:
    """Leave out the comma inside a name that is a list: "hand, foot and mouth disease"."""
    return [
        token
        for at, token in enumerate(tokens)
        if not (
            token.normal == BREAK
            and 0 < at < len(tokens) - 1
            and (tokens[at - 1].normal, tokens[at + 1].normal) in LISTED
        )
    ]


def _number(piece: str) -> str:
    """Return one spelling of a number: 1,000.50 -> 1000.5; .5 -> 0.5."""
    if piece[0] in "-−":
        return "-" + _number(piece[1:])
    whole, dot, fraction = piece.replace(",", "").partition(".")
    whole = whole.lstrip("0") or "0"
    fraction = fraction.rstrip("0")
    return f"{whole}.{fraction}" if dot and fraction else whole


def _next(raw: list[Token], at: int) -> str:
    return raw[at + 1].normal if at + 1 < len(raw) else BREAK


def _article(raw: list[Token], at: int, kept: list[Token]) -> Token:
    """Return the article's token: as `a` before a unit of time ("a day") or where it is a letter, else empty."""
    token, follows = raw[at], _next(raw, at)
    if token.normal in ("a", "an") and follows in TIME_UNITS:
        return token._replace(normal="a")
    if token.normal == "a" and kept:
        before = kept[-1].normal
        if before in LETTERED or follows == BREAK or follows in CLOSING:
            return token
    return token._replace(normal="")


def _is_pronoun(raw: list[Token], at: int) -> bool:
    if raw[at].normal != "one" or not at:
        return False
    return raw[at - 1].normal in PRONOUN_ONE and _next(raw, at) not in COUNTED | TIME_UNITS


def _spelled_number(raw: list[Token], at: int) -> tuple[Token, int]:
    """Read a number in words from `at`: "two hundred and fifty" -> 250."""
    start = raw[at].start
    total, current = 0, 0
    end = raw[at].end
    previous_tens = False
    while at < len(raw):
        word = raw[at].normal
        if word in SMALL:
            if current % 10 if previous_tens else current % 100:
                break
            current += SMALL[word]
            previous_tens = 20 <= SMALL[word] <= 90
        elif word in SCALES:
            current = (current or 1) * SCALES[word]
            if SCALES[word] > 100:
                total, current = total + current, 0
            previous_tens = False
        elif not (word == "and" and current >= 100 and _next(raw, at) in SMALL):
            break
        end = raw[at].end
        at += 1
    return Token(str(total + current), start, end, is_number=True), at
