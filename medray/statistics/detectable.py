"""How large a difference must be for a run of n items to show it, said before the run is made."""

import math
from collections.abc import Callable

POWER = 0.8
LEVEL = 0.05


def detectable_paired(n: int, discordant: float, *, level: float = LEVEL, power: float = POWER) -> float:
    """Least difference in accuracy between two systems that McNemar's test finds with this power.

    `discordant` is the share of items that exactly one system gets right; a difference cannot exceed it. Normal
    approximation of Miettinen (1968): sqrt(n) d = z_level sqrt(psi) + z_power sqrt(psi - d^2), solved for d.
    """
    if n <= 0 or not 0.0 < discordant <= 1.0:
        raise ValueError("expected n > 0 and a discordant share in (0, 1]")
    z_level, z_power = _z(1 - level / 2), _z(power)

    def excess(difference: float) -> float:
        spread = math.sqrt(max(discordant - difference**2, 0.0))
        return math.sqrt(n) * difference - z_level * math.sqrt(discordant) - z_power * spread

    return _root(excess, discordant)


def detectable_from_chance(n: int, chance: float, *, level: float = LEVEL, power: float = POWER) -> float:
    """Least accuracy above chance that a two-sided binomial test finds with this power (normal approximation)."""
    if n <= 0 or not 0.0 < chance < 1.0:
        raise ValueError("expected n > 0 and a chance in (0, 1)")
    z_level, z_power = _z(1 - level / 2), _z(power)

    def excess(difference: float) -> float:
        true = chance + difference
        return (
            math.sqrt(n) * difference
            - z_level * math.sqrt(chance * (1 - chance))
            - z_power * math.sqrt(max(true * (1 - true), 0.0))
        )

    return _root(excess, 1.0 - chance)


def _root(excess: Callable[[float], float], limit: float) -> float:
    """Return where `excess` crosses zero in (0, limit], or the limit where it never does."""
    from scipy.optimize import brentq

    return limit if excess(limit) < 0 else float(brentq(excess, 0.0, limit))


def _z(share: float) -> float:
    from scipy.stats import norm

    return float(norm.ppf(share))
