"""Numbers in their context: doses, laboratory values, frequencies, durations and ages.

Units of a text go in (numbers, units of measure and words apart), a shorter list comes out in which each quantity is
one unit with a canonical spelling. One pass, no backtracking. It does not know which quantity belongs to which drug.
"""

import re
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Final, TypeAlias

from medray.knowledge.entities.measures import DOSE_UNITS, HOURS, canonical, frequency, is_time, ratio, spell
from medray.knowledge.entities.schema import Unit, UnitType
from medray.knowledge.entities.tokens import BREAK

Reading: TypeAlias = tuple[UnitType, str, int] | None
"""(type, canonical spelling, index past the last unit read), or None where the rule does not apply."""

_PER: Final = frozenset({"/", "per", "a", "each", "every"})
_FIXED: Final[dict[str, tuple[int, int, str]]] = {
    "daily": (1, 1, "day"), "qd": (1, 1, "day"), "nightly": (1, 1, "day"), "hourly": (1, 1, "hour"),
    "weekly": (1, 1, "week"), "fortnightly": (1, 2, "week"), "monthly": (1, 1, "month"), "yearly": (1, 1, "year"),
    "annually": (1, 1, "year"), "annual": (1, 1, "year"), "bd": (2, 1, "day"), "bid": (2, 1, "day"),
    "tds": (3, 1, "day"), "tid": (3, 1, "day"), "qds": (4, 1, "day"), "qid": (4, 1, "day"), "biweekly": (1, 2, "week"),
}  # fmt: skip
_PERIODS: Final = {"daily": "day", "weekly": "week", "monthly": "month", "hourly": "hour", "yearly": "year"}
_PARTS: Final = {"half": Fraction(1, 2), "quarter": Fraction(1, 4)}
_DEGREES: Final = {"f": "fahrenheit", "c": "celsius"}
_TIMES: Final = {"once": 1, "twice": 2, "thrice": 3}
_EVERY_H: Final = re.compile(r"q(\d{1,2})h(?:r|rs|ourly)?")
_OLD: Final = frozenset({"old", "yo"})
_AGE_WORDS: Final = frozenset({"age", "aged", "old"})


_TRIGGERS: Final = frozenset({*_FIXED, *_TIMES, *_PARTS, "every", "each", "per", "a", "q"})


def _may_start(unit: Unit) -> bool:
    return unit.type == "number" or unit.normal in _TRIGGERS or (unit.normal[:1] == "q" and unit.normal[1:2].isdigit())


class _Reader:
    """The rules, over one list of units."""

    def __init__(self, units: Sequence[Unit]) -> None:
        self.units = units
        self.rules: tuple[Callable[[int], Reading], ...] = (self._frequency, self._quantity)

    def word(self, at: int) -> str:
        """The canonical form at `at`, empty past the end."""
        return self.units[at].normal if 0 <= at < len(self.units) else ""

    def type(self, at: int) -> str:
        return self.units[at].type if 0 <= at < len(self.units) else ""

    def number(self, at: int) -> Fraction | None:
        """The value of the number at `at`; `half` and `quarter` count before a form or a unit."""
        if self.type(at) == "number":
            return Fraction(self.word(at))
        if self.word(at) in _PARTS and self.type(at + 1) in ("form", "unit"):
            return _PARTS[self.word(at)]
        return None

    def time_unit(self, at: int) -> str | None:
        word = self.word(at)
        if word == "night":
            return "day"
        return word if self.type(at) == "unit" and is_time(word) else None

    def read(self) -> list[Unit]:
        out: list[Unit] = []
        at = 0
        while at < len(self.units):
            reading = self._first(at) if _may_start(self.units[at]) else None
            if reading is None:
                out.append(self.units[at])
                at += 1
                continue
            unit_type, normal, past = reading
            out.append(Unit(unit_type, normal, self.units[at].start, self.units[past - 1].end))
            at = past
        return out

    def _first(self, at: int) -> Reading:
        for rule in self.rules:
            reading = rule(at)
            if reading is not None:
                return reading
        return None

    # Frequencies -----------------------------------------------------------------------------------------------------

    def _frequency(self, at: int) -> Reading:
        word = self.word(at)
        if word in _FIXED and self.type(at) == "word":
            count, every, unit = _FIXED[word]
            return "frequency", frequency(Fraction(count), Fraction(every), unit), at + 1
        match = _EVERY_H.fullmatch(word)
        if match and match[1] != "0":
            return "frequency", frequency(Fraction(1), Fraction(match[1]), "hour"), at + 1
        return self._times(at) or self._every(at) or self._hourly(at)

    def _times(self, at: int) -> Reading:
        """Read `twice a day`, `3 times daily`, `once every 8 hours`, `once weekly`."""
        word = self.word(at)
        number = self.number(at)
        if word in _TIMES:
            count, past = Fraction(_TIMES[word]), at + 1
        elif number and number > 0 and self.word(at + 1) == "time":
            count, past = number, at + 2
        else:
            return None
        if self.word(past) in _PERIODS:
            return "frequency", frequency(count, Fraction(1), _PERIODS[self.word(past)]), past + 1
        if self.word(past) in ("per", "a", "each", "every", "/", "in"):
            past += 1
            every = self.number(past)
            if every:
                past += 1
            unit = self.time_unit(past)
            if unit:
                return "frequency", frequency(count, every or Fraction(1), unit), past + 1
        return None

    def _every(self, at: int) -> Reading:
        """Read `every 8 hours`, `every other day`, `each day`, `per day`, `a day`, `in 24 hours`."""
        word = self.word(at)
        if word not in ("every", "each", "per", "a", "q"):
            return None
        past = at + 1
        every: Fraction | None = Fraction(1)
        if word in ("every", "q") and self.word(past) in ("other", "second", "alternate"):
            every, past = Fraction(2), past + 1
        elif word in ("every", "q") and self.number(past):
            every, past = self.number(past), past + 1
        unit = self.time_unit(past)
        if unit is None or not every or (word == "a" and not self._is_rate(at, unit)):
            return None
        return "frequency", frequency(Fraction(1), every, unit), past + 1

    def _is_rate(self, at: int, unit: str) -> bool:
        """Tell `how much a day` from `for a week`, `within an hour` and `a day after`."""
        if self.word(at - 1) in ("for", "in", "within", "about", "half", "than", "until", "take", "last"):
            return self.word(at - 1) == "in" and unit == "day"
        return self.word(at + 2) not in ("before", "after", "ago", "later", "old", "early", "prior to")

    def _hourly(self, at: int) -> Reading:
        number = self.number(at)
        if number and self.word(at + 1) == "hourly":
            return "frequency", frequency(Fraction(1), number, "hour"), at + 2
        return None

    # Values with units -----------------------------------------------------------------------------------------------

    def _quantity(self, at: int) -> Reading:  # noqa: PLR0911 - one line a rule, in order
        if self.word(at) == "a" and self.time_unit(at + 1):
            return self._time(Fraction(1), None, self.word(at + 1), at, at + 2)
        low = self.number(at)
        if low is None:
            return None
        low, past = self._fraction(at, low)
        if self.word(past) == "/" and self.number(past + 1) is not None:
            over = self.number(past + 1)
            return self._after_pair(f"{spell(low)}/{spell(over or Fraction(0))}", past + 2)
        high, past = self._range(at, past)
        unit = self.word(past)
        if self.type(past) == "form":
            return "dose", self._spell(low, high, (unit,)), past + 1
        if unit in _DEGREES and low < 120:
            return "number", self._spell(low, high, (_DEGREES[unit],)), past + 1
        if self.type(past) != "unit":
            return self._bare(at, low, high, past)
        if is_time(unit):
            return self._time(low, high, unit, at, past + 1)
        units, past = self._units(past)
        dosed = units[0] in DOSE_UNITS and not (len(units) == 2 and units[1] in ("dl", "l", "ml", "mmol"))
        return ("dose" if dosed else "number"), self._spell(low, high, units), past

    def _fraction(self, at: int, low: Fraction) -> tuple[Fraction, int]:
        """Read `1/2 tablet` and `1 and a half` as one value."""
        below = self.number(at + 2)
        if self.word(at + 1) == "/" and below and low < below <= 10 and low.denominator == below.denominator == 1:
            return low / below, at + 3
        if self.word(at + 1) == "and" and self.word(at + 2) == "half":
            return low + Fraction(1, 2), at + 3
        return low, at + 1

    def _after_pair(self, pair: str, past: int) -> Reading:
        """Read the unit of `140/90 mmHg`; a pair is a blood pressure whether or not it is written."""
        return "number", pair, past + 1 if self.word(past) == "mmhg" else past

    def _range(self, at: int, past: int) -> tuple[Fraction | None, int]:
        """Read `- 10`, `to 10` or (between 5) `and 10` after a number; `from 5 to 10` is a change, not a range."""
        between = self.word(at - 1) == "between" and self.word(past) == "and"
        dash = self.word(past) == "-"
        to = self.word(past) == "to" and self.word(at - 1) not in ("from", "increase", "decrease", "switch")
        if (dash or to or between) and self.number(past + 1) is not None:
            return self.number(past + 1), past + 2
        return None, past

    def _units(self, at: int) -> tuple[tuple[str, ...], int]:
        units = [self.word(at)]
        past = at + 1
        while len(units) < 4 and self.word(past) in _PER and self.type(past + 1) == "unit":
            if self.word(past) in ("every", "each") and self.time_unit(past + 1) is None:
                break
            if len(units) == 1 and self.time_unit(past + 1):
                break  # "500 mg a day" is a dose and a frequency
            units.append(self.word(past + 1))
            past += 2
        return tuple(units), past

    def _spell(self, low: Fraction, high: Fraction | None, units: tuple[str, ...]) -> str:
        write: Callable[[Fraction], str] = (
            (lambda value: ratio(value, units)) if len(units) > 1 else (lambda value: canonical(value, units[0]))
        )
        return write(low) if high is None else f"{write(low)}..{write(high)}"

    def _bare(self, at: int, low: Fraction, high: Fraction | None, past: int) -> Reading:
        spelled = spell(low) if high is None else f"{spell(low)}..{spell(high)}"
        if self.word(past) == "yo":
            return "population", f"age {self._spell(low, high, ('year',))}", past + 1
        if high is not None and self.type(at - 2) == "population" and self.type(past) not in ("unit", "lab"):
            return "population", f"age {self._spell(low, high, ('year',))}", past  # "women between 50 and 70"
        shared = self._shared_unit(past)
        if high is None and shared:
            return "duration", self._spell(low, None, (shared,)), past
        if self.word(at - 1) in ("age", "aged") and self.type(past) != "unit":
            return "population", f"age {self._spell(low, high, ('year',))}", past
        return "number", spelled, past

    def _shared_unit(self, past: int) -> str | None:
        """Return the unit of time that `5 or 10 years` and `5 years or 10` write once."""
        if self.word(past) == "or" and self.number(past + 1) is not None:
            return self.time_unit(past + 2)
        if self.word(past - 2) == "or" and self.number(past - 4) is not None and self.word(past) == BREAK:
            return self.time_unit(past - 3)
        return None

    def _time(self, low: Fraction, high: Fraction | None, unit: str, at: int, past: int) -> Reading:
        spelled = self._spell(low, high, (unit,))
        if self.word(past) in _OLD:
            return "population", f"age {spelled}", past + 1
        if self.word(past) == "of" and self.word(past + 1) == "age":
            return "population", f"age {spelled}", past + 2
        if self.word(at - 1) in _AGE_WORDS:
            return "population", f"age {spelled}", past
        if self.word(at - 1) == "in" and spelled == "24h" and self.word(at) != "a":
            return "frequency", frequency(Fraction(1), Fraction(1), "day"), past
        return "duration", spelled, past


def read_quantities(units: Sequence[Unit]) -> list[Unit]:
    """Return `units` with every quantity read as one unit."""
    if not any(map(_may_start, units)):
        return list(units)
    return _Reader(units).read()


def hours(duration: str) -> Fraction | None:
    """Return the hours of a canonical duration (`168h`), None for months or ranges."""
    return Fraction(duration[:-1]) if duration.endswith("h") and ".." not in duration else None


__all__ = ["HOURS", "hours", "read_quantities"]
