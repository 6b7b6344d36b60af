"""What an answer's claims say together: one option, or why none.

The plainest kind of claim decides. Two claims of that kind that differ decide nothing, unless the second one corrects
the first in so many words. Without any claim the option that stands first is taken, if it is the only one.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Final, Literal, NamedTuple, TypeAlias

from medray.evaluation.extraction.abstention import abstains
from medray.evaluation.extraction.claims import LEADING, MARKED, Claim, find_claims
from medray.evaluation.extraction.options import OptionReader
from medray.evaluation.extraction.plain import plain
from medray.evaluation.extraction.sections import answer_section

Reason: TypeAlias = Literal[
    "", "empty", "unfinished_reasoning", "refused", "several", "contradiction", "other_question", "no_option"
]

_CORRECTION: Final = re.compile(
    r"\b(?:wait|actually|correction|correct that|correct myself|sorry|mistake|scratch that|second thoughts?|"
    r"on reflection|i meant|change my answer|revis(?:e|ed|ing))\b",
    re.IGNORECASE,
)
_LETTER: Final = re.compile(r"[A-J]")
_LETTERS_ALONE: Final = re.compile(r"\W*[A-J](?:[\s.,;:)]+[A-J])+\W*")
_QUESTION: Final = re.compile(r"\A\s*(?:question|q|problem|case)\s*\d*\s*:", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Extracted:
    """The option an output chose, by its place and letter as shown; else None, "" and the reason."""

    place: int | None
    letter: str = ""
    reason: Reason = ""


class _Lead(NamedTuple):
    place: int | None
    end: int
    bare: bool


def extract_choice(output: str, options: Sequence[str], *, lettered: bool = True) -> Extracted:
    """Return which of `options`, in the order shown, the answer part of `output` chose.

    `lettered` False: the options were shown as words (yes, no, maybe), and a letter means nothing.
    """
    section = answer_section(output)
    if section.problem:
        return Extracted(None, reason=section.problem)
    reader = OptionReader(options, lettered=lettered)
    text = plain(section.text)
    rest = _without_echo(text, reader, len(options))
    if _QUESTION.match(rest):
        return Extracted(None, reason="other_question")
    place, reason = _settle(rest, reader)
    if place is None:
        return Extracted(None, reason="refused" if reason == "no_option" and abstains(rest) else reason)
    return Extracted(place, letter=ascii_uppercase[place] if lettered else "")


def _settle(text: str, reader: OptionReader) -> tuple[int | None, Reason]:
    claims = find_claims(text, reader)
    lead = _leading(text, reader)
    if not claims:
        return _only(lead)
    rank = max(claim.rank for claim in claims)
    chosen = _latest([claim for claim in claims if claim.rank == rank], text)
    if chosen is None or chosen.place is None:
        return None, "several"
    if lead is None or lead.place == chosen.place or rank >= MARKED:
        return chosen.place, ""
    return (chosen.place, "") if _corrects(text, lead.end, chosen) else (None, "contradiction")


def _latest(claims: Sequence[Claim], text: str) -> Claim | None:
    """Return what claims of one rank agree on, or the last one if it corrects those that differ."""
    last = claims[-1]
    differing = [claim for claim in claims if claim.place != last.place]
    return last if not differing or _corrects(text, differing[-1].end, last) else None


def _corrects(text: str, after: int, claim: Claim) -> bool:
    return claim.rank > LEADING and bool(_CORRECTION.search(text, after, max(after, claim.start)))


def _leading(text: str, reader: OptionReader) -> _Lead | None:
    """Return the option that stands first, if lines do not begin with several."""
    leads = [_lead(line, reader) for line in text.splitlines() if line.strip()]
    first = leads[0] if leads else None
    if first is None:
        return None
    others = [lead for lead in leads[1:] if lead is not None and lead.place != first.place]
    if others and not (first.bare and not any(lead.bare for lead in others)):
        return None if first.place is not None else first
    return first._replace(end=len(text) - len(text.lstrip()) + first.end)


def _lead(line: str, reader: OptionReader) -> _Lead | None:
    reading = reader.read(line)
    if reading is None or not reading.closed or line[reading.end :].lstrip().startswith("?"):
        return None
    if _LETTERS_ALONE.fullmatch(line) and len(set(_LETTER.findall(line))) > 1:
        return _Lead(None, len(line), bare=False)
    alone = not line[reading.end :].strip(" .)]")
    return None if reading.place is None and not alone else _Lead(reading.place, reading.end, reading.bare and alone)


def _only(lead: _Lead | None) -> tuple[int | None, Reason]:
    if lead is None:
        return None, "no_option"
    return (lead.place, "") if lead.place is not None else (None, "several")


def _without_echo(text: str, reader: OptionReader, options: int) -> str:
    """Return the text without a copy of the options, and without the question before that copy."""
    lines = text.splitlines()
    for start in range(len(lines) - options + 1):
        block = lines[start : start + options]
        if all(_copies(line, place, reader) for place, line in enumerate(block)):
            before = [] if _QUESTION.match(text) else lines[:start]
            return "\n".join([*before, *lines[start + options :]])
    return text


def _copies(line: str, place: int, reader: OptionReader) -> bool:
    reading = reader.read(line)
    whole = reading is not None and not line[reading.end :].strip(" .")
    return reading is not None and whole and reading.place == place and not reading.bare
