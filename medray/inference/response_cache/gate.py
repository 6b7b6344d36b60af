"""Which classes may be served from similar questions now: calibration and running audit together.

Audited hits add to the pairs of the calibration as further trials. A class is closed while the 95 % upper bound of
both together is above the budget, and while the audit alone proves a rate above it (many clean pairs must not hide bad
hits). Emergencies are always closed.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from medray.inference.response_cache.bounds import upper_bound
from medray.inference.response_cache.calibration import Calibration
from medray.knowledge import CATEGORIES

_REFRESH_S: Final = 1.0  # how soon the audit of another process counts here
Audited = Mapping[str, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Judgement:
    """How a class stands. Bounds are 95 % upper bounds of the wrong-answer rate; `audit_bound` is the audit's alone."""

    open: bool
    bound: float
    basis: Literal["own", "pooled"]
    audited: int
    wrong: int
    audit_bound: float


class Gate:
    """See the module. `audited` returns (audited, wrong) by class."""

    def __init__(
        self,
        calibration: Calibration,
        audited: Callable[[], Audited],
        budget: float,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._calibration = calibration
        self._audited = audited
        self._budget = budget
        self._clock = clock
        self._lock = threading.Lock()
        self._judgements = self._judge_all()
        self._fresh_until_s = clock() + _REFRESH_S

    def is_open(self, category: str) -> bool:
        """Tell whether similar questions of this class may be served."""
        if self._clock() >= self._fresh_until_s:
            self.refresh()
        judged = self._judgements.get(category)
        return judged is not None and judged.open

    def refresh(self) -> None:
        """Judge anew from the audit's present counts."""
        with self._lock:
            self._judgements = self._judge_all()
            self._fresh_until_s = self._clock() + _REFRESH_S

    def judgements(self) -> Mapping[str, Judgement]:
        """Return how every class stands now."""
        self.refresh()
        return dict(self._judgements)

    def _judge_all(self) -> dict[str, Judgement]:
        audited = self._audited()
        return {category: self._judge(category, *audited.get(category, (0, 0))) for category in CATEGORIES}

    def _judge(self, category: str, audited: int, wrong: int) -> Judgement:
        counted, basis = self._calibration.judged_by(category, self._budget)
        bound = upper_bound(counted.false_hits + wrong, counted.trials + audited)
        within = bound <= self._budget and not _proves_above(wrong, audited, self._budget)
        opened = within and category != "emergency"
        return Judgement(opened, bound, basis, audited, wrong, upper_bound(wrong, audited))


def _proves_above(wrong: int, audited: int, budget: float) -> bool:
    """Tell whether the 95 % lower bound of the audit alone is above the budget."""
    return wrong > 0 and 1.0 - upper_bound(audited - wrong, audited) > budget
