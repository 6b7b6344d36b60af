"""How often the classifier is wrong: (gold, predicted) pairs to a confusion table, recall and precision.

Pure counting; `python -m medray.knowledge.confusion` runs the command of medray.knowledge.confusion_report. It knows
neither the classifier nor any file.
"""

import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from medray.errors import InputError
from medray.knowledge.lexicon import CATEGORIES, Category


@dataclass(frozen=True, slots=True)
class Ratio:
    """A share with the counts behind it; `value` is None where nothing was counted."""

    hits: int
    total: int

    @property
    def value(self) -> float | None:
        """The share in [0, 1]."""
        return self.hits / self.total if self.total else None


@dataclass(frozen=True)
class Confusion:
    """Counts of predictions by gold class: `table[gold][predicted]`, every class present."""

    table: dict[Category, dict[Category, int]]

    @property
    def accuracy(self) -> Ratio:
        """Right predictions among all."""
        return Ratio(sum(self.table[c][c] for c in CATEGORIES), sum(sum(row.values()) for row in self.table.values()))

    def recall(self, category: Category) -> Ratio:
        """Found among the questions of this class."""
        return Ratio(self.table[category][category], sum(self.table[category].values()))

    def precision(self, category: Category) -> Ratio:
        """Right among the predictions of this class."""
        return Ratio(self.table[category][category], sum(row[category] for row in self.table.values()))


def confusion(pairs: Iterable[tuple[Category, Category]]) -> Confusion:
    """Count (gold, predicted) pairs. Raises InputError for a name that is no class."""
    counts = Counter(pairs)
    names = {name for pair in counts for name in pair}
    if not names <= set(CATEGORIES):
        raise InputError(f"expected categories of {', '.join(CATEGORIES)}; got {len(names - set(CATEGORIES))} others")
    return Confusion({gold: {found: counts[gold, found] for found in CATEGORIES} for gold in CATEGORIES})


if __name__ == "__main__":
    from medray.knowledge.confusion_report import main

    sys.exit(main(sys.argv[1:]))
