"""Counts of rows by what became of them, and the one rule on how many may be bad."""

from collections import Counter
from dataclasses import dataclass, field

from medray.data.example import Reason
from medray.errors import DataError


@dataclass
class Tally:
    """Rows read and rows not used, by reason."""

    rows: int = 0
    reasons: Counter[Reason] = field(default_factory=Counter)

    def add(self, reason: Reason | None, rows: int = 1) -> None:
        """Count rows; no reason means that they are used."""
        self.rows += rows
        if reason is not None:
            self.reasons[reason] += rows

    @property
    def bad(self) -> int:
        """How many rows are damaged or incomplete."""
        return sum(count for reason, count in self.reasons.items() if reason.is_bad)

    def by_reason(self) -> dict[str, int]:
        """Return the counts by the reasons' names, sorted."""
        return {reason.value: self.reasons[reason] for reason in sorted(self.reasons)}

    def check(self, name: str, max_share: float) -> None:
        """Raise DataError when more than `max_share` of the rows are bad."""
        if self.bad <= max_share * self.rows:
            return
        found = ", ".join(f"{reason} {count}" for reason, count in self.by_reason().items() if Reason(reason).is_bad)
        raise DataError(
            f"{name}: expected at most {max_share:.1%} bad rows, got {self.bad} of {self.rows} ({found}): "
            "repair the data, or raise max_reject_share of jobs.prepare"
        )
