"""Groups of wordings of one question, written for the language and not for a measured pair: most must be read alike."""

from itertools import combinations
from pathlib import Path

from medray.inference.response_cache.equivalence import compare, profile

GROUPS = [
    [profile(line) for line in paragraph.splitlines() if not line.startswith("#")]
    for paragraph in Path(__file__).with_name("frames.txt").read_text(encoding="utf-8").strip().split("\n\n")
]


def test_most_wordings_of_a_question_are_read_alike():
    found = [not compare(group[0], other) for group in GROUPS for other in group[1:]]
    assert len(found) > 500
    assert sum(found) >= 0.93 * len(found), f"{sum(found)} of {len(found)}"


def test_no_wording_is_read_as_one_of_another_question():
    """The mutant: without what is asked, groups about one thing fall together."""
    groups = [set(group) for group in GROUPS]
    assert not [a & b for a, b in combinations(groups, 2) if a & b]
    blind = [{found._replace(question=()) for found in group} for group in groups]
    assert any(a & b for a, b in combinations(blind, 2))
