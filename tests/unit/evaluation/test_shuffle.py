"""Orders of options: seeded, distinct, the file's own first."""

import math

from hypothesis import given
from hypothesis import strategies as st

from medray.evaluation.shuffle import orders, shown


@given(st.text(min_size=1, max_size=8), st.integers(1, 5), st.integers(1, 30), st.integers(0, 3))
def test_orders_are_permutations_and_differ_while_they_can(item_id, options, repeats, seed):
    made = orders(item_id, options, repeats, seed)
    assert len(made) == repeats and made[0] == tuple(range(options))
    assert all(sorted(order) == list(range(options)) for order in made)
    assert len(set(made)) == min(repeats, math.factorial(options))
    assert made == orders(item_id, options, repeats, seed)


def test_an_order_says_which_place_of_the_file_is_shown_where():
    assert shown(("w", "x", "y", "z"), (2, 0, 3, 1)) == ("y", "w", "z", "x")


def test_items_and_seeds_get_orders_of_their_own():
    assert len({orders(f"item{n}", 4, 2, 0)[1] for n in range(60)}) > 15
    assert any(orders("a", 4, 2, seed)[1] != orders("a", 4, 2, 0)[1] for seed in range(1, 9))


def test_every_option_comes_to_every_place_about_equally_often():
    counts = [0] * 4
    for number in range(400):
        for order in orders(f"i{number}", 4, 5, 7)[1:]:
            counts[order.index(0)] += 1
    # The identity is given, so the other orders hold option 0 at place 0 in 5 of 23 cases.
    assert abs(counts[0] / 1600 - 5 / 23) < 0.05 and all(abs(count / 1600 - 6 / 23) < 0.05 for count in counts[1:])
