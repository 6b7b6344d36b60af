"""Units of measure: exact conversion of a written value to one canonical spelling.

A value and a unit go in, a canonical text comes out: `0.5 g` and `500 mg` give `500mg`. Values are fractions, so
nothing is rounded. Concentrations keep their own units (mg/dL and mmol/L differ by the substance measured). Pure.
"""

from fractions import Fraction
from typing import Final

_FACTORS: Final[dict[str, tuple[str, Fraction]]] = {
    "kg": ("mg", Fraction(1_000_000)),
    "g": ("mg", Fraction(1000)),
    "mg": ("mg", Fraction(1)),
    "mcg": ("mg", Fraction(1, 1000)),
    "ng": ("mg", Fraction(1, 1_000_000)),
    "lb": ("mg", Fraction(45_359_237, 100)),
    "oz": ("mg", Fraction(28_349_523_125, 1_000_000)),
    "l": ("ml", Fraction(1000)),
    "dl": ("ml", Fraction(100)),
    "ml": ("ml", Fraction(1)),
    "teaspoon": ("ml", Fraction(5)),
    "tablespoon": ("ml", Fraction(15)),
    "meter": ("cm", Fraction(100)),
    "cm": ("cm", Fraction(1)),
    "mm": ("cm", Fraction(1, 10)),
    "inch": ("cm", Fraction(254, 100)),
    "foot": ("cm", Fraction(3048, 100)),
}
HOURS: Final[dict[str, Fraction]] = {
    "second": Fraction(1, 3600),
    "minute": Fraction(1, 60),
    "hour": Fraction(1),
    "day": Fraction(24),
    "week": Fraction(168),
}
MONTHS: Final[dict[str, int]] = {"month": 1, "year": 12}
"""Months have no fixed number of days: they stay apart from weeks."""

DOSE_UNITS: Final = frozenset({"g", "mg", "mcg", "ng", "l", "ml", "teaspoon", "tablespoon", "unit", "meq", "mmol"})


def is_time(unit: str) -> bool:
    """Tell whether `unit` measures time."""
    return unit in HOURS or unit in MONTHS


def spell(value: Fraction) -> str:
    """Return one spelling of an exact value: `0.5`, `12`, or `1/3` where decimals would not end."""
    if value.denominator == 1:
        return str(value.numerator)
    rest = value.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    return (
        format(float(value), ".12g")
        if rest == 1 and value.denominator < 10**9
        else f"{value.numerator}/{value.denominator}"
    )


def canonical(value: Fraction, unit: str) -> str:
    """Return the canonical spelling of `value unit`: 0.5 g -> 500mg, 100.4 fahrenheit -> 38celsius."""
    if unit == "fahrenheit":
        return spell((value - 32) * Fraction(5, 9)) + "celsius"
    if unit in HOURS:
        return spell(value * HOURS[unit]) + "h"
    if unit in MONTHS:
        return spell(value * MONTHS[unit]) + "mo"
    base, factor = _FACTORS.get(unit, (unit, Fraction(1)))
    return spell(value * factor) + base


def ratio(value: Fraction, units: tuple[str, ...]) -> str:
    """Return the canonical spelling of a value over further units: 5 mg / kg / day -> `5mg/kg/24h`."""
    first, *rest = units
    if len(rest) == 1 and rest[0] in ("l", "dl", "ml", "mmol"):
        return f"{spell(value)}{first}/{rest[0]}"
    below = [canonical(Fraction(1), unit) if is_time(unit) else unit for unit in rest]
    return "/".join([canonical(value, first), *below])


def frequency(count: Fraction, every: Fraction, unit: str) -> str:
    """Return `count` times in `every` units as one rate: twice a day and every 12 hours give `1/12h`."""
    if unit in MONTHS:
        per_month = count / (every * MONTHS[unit])
        return f"{per_month.numerator}/{per_month.denominator}mo"
    per_hour = count / (every * HOURS[unit])
    return f"{per_hour.numerator}/{per_hour.denominator}h"
