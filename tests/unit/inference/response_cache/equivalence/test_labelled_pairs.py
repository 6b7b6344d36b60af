"""The rules on every labelled pair of the repository: those they were written with, and those they had not seen."""

import json
from collections import Counter
from pathlib import Path

import pytest

from jobs.cache_held_out import PAGE, RESULTS, measure, render
from medray.errors import DataError
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


# What the rules reach now, so that it is not lost; the goal is 0.85 on each, and on pairs that nobody here has seen.
REACHED = {
    "paraphrases": 0.92,
    "held_out_a_paraphrases": 0.81,
    "held_out_b_paraphrases": 0.74,
    "held_out_c_paraphrases": 0.46,
    "shapes_paraphrases": 0.84,
}


@pytest.mark.parametrize("path", PARAPHRASES, ids=lambda path: path.stem)
def test_as_many_paraphrases_as_before_are_equivalent(path):
    found = profiles(path)
    hits = sum(not compare(a, b) for _, a, b in found)
    assert hits >= REACHED[path.stem] * len(found), f"{hits} of {len(found)}"


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


@pytest.mark.parametrize(("name", "false", "found"), [("a", 0, 57), ("b", 1, 76), ("c", 0, 53)])
def test_the_first_figures_on_unseen_pairs_stay_as_they_came_out(root, name, false, found):
    """What was measured before the rules' writers read the sets: few false hits, and far too few paraphrases."""
    first = json.loads((root / f"docs/results/cache_equivalence_blind_{name}.json").read_text())
    assert (first["false_hits"]["hits"], first["false_hits"]["n"]) == (false, 315)
    assert (first["paraphrases_hit"]["hits"], first["paraphrases_hit"]["n"]) == (found, 150)


def test_the_page_of_unseen_pairs_is_made_from_the_results(root):
    results = [json.loads((root / path).read_text()) for path in RESULTS]
    assert (root / PAGE).read_text() == render(results)


@pytest.mark.parametrize("name", ["a", "b", "c"])
def test_the_later_figures_are_of_the_present_rules(root, name):
    later = json.loads((root / f"docs/results/cache_equivalence_after_{name}.json").read_text())
    found = measure(
        PAIRS / f"held_out_{name}_minimal.jsonl", PAIRS / f"held_out_{name}_paraphrases.jsonl", later["set"]
    )
    assert {**found, "provenance": 0, "rules_version": 0} == {**later, "provenance": 0, "rules_version": 0}


def test_a_held_out_measurement_counts_hits_both_ways(tmp_path):
    """The mutant: paraphrases among the minimal pairs are false hits; a disputed row counts in one figure only."""
    row = {"a": "What causes gout?", "b": "What are the causes of gout?", "kind": "drug"}
    (tmp_path / "m").write_text(json.dumps(row) + "\n" + json.dumps({**row, "disputed": "the same"}))
    (tmp_path / "p").write_text(json.dumps({"a": "What is gout?", "b": "What causes gout?"}))
    found = measure(tmp_path / "m", tmp_path / "p", "mutant")
    assert found["false_hits"]["hits"] == 2
    assert found["false_hits_undisputed"]["hits"] == 1
    assert found["paraphrases_hit"]["hits"] == 0
    (tmp_path / "p").write_text('{"a": "What is gout?"}')
    with pytest.raises(DataError, match="line 1"):
        measure(tmp_path / "m", tmp_path / "p", "broken")
