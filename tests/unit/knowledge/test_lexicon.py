"""The lexicon is data that can be edited; contradictions are refused when it is read."""

import pytest

from medray.errors import ConfigError
from medray.knowledge.lexicon import load_lexicon, parse_lexicon
from medray.knowledge.tokens import PhraseMatcher, fold_phrase, tokenize

HEAD = """
version: "1"
ignored_words: [the]
negation: {negators: ["no"], exceptions: [], window: 3}
context: {topic: ["what is"], acute: ["right now"]}
categories:
"""


def test_the_packaged_lexicon_is_valid_and_hashed():
    lexicon = load_lexicon()
    assert lexicon is load_lexicon()
    assert len(lexicon.content_hash) == 16


@pytest.mark.parametrize(
    ("categories", "word"),
    [
        ("  surgery: {a: {weight: 1, keywords: [knife]}}", "surgery"),
        ("  general: {a: {weight: 1, keywords: [hello]}}", "general"),
        ("  medication: {a: {weight: 1, keywords: [pill]}}\n  treatment: {a: {weight: 1, keywords: [pills]}}", "pills"),
        ("  medication: {a: {weight: 1, keywords: [pill]}, b: {weight: 2, keywords: [the pill]}}", "twice"),
        ("  medication: {a: {weight: 0, keywords: [pill]}}", "weight"),
        ("  medication: {a: {weight: 1, keyword: [pill]}}", "keyword"),
        ("  medication: {a: {weight: 1, keywords: [the]}}", "no word"),
        ("  medication: {a: {weight: 1, kind: alarm, keywords: [pill]}}", "kind"),
        ("  medication: {a: {weight: 1, near: [{first: [], second: [pill], within: 2}]}}", "first"),
    ],
)
def test_a_contradiction_is_refused_by_name(categories, word):
    with pytest.raises(ConfigError, match=word):
        parse_lexicon(HEAD + categories)


def test_two_classes_may_share_a_keyword_with_different_weights():
    parse_lexicon(
        HEAD + "  medication: {a: {weight: 2, keywords: [pill]}}\n  treatment: {a: {weight: 1, keywords: [pill]}}"
    )


def test_text_that_is_no_mapping_is_refused():
    with pytest.raises(ConfigError, match="mapping"):
        parse_lexicon("- a")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("tablets", "tablet"),
        ("rashes", "rash"),
        ("headaches", "headache"),
        ("allergies", "allergy"),
        ("father's", "father"),
        ("isn\u2019t", "isn't"),
        ("ＰＩＬＬ", "pill"),
        ("stitches", "stitch"),
    ],
)
def test_forms_that_fold_together(one, other):
    assert fold_phrase(one) == fold_phrase(other)


@pytest.mark.parametrize(
    ("one", "other"), [("what's", "what"), ("he's", "he"), ("virus", "viru"), ("illness", "illnes")]
)
def test_forms_that_stay_apart(one, other):
    assert fold_phrase(one) != fold_phrase(other)


def test_numbers_part_from_their_unit():
    assert [token.text for token in tokenize("500mg, 37.5")] == ["500", "mg", ",", "37.5"]


def test_a_match_inside_a_longer_one_is_left_out():
    matcher = PhraseMatcher({("a",): 1, ("a", "b"): 2, ("b",): 3, ("b", "c"): 4})
    assert [(m.start, m.end, m.value) for m in matcher.find(["a", "b", "c"])] == [(0, 2, 2), (1, 3, 4)]
