"""Reading one option at a place of a text, by its letter or by its own words.

A reading says which option is named and where it ends. Naming two ("B or C"), or a letter with another option's words,
is a reading of no single option. A letter inside other words ("B cells", "a drug", "I think") is none.
"""

import re
from collections.abc import Sequence
from string import ascii_uppercase
from typing import Final, NamedTuple

from medray.evaluation.extraction.plain import CLOSE_BOX, OPEN_BOX, plain

_TOKEN: Final = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+(?:'[^\W\d_]+)*|[%<>+≤≥±]|(?<!\w)-(?=\d)")
_ARTICLES: Final = frozenset({"the", "a", "an"})
_GAP: Final = 3  # characters that may stand between two words of one option
_LEAD: Final = re.compile(
    rf"[\s\"'(\[{{{OPEN_BOX}<]*(?:(?:option|choice|letter|answer)\b\s*[:#]?)?[\s\"'(\[{{{OPEN_BOX}<]*", re.IGNORECASE
)
_LETTER: Final = re.compile(r"([A-Ja-j])(?![\w-]|'\w)")
_CLOSERS: Final = re.compile(rf"[)\]}}{CLOSE_BOX}\"'>]*")
_SEPARATOR: Final = re.compile(r"[ \t]*(?:[.:,;]|[-–—](?=\s)|(?=\())?[ \t]*[\"'(\[]*")
_CLOSED: Final = re.compile(rf"[ \t]*(?:\Z|\n|[.,:;!?)\]}}{CLOSE_BOX}\"'<]|[-–—](?=\s)|\((?!s\)))")
_CAUSE: Final = re.compile(
    r"\s+(?:because|since|as|due|given|so|but|unless|rather|instead|not|and not|here|based|in this|for this)\b",
    re.IGNORECASE,
)
_VERB: Final = re.compile(r"\s+(?:is|would|must|has to|seems|appears|remains)\b", re.IGNORECASE)
_FURTHER: Final = re.compile(
    r"\s*(?:,|/|&|\+|\band\b|\bor\b|\bas well as\b|\bplus\b|\bwith\b)"
    r"(?:\s*\b(?:and|or|also|maybe|possibly|perhaps|even|then)\b)*\s*(?:\b(?:option|choice)\b\s*)?[(\[\"']*",
    re.IGNORECASE,
)
_JOINED: Final = re.compile(r"\s*(?:/|&|\+|\band\b|\bor\b|\bplus\b|\bwith\b)\s*(?!not\b)", re.IGNORECASE)
_SUBJECT_AGAIN: Final = re.compile(r"\s+(?:is|was|are|would|can|has|does|may|might|think|believe|am)\b")
_NAMED_IN_BRACKETS: Final = re.compile(r"\s*[(\[]\s*(?:option|choice|answer)?\s*([A-J])\s*[)\]]", re.IGNORECASE)


class Reading(NamedTuple):
    """What was read: the place of the option as shown, None where no single one is meant; `closed` when a mark of
    punctuation or the end of the line follows, `bare` when it was a letter alone.
    """

    place: int | None
    end: int
    closed: bool
    bare: bool = False


class OptionReader:
    """Reads options in the order shown. `lettered` False: the options were shown as words only."""

    def __init__(self, options: Sequence[str], *, lettered: bool = True) -> None:
        self._letters = ascii_uppercase[: len(options)] if lettered else ""
        self._texts = [_words(plain(option)) for option in options]

    def read(self, text: str, at: int = 0, *, verbs: bool = False) -> Reading | None:
        """Return the reading at `at`, past brackets and the like; `verbs` lets "is" follow, as after a subject."""
        lead = _LEAD.match(text, at)
        start = lead.end() if lead else at
        by_text = self._text_at(text, start)
        letter = self._letter_at(text, start)
        if by_text is not None and (letter is None or by_text[1] > start + 1):
            return self._after_text(text, *by_text, verbs=verbs)
        return None if letter is None else self._after_letter(text, letter, start + 1, verbs=verbs)

    def _letter_at(self, text: str, at: int) -> int | None:
        found = _LETTER.match(text, at)
        if found is None or found[1].upper() not in self._letters:
            return None
        if found[1].islower() and not _CLOSED.match(text, found.end()):
            return None  # the article
        return self._letters.index(found[1].upper())

    def _text_at(self, text: str, at: int) -> tuple[int, int] | None:
        """Return (place, end) of the longest option whose words stand at `at`; None where two are equally long."""
        best: list[tuple[int, int, int]] = []
        for place, words in enumerate(self._texts):
            end = _match(words, text, at)
            if end is not None:
                best.append((end, -place, place))
        if not best:
            return None
        longest = max(best)
        same = [found for found in best if found[0] == longest[0]]
        return (longest[2], longest[0]) if len(same) == 1 else None

    def _after_text(self, text: str, place: int, end: int, *, verbs: bool) -> Reading | None:
        named = _NAMED_IN_BRACKETS.match(text, end)
        if named and named[1].upper() in self._letters:
            agrees = self._letters.index(named[1].upper()) == place
            return Reading(place if agrees else None, named.end(), closed=True)
        several = self._several(text, end, place)
        if several or _JOINED.match(text, end):
            return several  # or more than this option alone
        return _ended(text, place, end, verbs=verbs)

    def _after_letter(self, text: str, place: int, end: int, *, verbs: bool) -> Reading | None:
        upper = text[end - 1].isupper()
        closers = _CLOSERS.match(text, end)
        past = closers.end() if closers else end
        several = self._several(text, past, place, upper=upper)
        if several:
            return several
        separator = _SEPARATOR.match(text, past)
        own = self._text_at(text, separator.end() if separator else past)
        if own is not None:
            return self._with_text(text, place, past, own, verbs=verbs)
        reading = _ended(text, place, past, verbs=verbs and self._letters[place] != "I")
        if reading is None or (self._letters[place] == "I" and not reading.closed):
            return None
        return reading._replace(bare=True)

    def _with_text(self, text: str, place: int, past: int, own: tuple[int, int], *, verbs: bool) -> Reading | None:
        """Read a letter that an option's words follow."""
        spans, end = own
        whole = _ended(text, place, end, verbs=verbs)
        if spans != place:
            # "B. Hepatitis A would be wrong" begins a new sentence; "B. Hepatitis A" contradicts itself.
            return Reading(None, end, closed=True) if whole and whole.closed else _ended(text, place, past, verbs=verbs)
        return self._several(text, end, place) or whole or Reading(place, end, closed=False)

    def _several(self, text: str, at: int, place: int, *, upper: bool = True) -> Reading | None:
        """Return a reading of no single option if others are joined to the one that ends at `at`."""
        end = self._further(text, at, place, upper=upper)
        if end is None:
            return None
        while (after := self._further(text, end, place, upper=upper)) is not None:
            end = after
        return Reading(None, end, closed=True)

    def _further(self, text: str, at: int, place: int, *, upper: bool) -> int | None:
        """Return where another option ends that is joined to what ends at `at`."""
        joined = _FURTHER.match(text, at)
        if joined is None:
            return None
        after = joined.end()
        letter = _LETTER.match(text, after)
        if letter and letter[1].upper() in self._letters and letter[1].isupper() == upper:
            alone = upper or _CLOSED.match(text, letter.end())
            other_place = self._letters.index(letter[1].upper()) != place
            says_on = letter[1] == "I" or _SUBJECT_AGAIN.match(text, letter.end())
            return letter.end() if alone and other_place and not says_on else None
        other = self._text_at(text, after)
        return other[1] if other and other[0] != place and _CLOSED.match(text, other[1]) else None


def _ended(text: str, place: int | None, end: int, *, verbs: bool) -> Reading | None:
    """Return the reading if what follows may follow an option, None where its words go on."""
    if text[end - 1 : end] in ")]}" + CLOSE_BOX or _CLOSED.match(text, end):
        return Reading(place, end, closed=True)
    if _CAUSE.match(text, end) or (verbs and _VERB.match(text, end)):
        return Reading(place, end, closed=False)
    return None


def _match(words: Sequence[str], text: str, at: int) -> int | None:
    """Return where the words end if they stand at `at`, articles aside."""
    if not words:
        return None
    found = _TOKEN.search(text, at)
    if found and found.start() == at and found[0].casefold() in _ARTICLES and text[found.end() :][:1].isspace():
        blank = re.compile(r"\s+").match(text, found.end())
        at = blank.end() if blank else at
    end = at
    for index, word in enumerate(words):
        found = _TOKEN.search(text, end)
        if found is None or found[0].casefold() != word or found.start() - end > (_GAP if index else 0):
            return None
        if "\n" in text[end : found.start()]:
            return None
        end = found.end()
    return None if re.match(r"[\w-]\w", text[end : end + 2]) else end


def _words(option: str) -> tuple[str, ...]:
    words = tuple(found.casefold() for found in _TOKEN.findall(option))
    return words[1:] if len(words) > 1 and words[0] in _ARTICLES else words
