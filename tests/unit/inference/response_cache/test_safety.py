"""The published figures: the shipped calibration and the page are what the repository's pairs and rules give."""

import json
from pathlib import Path

import pytest

from medray.errors import DataError
from medray.inference.response_cache.calibration import shipped
from medray.inference.response_cache.clinical import ClinicalRules
from medray.inference.response_cache.safety import counting, eq8
from medray.inference.response_cache.safety.calibrating import count_classes
from medray.inference.response_cache.safety.page import render
from medray.inference.response_cache.safety.pairs import Pair, Pairs, read_pairs

PAIRS = Path(__file__).with_name("pairs")


@pytest.fixture(scope="module")
def pairs():
    return read_pairs(PAIRS)


def test_the_shipped_calibration_counts_the_present_rules(pairs):
    counts = count_classes(pairs.minimal, counting.equivalence_hits(ClinicalRules(), pairs.minimal))
    assert shipped().classes == counts, "rules or pairs changed: run `medray cache calibrate`"
    assert shipped().pairs_sha256 == pairs.sha256, "pairs changed: run `medray cache calibrate`"


def test_the_page_is_made_from_the_results(root):
    result = json.loads((root / "docs/results/cache_safety.json").read_text())
    assert (root / "docs/cache-safety.md").read_text() == render(result)


def test_the_results_are_of_these_pairs(root, pairs):
    result = json.loads((root / "docs/results/cache_safety.json").read_text())
    assert result["pairs_sha256"] == pairs.sha256, "pairs changed: run `medray cache safety-report`"
    said = counting.equivalence_hits(ClinicalRules(), pairs.minimal)
    assert result["rules"]["all"]["hits"] == sum(said.values()), "rules changed: run `medray cache safety-report`"


def test_there_are_enough_pairs_of_each_kind(pairs):
    sizes = {kind: sum(pair.kind == kind for pair in pairs.minimal) for kind in pairs.kinds()}
    assert len(pairs.minimal) >= 600
    assert len(pairs.paraphrases) >= 300
    assert min(sizes.values()) >= 30


def test_a_rule_that_sees_no_difference_is_counted(make_cache, scope):
    """The mutant: rules that call everything equivalent make every pair a false hit, alone and end to end."""

    class Blind:
        profile = staticmethod(lambda text: text)
        compare = staticmethod(lambda a, b: [])
        terms = staticmethod(lambda text, profile: frozenset({"same"}))
        size_bytes = staticmethod(lambda profile: 0)
        conflicts = staticmethod(lambda a, b: [])

    minimal = (
        Pair("1", "What is the dose of paracetamol?", "What is the dose of ibuprofen?", "drug"),
        Pair("2", "Is 5 mg of warfarin high?", "Is 50 mg of warfarin high?", "dose"),
        Pair("3", "What dose for my son?", "What dose for my daughter?", "sex"),
    )
    pairs = Pairs(minimal, (), "")
    assert all(counting.equivalence_hits(Blind(), minimal).values())
    found = counting.end_to_end(lambda: make_cache(equivalence=Blind()), pairs.minimal)
    assert (found["drug"].hits, found["dose"].hits) == (1, 1)
    assert (found["sex"].n, found["sex"].refused) == (0, 1)  # never tried: not a safe answer


def test_eq8_alone_counts_by_hand():
    import numpy as np

    different = eq8.Parts(np.array([0.5, 0.9]), np.array([0.9, 0.4]))
    same = eq8.Parts(np.array([1.0, 0.2]), np.array([0.8, 0.5]))
    assert different.at(0.5).tolist() == pytest.approx([0.7, 0.65])
    row = eq8.alone_at(different, same, 0.5, 0.66)
    assert (row["false_hits"], row["n"], row["paraphrase_hits"], row["paraphrases"]) == (1, 2, 1, 2)


@pytest.mark.parametrize("line", ["{", '{"id": "1", "a": "x"}', '{"id": "1", "a": "x", "b": " "}', '["a"]'])
def test_bad_pairs_are_refused_by_line(tmp_path, line):
    (tmp_path / "minimal.jsonl").write_text("")
    (tmp_path / "paraphrases.jsonl").write_text('{"id": "0", "a": "x", "b": "y"}\n' + line)
    with pytest.raises(DataError, match="line 2"):
        read_pairs(tmp_path)
