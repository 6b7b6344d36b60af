"""A mixed-integer linear programme, written row by row and solved by HiGHS through scipy. Knows nothing of models."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import inf
from typing import Any

Terms = Iterable[tuple[int, float]]


@dataclass(frozen=True)
class Solution:
    """`values` None: no solution was found. `proven`: `objective` is the optimum, or it is proven that there is none.

    `bound` is the best lower bound of the objective known when the solver stopped.
    """

    values: Any
    objective: float
    bound: float
    proven: bool


@dataclass
class Programme:
    """Variables and rows of a minimisation; `variable` returns the index that `row` takes."""

    costs: list[float] = field(default_factory=list)
    upper: list[float] = field(default_factory=list)
    integral: list[int] = field(default_factory=list)
    _rows: list[list[tuple[int, float]]] = field(default_factory=list)
    _low: list[float] = field(default_factory=list)
    _high: list[float] = field(default_factory=list)

    def variable(self, cost: float, *, upper: float = 1.0, integral: bool = False) -> int:
        """Add a variable from 0 to `upper`."""
        self.costs.append(cost)
        self.upper.append(upper)
        self.integral.append(int(integral))
        return len(self.costs) - 1

    def equal(self, terms: Terms, value: float) -> None:
        """Require that the terms sum to a value."""
        self._row(terms, value, value)

    def at_most(self, terms: Terms, value: float) -> None:
        """Require that the terms sum to no more than a value."""
        self._row(terms, -inf, value)

    def solve(self, *, time_limit_s: float, relaxed: bool = False) -> Solution:
        """Minimise; `relaxed` forgets integrality, which bounds the objective from below."""
        import numpy as np
        from scipy.optimize import Bounds, LinearConstraint, milp
        from scipy.sparse import coo_matrix

        entries = [(row, index, value) for row, terms in enumerate(self._rows) for index, value in terms]
        rows, columns, values = zip(*entries, strict=True)
        matrix = coo_matrix((values, (rows, columns)), shape=(len(self._rows), len(self.costs))).tocsr()
        found = milp(
            np.array(self.costs),
            constraints=LinearConstraint(matrix, self._low, self._high),
            bounds=Bounds(np.zeros(len(self.upper)), np.array(self.upper)),
            integrality=np.zeros(len(self.integral)) if relaxed else np.array(self.integral),
            options={"mip_rel_gap": 0.0, "time_limit": time_limit_s},
        )
        return _solution(found)

    def _row(self, terms: Terms, low: float, high: float) -> None:
        self._rows.append(list(terms))
        self._low.append(low)
        self._high.append(high)


_OPTIMAL, _INFEASIBLE = 0, 2


def _solution(found: Any) -> Solution:
    if found.status == _INFEASIBLE:
        return Solution(None, inf, inf, proven=True)
    bound = getattr(found, "mip_dual_bound", None)
    if bound is None:
        bound = found.fun if found.status == _OPTIMAL else -inf
    if found.x is None:
        return Solution(None, inf, float(bound), proven=False)
    return Solution(found.x, float(found.fun), float(bound), proven=found.status == _OPTIMAL)
