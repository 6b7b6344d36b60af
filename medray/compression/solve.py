"""Bits per projection under a budget, as an integer programme solved to proven optimality by HiGHS. Pure.

Each group of projections takes one of its choices (bits, bytes, loss); the sum of losses is least within a byte budget,
or the sum of bytes within a loss budget. That losses add up is the model's assumption, not the solver's: measure the
plan that comes out. Groups are single projections, or those that a format's runtime computes as one matrix.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import fsum, inf, isfinite
from typing import Final, Self

from pydantic import Field, model_validator

from medray.compression.architecture import Architecture, Weight
from medray.compression.formats import format_of, fused_groups, planned_bytes
from medray.compression.placement.linear import Programme
from medray.compression.plan import Bits, Plan, PlanOptions, holds_four_bits, is_projection, make_plan
from medray.config import Config
from medray.errors import CapabilityError, ConfigError, ModelError

# HiGHS stops at an absolute gap of 1e-6 and lets rows be off by as much: in these units that is a thousandth of a byte
# and 1e-11 of all losses.
_KIB: Final = 1024.0
_TOTAL_LOSS: Final = 1e5
_SAME: Final = 1e-9
_NO_LOSS: Final = 1e-30  # nats a token; scaling less would overflow
_TRIES: Final = 6
_BITS: Final[tuple[Bits, ...]] = (16, 8, 4)


@dataclass(frozen=True)
class Choice:
    """What a group costs at some bits: bytes, and loss in the unit that the budget is in (nats a token)."""

    bytes: int
    loss: float


Choices = Mapping[str, Mapping[Bits, Choice]]


@dataclass(frozen=True)
class Solution:
    """Bits per group and their sums; `bound` is what no choice can beat, `proven` that none does."""

    bits: dict[str, Bits]
    bytes: int
    loss: float
    bound: float
    proven: bool


class Budget(Config):
    """What a plan may cost: bytes of the whole model in its format, or summed loss (nats a token). One of them."""

    bytes: int | None = Field(default=None, gt=0)
    loss: float | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.bytes is None) == (self.loss is None):
            raise ValueError("expected a budget of bytes or of loss, got both or neither")
        return self


@dataclass(frozen=True)
class SolvedPlan:
    """A plan, what it costs in the format it was solved for, and what the programme predicts of its loss."""

    plan: Plan
    bytes: int
    loss: float
    proven: bool


def solve_plan(
    model: Architecture,
    losses: Mapping[str, Mapping[int, float]],
    name: str,
    budget: Budget,
    options: PlanOptions | None = None,
    *,
    time_limit_s: float = 60.0,
) -> SolvedPlan:
    """Return the best plan for `model` in the format `name`; `losses` are per module and bits, none at 16 bits.

    Raises ConfigError for a budget that nothing meets, saying what would, and ModelError for losses of another model.
    """
    full = make_plan("solved", model, lambda weight: 16, options)
    choices = plan_choices(model, losses, name, full)
    whole = sum(planned_bytes(full, model, name).values())
    fixed = whole - sum(of_group[16].bytes for of_group in choices.values())
    if budget.bytes is not None:
        found = least_loss(choices, budget.bytes, fixed=fixed, time_limit_s=time_limit_s)
    else:
        found = fewest_bytes(choices, float(budget.loss or 0.0), time_limit_s=time_limit_s)
    bits = {module: found.bits[group[0]] for group in fused_groups(model, name) for module in group}
    plan = make_plan("solved", model, lambda weight: bits[weight.module], options)
    return SolvedPlan(plan, found.bytes + fixed, found.loss, found.proven)


def plan_choices(
    model: Architecture, losses: Mapping[str, Mapping[int, float]], name: str, plan: Plan
) -> dict[str, dict[Bits, Choice]]:
    """Return what each group of the format costs at 16, 8 and 4 bits where it can be stored so, by its first module."""
    form, weights = format_of(name), {w.module: w for w in model.weights if is_projection(w)}
    if missing := sorted(set(weights) - set(losses)):
        raise ModelError(f"losses: expected every projection of the model, got none of {missing[0]}: of another model?")
    found: dict[str, dict[Bits, Choice]] = {}
    for group in fused_groups(model, name):
        members = [weights[module] for module in group]
        allowed = [bits for bits in _BITS if all(_storable(weight, bits, name) for weight in members)]
        found[group[0]] = {
            bits: Choice(
                sum(form.matrix_bytes(weight, bits, plan) for weight in members),
                fsum(_loss(losses, module, bits) for module in group),
            )
            for bits in allowed
        }
    return found


def least_loss(choices: Choices, byte_budget: int, *, fixed: int = 0, time_limit_s: float = 60.0) -> Solution:
    """Return the choices of least summed loss with at most `byte_budget` bytes, `fixed` of which are taken.

    Raises ConfigError, naming the least bytes, for a budget below them; CapabilityError where time runs out first.
    """
    least = fixed + sum(min(choice.bytes for choice in of_group.values()) for of_group in choices.values())
    if byte_budget < least:
        raise ConfigError(
            f"budget: expected at least {least:,} bytes, what the fewest bits take, got {byte_budget:,}: "
            f"{least - byte_budget:,} bytes short"
        )
    scale = _loss_scale(choices)
    return _Problem(
        choices,
        cost=lambda choice: scale * choice.loss,
        taken=lambda choice: choice.bytes / _KIB,
        room=(byte_budget - fixed) / _KIB,
        unit=1 / scale,
    ).solve(lambda found: found.loss, lambda found: (found.bytes + fixed - byte_budget) / _KIB, time_limit_s)


def fewest_bytes(choices: Choices, loss_budget: float, *, time_limit_s: float = 60.0) -> Solution:
    """Return the choices of fewest bytes with a summed loss of at most `loss_budget`, to 1e-9 of all losses.

    Raises ConfigError for a budget below what the most bits lose, CapabilityError where time runs out first.
    """
    least = fsum(min(choice.loss for choice in of_group.values()) for of_group in choices.values())
    if loss_budget < least:
        raise ConfigError(f"budget: expected a loss of at least {least:.3g}, the least there is, got {loss_budget:g}")
    scale = _loss_scale(choices)
    return _Problem(
        choices,
        cost=lambda choice: choice.bytes / _KIB,
        taken=lambda choice: scale * choice.loss,
        room=scale * loss_budget,
        unit=_KIB,
    ).solve(
        lambda found: found.bytes, lambda found: scale * (found.loss - loss_budget) - _SAME * _TOTAL_LOSS, time_limit_s
    )


@dataclass(frozen=True)
class _Problem:
    """One choice a group, least summed `cost`, at most `room` summed `taken`; `unit` is one of cost in the answer."""

    choices: Choices
    cost: Callable[[Choice], float]
    taken: Callable[[Choice], float]
    room: float
    unit: float

    def solve(
        self, objective: Callable[[Solution], float], excess: Callable[[Solution], float], time_limit_s: float
    ) -> Solution:
        """Solve; where rounding let the sum exceed its room, solve again with that much less."""
        room, bound = self.room, -inf
        for attempt in range(_TRIES):
            found, below = self._once(room, time_limit_s)
            bound = below if attempt == 0 else bound  # later rooms are smaller: only the first bounds the question
            over = excess(found)
            if over <= 0:
                value = objective(found)
                proven = value - bound <= _SAME * max(abs(value), self.unit)
                return Solution(found.bits, found.bytes, found.loss, bound, proven)
            room -= 2.0**attempt * over
        raise CapabilityError("plan: rounding kept every answer above the budget: give another budget")

    def _once(self, room: float, time_limit_s: float) -> tuple[Solution, float]:
        programme, variables, rows = Programme(), dict[int, tuple[str, Bits]](), []
        for name, of_group in self.choices.items():
            ones = []
            for bits, choice in _undominated(of_group).items():
                index = programme.variable(self.cost(choice), integral=True)
                variables[index] = (name, bits)
                ones.append((index, 1.0))
                rows.append((index, self.taken(choice)))
            programme.equal(ones, 1.0)
        programme.at_most(rows, room)
        solution = programme.solve(time_limit_s=time_limit_s)
        if solution.values is None:
            raise CapabilityError(f"plan: no plan was found within {time_limit_s:g} s: raise the time limit")
        taken = dict(variables[index] for index in variables if solution.values[index] > 0.5)
        chosen = [self.choices[name][count] for name, count in taken.items()]
        total = Solution(taken, sum(c.bytes for c in chosen), fsum(c.loss for c in chosen), -inf, proven=False)
        return total, solution.bound * self.unit


def _undominated(of_group: Mapping[Bits, Choice]) -> dict[Bits, Choice]:
    """Leave out choices that another one beats in bytes without losing more: no budget makes them right."""
    kept: dict[Bits, Choice] = {}
    for bits, choice in sorted(of_group.items(), key=lambda item: (item[1].bytes, item[1].loss)):
        if all(choice.loss < other.loss for other in kept.values()):
            kept[bits] = choice
    return kept


def _loss_scale(choices: Choices) -> float:
    total = fsum(max(abs(choice.loss) for choice in of_group.values()) for of_group in choices.values())
    return _TOTAL_LOSS / total if total > _NO_LOSS else 1.0


def _storable(weight: Weight, bits: Bits, name: str) -> bool:
    return format_of(name).stored(weight, bits) == bits and (bits != 4 or holds_four_bits(weight))


def _loss(losses: Mapping[str, Mapping[int, float]], module: str, bits: Bits) -> float:
    """Return a measured loss; noise below zero counts as none. Raises ModelError for one that was not measured."""
    if bits == 16:
        return 0.0
    value = losses[module].get(bits)
    if value is None or not isfinite(value):
        raise ModelError(f"losses: expected a finite loss of {module} at {bits} bits, got {value}: measure it")
    return max(0.0, value)
