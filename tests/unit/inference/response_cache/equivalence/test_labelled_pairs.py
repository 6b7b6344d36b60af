"""The rules on every labelled pair of the repository: those they were written with, and those they had not seen."""

import json
from collections import Counter
from pathlib import Path

import pytest

from medray.inference.response_cache.equivalence import compare, profile

PAIRS = Path(__file__).parents[1] / "pairs"
MINIMAL = sorted(PAIRS.glob("*minimal.jsonl"))
PARAPHRASES = sorted(PAIRS.glob("*paraphrases.jsonl"))


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def profiles(path):
    return [(row, profile(row["a"]), profile(row["b"])) for row in read(path) if not row.get("disputed")]


@pytest.mark.parametrize("path", MINIMAL, ids=lambda path: path.stem)
def test_no_minimal_pair_is_equivalent(path):
    hits = [row["a"] for row, a, b in profiles(path) if not compare(a, b)]
    assert hits == []


@pytest.mark.parametrize("path", PARAPHRASES, ids=lambda path: path.stem)
def test_most_paraphrases_are_equivalent(path):
    found = profiles(path)
    hits = sum(not compare(a, b) for _, a, b in found)
    assert hits >= 0.8 * len(found), f"{hits} of {len(found)}"


@pytest.mark.parametrize(
    ("field", "kind"),
    [
        ("question", "question_asked"),
        ("drug", "drug"),
        ("finding", "type"),
        ("dose", "dose"),
        ("number", "number_lab"),
        ("negation", "negation"),
        ("direction", "before_after"),
        ("population", "sex"),
        ("route", "route"),
        ("frequency", "frequency"),
        ("duration", "duration"),
        ("laterality", "laterality"),
        ("time", "time_of_day_or_onset"),
        ("type", "type"),
        ("unaccounted", "direction"),
        ("role", "roles_order"),
    ],
)
def test_rules_blind_to_one_element_are_caught(field, kind):
    """The mutants: without an element, pairs that differ in nothing else become false hits."""
    missed = Counter(
        row["kind"]
        for path in MINIMAL
        for row, a, b in profiles(path)
        if a._replace(**{field: ()}) == b._replace(**{field: ()})
    )
    assert missed[kind] > 0


def test_the_first_figures_on_unseen_pairs_stay_as_they_came_out(root):
    """What was measured before the rules' writers read set a: 0 false hits, and far too few paraphrases."""
    first = json.loads((root / "docs/results/cache_equivalence_blind_a.json").read_text())
    assert (first["false_hits"]["hits"], first["false_hits"]["n"]) == (0, 315)
    assert (first["paraphrases_hit"]["hits"], first["paraphrases_hit"]["n"]) == (57, 150)
