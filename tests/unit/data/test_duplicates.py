"""Duplicates: what is one, what never is, and the mutants that these tests have to catch."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from corpora import qa
from hypothesis import given, settings
from hypothesis import strategies as st

from medray.data import duplicates
from medray.data.example import Example

THRESHOLD = 0.85
LONG = (
    "Take the tablet with a full glass of water and food. Tell your doctor about other medicines that you use. "
    "Swallow it whole, keep the packet in a dry place, and call a pharmacist when a dose was missed by some hours. "
    "Most people feel better within a few days, although it can need patience until the whole effect is seen."
)
Finder = Callable[[Sequence[Example]], list[int]]


def found(rows: Sequence[Example]) -> list[int]:
    """Return the indices of near duplicates, as the pipeline finds them."""
    bands = np.array([duplicates.band_keys(row, THRESHOLD) for row in rows], dtype=np.uint64)
    component = duplicates.components(bands)
    dropped: list[int] = []
    for first in np.unique(component):
        members = np.flatnonzero(component == first)
        repeats = duplicates.near_repeats([duplicates.shingles(rows[member]) for member in members], THRESHOLD)
        dropped += [int(members[index]) for index in repeats]
    return sorted(dropped)


def check_laws(find: Finder) -> None:
    """What any finder must do; mutants below must fail it."""
    base = qa("How should I take ibuprofen?", f"Take 400 mg every 6 hours. {LONG}")
    reworded = qa("How should I take ibuprofen?", f"Take 400 mg every 6 hours. {LONG} Really.")
    assert find([base, reworded]) == [1]
    assert find([base, qa("What is gout?", "A joint disease.")]) == []
    assert find([qa(f"How should I take {name}?", LONG) for name in BRANDS]) == []
    for other in DIFFERENT:
        assert find([base, other]) == [], other.question + other.answer[:30]


BRANDS = ("Tylenol", "Panadol")  # no list knows these names
DIFFERENT = [
    qa("How should I take ibuprofen?", f"Take 200 mg every 6 hours. {LONG}"),
    qa("How should I take ibuprofen?", f"Take 400 mcg every 6 hours. {LONG}"),
    qa("How should I take ibuprofen?", f"Take 400 mg every 6 days. {LONG}"),
    qa("How should I take ibuprofen?", f"Never take 400 mg every 6 hours. {LONG}"),
    qa("How should I take ibuprofen?", f"Take naproxen 400 mg every 6 hours. {LONG}"),
    qa("How should I take ibuprofen?", f"Take 400 mg every 6 hours once. {LONG}"),
    qa("How should I take naproxen?", f"Take 400 mg every 6 hours. {LONG}"),
    qa("How should I take hydroxyzine?", f"Take 400 mg every 6 hours. {LONG}"),
    qa("How should I not take ibuprofen?", f"Take 400 mg every 6 hours. {LONG}"),
]


def test_laws() -> None:
    check_laws(found)


@pytest.mark.parametrize(
    "texts",
    [
        ("once daily", "once weekly"),
        ("increase it", "decrease it"),
        ("5 mg", "0.5 mg"),
        ("HER2+", "HER2-"),
        ("at -5", "at 5"),
    ],
)
def test_a_schedule_or_direction_that_differs_is_another_lesson(texts: tuple[str, str]) -> None:
    left, right = (qa("How is methotrexate taken?", f"{text}. {LONG}") for text in texts)
    assert found([left, right]) == []


def test_the_same_boilerplate_under_other_conditions_stays() -> None:
    rows = [qa(f"Is {name} inherited?", LONG) for name in ("Angelman syndrome", "Lynch syndrome", "gout")]
    assert found(rows) == []


def test_exams_differ_by_options_and_key() -> None:
    def exam(options: tuple[str, ...], index: int) -> Example:
        return Example("x#1", "x", 1, "exam", "g", f"Which one? {LONG}", options[index], options, index)

    base = exam(("aspirin", "heparin"), 0)
    assert duplicates.exact_key(base) != duplicates.exact_key(exam(("aspirin", "heparin"), 1))
    assert duplicates.exact_key(base) != duplicates.exact_key(exam(("aspirin", "warfarin"), 0))
    assert found([base, exam(("aspirin", "warfarin"), 0)]) == []


def test_mutants_fail_the_laws(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AssertionError):
        check_laws(lambda rows: [])  # a filter that is off
    with pytest.raises(AssertionError):
        check_laws(lambda rows: list(range(1, len(rows))))  # one that drops everything
    monkeypatch.setattr(duplicates, "_guard", lambda example, row: 0)
    with pytest.raises(AssertionError):
        check_laws(found)  # no guard: a dose that differs is lost


@pytest.mark.parametrize("blind", ["critical", "function", "drug_like"])
def test_each_part_of_the_guard_is_needed(blind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lists = duplicates._lists()
    everything = frozenset(word for name in BRANDS for word in duplicates.words(name))
    never = duplicates.re.compile(r"(?!)")
    changed = {"critical": frozenset(), "function": everything, "drug_like": never}[blind]
    monkeypatch.setattr(duplicates, "_lists", lambda: lists._replace(**{blind: changed}))
    duplicates._is_critical.cache_clear()
    duplicates._is_drug_like.cache_clear()
    try:
        with pytest.raises(AssertionError):
            check_laws(found)
    finally:
        duplicates._is_critical.cache_clear()
        duplicates._is_drug_like.cache_clear()


@given(st.lists(st.integers(0, 5)))
def test_repeated_keeps_the_first_of_each(keys: list[int]) -> None:
    marks = duplicates.repeated(np.array(keys, dtype=np.uint64))
    assert [key for key, mark in zip(keys, marks, strict=True) if not mark] == list(dict.fromkeys(keys))


@given(st.lists(st.lists(st.integers(0, 6), min_size=3, max_size=3), max_size=12))
def test_components_agree_with_a_graph_search(rows: list[list[int]]) -> None:
    bands = np.array(rows, dtype=np.uint64).reshape(len(rows), 3)
    expected = list(range(len(rows)))
    for _ in rows:
        for left in range(len(rows)):
            for right in range(len(rows)):
                if any(a == b for a, b in zip(rows[left], rows[right], strict=True)):
                    expected[left] = expected[right] = min(expected[left], expected[right])
    assert duplicates.components(bands).tolist() == expected


@given(st.lists(st.frozensets(st.integers(0, 12), min_size=1), max_size=8), st.floats(0.5, 1))
def test_near_repeats_leaves_no_pair_at_the_threshold_and_drops_only_repeats(
    sets: list[frozenset[int]], threshold: float
) -> None:
    arrays = [np.array(sorted(items), dtype=np.uint32) for items in sets]
    dropped = set(duplicates.near_repeats(arrays, threshold))
    kept = [index for index in range(len(sets)) if index not in dropped]

    def similar(left: int, right: int) -> bool:
        return len(sets[left] & sets[right]) / len(sets[left] | sets[right]) >= threshold

    assert not any(similar(left, right) for left in kept for right in kept if left < right)
    assert all(any(similar(index, earlier) for earlier in kept if earlier < index) for index in dropped)


@settings(max_examples=20)
@given(st.integers(0, 2**32))
def test_pairs_at_the_threshold_share_a_band(seed: int) -> None:
    """The bands miss under 1 % of pairs at the threshold: 30 pairs lose more than 5 with probability under 1e-6."""
    generator = np.random.default_rng(seed)
    misses = 0
    for _ in range(30):
        tokens = ["w" + "".join(chr(97 + digit) for digit in digits) for digits in generator.integers(0, 26, (200, 5))]
        rows = [qa("What is it?", " ".join(tokens)), qa("What is it?", " ".join(tokens[:-16]))]
        assert duplicates.jaccard(*map(duplicates.shingles, rows)) >= THRESHOLD
        keys = [set(duplicates.band_keys(row, THRESHOLD)) for row in rows]
        misses += not keys[0] & keys[1]
    assert misses <= 5


@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.85, 0.95, 1.0])
def test_bands_fit_the_threshold(threshold: float) -> None:
    rows = duplicates.rows_per_band(threshold)
    assert (1 - threshold**rows) ** (duplicates.PERMUTATIONS // rows) <= 0.01
