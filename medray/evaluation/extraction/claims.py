"""The sentences of an answer that choose an option, each with how plainly it does so.

Claims of others ("many students say"), of other cases ("if he had ..., it would be"), questions and negations are none.
Text without markup goes in; what the claims say together is settled in `decision`.
"""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from medray.evaluation.extraction.options import OptionReader, Reading
from medray.evaluation.extraction.plain import CLOSE_BOX, OPEN_BOX

FINAL, MARKED, STATED, IMPLIED, LEADING = 4, 3, 2, 1, 0
"""Ranks: "final answer", a box or a field, "the answer is", "the best drug is", an option that stands first."""

_SUBJECT: Final = re.compile(
    r"(?P<final>\bfinal\s+)?\b(?:(?P<answer>answers?|ans|solution|réponse|reponse|respuesta|antwort|risposta|resposta)|choice|option)\b"
    r"(?!\s+(?:choices|options|the|with|this|only|each|any|all|by|using|keys?)\b)|答案",
    re.IGNORECASE,
)
_COPULA: Final = re.compile(
    r"\b(?:is|are|was|be|es|est|ist|é|è)\b|[:=→是为]|[ \t][-–—][ \t]|\A[ \t]*\n\s*|\A's\b", re.IGNORECASE
)
_ADVERBS: Final = re.compile(
    r"(?:\s*(?:[:=→]|[-–—](?=\s)|\b(?:therefore|thus|likely|probably|clearly|indeed|definitely|actually|simply|then|hence|"
    r"obviously|in fact|as follows|to)\b))*\s*",
    re.IGNORECASE,
)
_NEGATION: Final = re.compile(r"\s*(?:not|never|neither|nor|cannot|n't)\b", re.IGNORECASE)
_DENIED: Final = re.compile(r"n't\b|\b(?:not|never|cannot)\b", re.IGNORECASE)
_BUT: Final = re.compile(r"\s*not\b[^.;?!\n]{0,60}?\b(?:but(?: rather)?|rather)\b\s*", re.IGNORECASE)
_STOP: Final = re.compile(r"[.;?!](?=\s|\Z)")
_SPAN: Final = 80
_CLAUSE: Final = 400  # characters before a claim in which it may be said whose it is

_PREDICATE: Final = re.compile(
    r"\s+(?:is|would be|must be|has to be|seems(?: to be)?|appears(?: to be)?|remains)\s+"
    r"(?:(?:therefore|thus|clearly|indeed|definitely|probably|in fact)\s+)*(?:the\s+)?(?:(?:only|single|one)\s+)?"
    r"(?:(?P<right>correct|right|true)|most\s+(?:likely|appropriate|suitable|accurate)|best|preferred)\b(?!\s+for\b)",
    re.IGNORECASE,
)
_CLAUSE_START: Final = re.compile(
    r"(?:[.;:!?,\n]\s*|\b(?:so|thus|therefore|hence|then|only|clearly|and|but|because|since|that|while)\b,?\s+)", re.I
)
_PATTERNS: Final[tuple[tuple[re.Pattern[str], int], ...]] = tuple(
    (re.compile(pattern, re.IGNORECASE | re.MULTILINE), rank)
    for pattern, rank in (
        (
            r"\bi(?:'d|'ll|'m| am| would| will| must| have to)?\s+(?:therefore\s+|thus\s+|then\s+)?"
            r"(?:choose|pick|select|go with|going with|say|answer|opt for|vote for|think|believe)\b"
            r"\s*(?:it is|it's|that it is)?\s*:?",
            STATED,
        ),
        (r"^(?:correct|response|prediction)\s*[:=]", STATED),
        (
            r"(?:^|[.\n;,])\s*(?:so|therefore|thus|hence|consequently|in conclusion|in summary|conclusion)\b\s*[,:]?",
            IMPLIED,
        ),
        (r"\bit(?:'s| is| must be| has to be| would be| should be)\s+(?:therefore\s+|thus\s+|probably\s+)?", IMPLIED),
        (r"\b(?:leaving|leaves|left with)\b\s*(?:us\s+with\s+|me\s+with\s+|only\s+|just\s+)*", IMPLIED),
        (
            r"\b(?:most\s+\w+|best|correct|right|ideal|preferred|first[- ]line|first\s+(?:thing|step|choice|treatment)|"
            r"next\s+step|closest)\b[^.;:?!\n]{0,70}?\b(?:is|would be|should be|must be|will be)\b",
            IMPLIED,
        ),
    )
)
_BOX: Final = re.compile(rf"{OPEN_BOX}([^{CLOSE_BOX}]*){CLOSE_BOX}")
_FIELD: Final = re.compile(
    r"[\"'](?:final_?answer|correct_?(?:answer|option|choice)|answer|choice|option|letter|prediction)[\"']\s*:\s*"
    r"(?:\"(?P<text>[^\"]*)\"|'(?P<quoted>[^']*)'|(?P<other>\[[^\]]*\]|null|none|[\d.]+))",
    re.IGNORECASE,
)
_VERDICT: Final = re.compile(
    r"(?:[-–—:,(]\s*|\b(?:is|are)\s+)(?:also\s+)?(?:the\s+)?(?P<word>correct|right|true|yes)\b"
    r"(?=\s*(?:[.,;:)!\n]|answer|choice|option|one|\Z))",
    re.IGNORECASE,
)
_ATTRIBUTED: Final = re.compile(
    r"\b(?:some|many|most|other|others|several|few|certain|students?|people|candidates|textbooks?|colleagues?)\b"
    r"[^.;]*\b(?:say|think|argue|choose|pick|believe|claim|answer|answered|suggest|consider)s?\b"
    r"|\b(?:one|you|we|someone)\s+(?:might|may|could|would)\b|\bcommon (?:mistake|error|misconception)|\btempt"
    r"|\b(?:your|his|her|their|teacher's|student's)\s*(?:\w+\s*){0,2}$",
    re.IGNORECASE,
)
_REJECTED: Final = re.compile(
    r"\W*\b(?:that|this|which|it)(?:'s| is| was| would be)\s+(?:wrong|incorrect|false|not (?:correct|right|true))\b",
    re.IGNORECASE,
)
_CONDITION: Final = re.compile(r"\b(?:if|suppose|supposing|assuming|had|were)\b", re.IGNORECASE)
_COUNTER: Final = re.compile(r"\b(?:would|could|might)\b", re.IGNORECASE)
_FORCED: Final = re.compile(r"\bif (?:i|forced|pressed|one) (?:had|have|must|were)?\s*(?:to|forced)?", re.IGNORECASE)
_REST: Final = re.compile(r"[^.!?\n]*([.!?\n]|\Z)")
_RESET: Final = re.compile(r"\b(?:but|however|though|so|therefore|thus|hence|here)\b", re.IGNORECASE)


class Claim(NamedTuple):
    """One option claimed: its place as shown (None: no single one), rank, and where the claim stands."""

    place: int | None
    rank: int
    start: int
    end: int


def find_claims(text: str, reader: OptionReader) -> list[Claim]:
    """Return the claims of a text without markup, in order of place."""
    found = [*_marked(text, reader), *_stated(text, reader), *_predicates(text, reader), *_patterns(text, reader)]
    kept = [claim for claim in found if claim.rank == MARKED or not _is_of_another(text, claim)]
    return sorted([*kept, *_verdicts(text, reader)], key=lambda claim: (claim.end, claim.rank))


def _marked(text: str, reader: OptionReader) -> Iterator[Claim]:
    for box in _BOX.finditer(text):
        reading = reader.read(box[1])
        if reading is not None:
            yield Claim(reading.place, MARKED, *box.span())
    for field in _FIELD.finditer(text):
        value = field["text"] if field["text"] is not None else field["quoted"]
        reading = reader.read(value) if value is not None else None
        yield Claim(reading.place if reading else None, MARKED, *field.span())


def _stated(text: str, reader: OptionReader) -> Iterator[Claim]:
    for subject in _SUBJECT.finditer(text):
        found = _object(text, subject, reader)
        if found is not None:
            rank = FINAL if subject["final"] else STATED
            yield Claim(found.place, rank, subject.start(), found.end)


def _object(text: str, subject: re.Match[str], reader: OptionReader) -> Reading | None:
    """Return the option after one of the copulas that follow a subject within its sentence."""
    window = text[subject.end() : subject.end() + _SPAN]
    named = re.match(r"\s*[(\[]?[A-Ja-j][)\]]?(?![\w'-])", window)
    if named and not subject["answer"]:
        return None  # "option B: ..." is about B, whatever stands behind the colon
    for copula in _COPULA.finditer(window):
        if _STOP.search(window[: copula.start()]):
            return None
        at = subject.end() + copula.end()
        adverbs = _ADVERBS.match(text, at)
        at = adverbs.end() if adverbs else at
        if _DENIED.search(window, 0, copula.start()):
            return None
        if _NEGATION.match(text, at):
            rather = _BUT.match(text, at)
            return reader.read(text, rather.end()) if rather else None
        reading = reader.read(text, at)
        if reading is not None:
            return reading
    return None


def _predicates(text: str, reader: OptionReader) -> Iterator[Claim]:
    for predicate in _PREDICATE.finditer(text):
        before = text[max(0, predicate.start() - 160) : predicate.start()]
        offset = predicate.start() - len(before)
        starts = [0, *(mark.end() for mark in _CLAUSE_START.finditer(before))]
        for start in reversed(starts):
            reading = reader.read(text, offset + start, verbs=True)
            if reading is not None and text[reading.end : predicate.start()].strip(" \"')]") == "":
                rank = STATED if predicate["right"] else IMPLIED
                yield Claim(reading.place, rank, offset + start, predicate.end())
                break


def _patterns(text: str, reader: OptionReader) -> Iterator[Claim]:
    for pattern, rank in _PATTERNS:
        for found in pattern.finditer(text):
            adverbs = _ADVERBS.match(text, found.end())
            reading = reader.read(text, adverbs.end() if adverbs else found.end())
            if reading is not None:
                yield Claim(reading.place, rank, found.start(), reading.end)


def _verdicts(text: str, reader: OptionReader) -> Iterator[Claim]:
    """Yield the one option that lines "A. ...: incorrect", "B. ...: correct" call right; all of those they do."""
    at = 0
    for line in text.splitlines(keepends=True):
        reading = reader.read(line, verbs=True)
        if reading is not None and reading.place is not None:
            verdict = _VERDICT.search(line, max(0, reading.end - 1))
            if verdict:
                yield Claim(reading.place, IMPLIED, at, at + verdict.end())
        at += len(line)


def _is_of_another(text: str, claim: Claim) -> bool:
    """Tell whether a claim is asked, or made by others or of another case."""
    rest = _REST.match(text, claim.end, claim.end + _CLAUSE)
    if (rest and rest[1] == "?") or _REJECTED.match(text, claim.end):
        return True
    begins = max(0, claim.start - _CLAUSE)
    begins = max((mark.end() for mark in _STOP.finditer(text, begins, claim.start)), default=begins)
    begins = max(begins, text.rfind("\n", 0, claim.start) + 1)
    clause = text[begins : claim.start]
    resets = list(_RESET.finditer(clause))
    clause = clause[resets[-1].end() :] if resets else clause
    if _ATTRIBUTED.search(clause):
        return True
    whole = clause + text[claim.start : claim.end]
    return bool(_CONDITION.search(clause) and _COUNTER.search(whole) and not _FORCED.search(clause))
