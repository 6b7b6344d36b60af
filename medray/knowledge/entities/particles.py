"""The small words by which the tokenizer tells an article from a letter and a pronoun from a number. Constants."""

from typing import Final

DETERMINERS: Final = frozenset({
    "an", "any", "its", "my", "our", "some", "the", "their", "these", "this", "those", "your",
})  # fmt: skip
"""Articles and possessives that carry no content."""

TIME_UNITS: Final = frozenset({
    "day", "fortnight", "hour", "hr", "minute", "month", "night", "second", "week", "year",
})  # fmt: skip
"""Before these, `a` counts ("a day")."""

LETTERED: Final = frozenset({
    "amphotericin", "bipolar", "category", "class", "factor", "grade", "grades", "group", "hemophilia", "hep",
    "hepatitis", "immunoglobulin", "influenza", "level", "part", "phase", "protein", "schedule", "stage",
    "strep", "toxin", "type", "vit", "vitamin",
})  # fmt: skip
"""After these, a lone `a` is a letter ("vitamin A")."""

CLOSING: Final = frozenset({
    "after", "and", "at", "be", "because", "before", "by", "can", "could", "do", "during", "for", "from", "if",
    "in", "may", "must", "not", "of", "on", "or", "should", "than", "to", "when", "while", "will", "with",
    "without", "would",
})  # fmt: skip
"""Before these, a lone `a` is no article."""

NUMBERED: Final = frozenset({
    "angiotensin", "category", "class", "factor", "grade", "level", "phase", "schedule", "stage", "type",
})  # fmt: skip
"""After these, `i` to `vi` are Roman numerals."""

PRONOUN_ONE: Final = frozenset({
    "another", "can", "could", "do", "how", "if", "may", "might", "must", "should", "that", "this", "when",
    "which", "would",
})  # fmt: skip
"""After these, `one` is a person, unless a counted thing follows."""

COUNTED: Final = frozenset({
    "capsule", "dose", "drop", "g", "mcg", "mg", "ml", "patch", "pill", "puff", "tablespoon", "tablet",
    "teaspoon", "time", "unit",
})  # fmt: skip
"""Things that are counted."""

_ONES: Final = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENS: Final = (
    "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety",
)  # fmt: skip
SMALL: Final = {word: value for value, word in enumerate(_ONES)} | {
    word: 10 * place for place, word in enumerate(_TENS, start=2)
}
SCALES: Final = {"hundred": 100, "thousand": 1000, "million": 1_000_000}
ROMAN: Final = {"i": "1", "ii": "2", "iii": "3", "iv": "4", "v": "5", "vi": "6"}
CAPITALS: Final = {
    "IM": ("intramuscular",),
    "HR": ("heart", "rate"),
    "OD": ("qd",),
    "MR": ("modified", "release"),
    "PrEP": ("pre", "exposure", "prophylaxis"),
    "PREP": ("pre", "exposure", "prophylaxis"),
    "PEP": ("post", "exposure", "prophylaxis"),
    "LP": ("lumbar", "puncture"),
    "US": ("usa",),
    "USA": ("usa",),
}
"""Abbreviations that only their capitals tell from words."""
LISTED: Final = frozenset({("hand", "foot"), ("measles", "mumps"), ("ear", "nose"), ("diphtheria", "tetanus")})
"""Neighbours of a comma that stands inside a name."""
