"""Orders in which an item's options are shown: the file's own first, then seeded ones. A pure function of its input.

What a model prefers by place and not by content shows in how its answers change with the order.
"""

import math
import random
from collections.abc import Sequence


def orders(item_id: str, options: int, repeats: int, seed: int) -> list[tuple[int, ...]]:
    """Return `repeats` orders: place shown -> place in the file. All differ while there are enough of them."""
    generator = random.Random(f"{seed}\0{item_id}")  # noqa: S311 - an order to show, no secret
    own = tuple(range(options))
    made = [own]
    seen = {own}
    while len(made) < repeats:
        if len(seen) == math.factorial(options):
            seen = set()
        order = tuple(generator.sample(own, options))
        if order not in seen:
            seen.add(order)
            made.append(order)
    return made[:repeats]


def shown(options: Sequence[str], order: Sequence[int]) -> tuple[str, ...]:
    """Return the options in an order. Inverse: `order[place]` is the place in the file."""
    return tuple(options[place] for place in order)
