"""Lexicons with further names: one's own YAML, a table, and the real medquad_terms."""

import json

import pytest

from medray.errors import ConfigError, DataError
from medray.evaluation.generation_config import OpenAnswerConfig
from medray.evaluation.metrics.concepts import concepts
from medray.evaluation.metrics.open_answers import OpenAnswerMetrics
from medray.evaluation.metrics.terms import load_lexicon, with_terms
from medray.evaluation.schema import Item
from medray.knowledge.entities import Lexicon

ROWS = [
    {"term": "Zebra Syndrome", "synonyms": ["Stripe disease", "ZS"], "semantic_group": "Disorders"},
    {"term": "Heart seizure", "synonyms": ["Heart attack"], "semantic_group": "Disorders"},
    {"term": "Zebrazole", "synonyms": None, "category": "Drug", "semantic_group": None},
    {"term": "A guide to zebras", "synonyms": ["Horses"], "category": "Other"},
]


def test_synonyms_are_one_concept_with_polarity():
    lexicon = with_terms(Lexicon.load(), ROWS)
    found = concepts("It is stripe disease, not zebra syndrome. Take zebrazole.", lexicon)
    assert found["finding", "zebra syndrome"] == {"affirmed", "negated"}
    assert found["drug", "zebrazole"] == {"affirmed"}
    assert "zebra" not in str(concepts("A guide to zebras and horses.", lexicon))


def test_names_the_package_knows_keep_their_meaning_and_give_it():
    lexicon = with_terms(Lexicon.load(), ROWS)
    known = concepts("He had a heart attack.")
    assert (
        known and concepts("He had a heart seizure.", lexicon) == concepts("He had a heart attack.", lexicon) == known
    )


def test_the_packaged_lexicon_is_left_as_it_was():
    before = dict(Lexicon.load().phrases)
    with_terms(Lexicon.load(), ROWS)
    assert Lexicon.load().phrases == before
    assert load_lexicon("") is Lexicon.load()


def test_coverage_counts_synonyms_of_a_users_table(tmp_path):
    path = tmp_path / "terms.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in ROWS), encoding="utf-8")
    item = Item("o", "own", "open", "What has he?", "He has Zebra Syndrome.")
    plain, own = (
        OpenAnswerMetrics(OpenAnswerConfig(embedder="", terms=terms)).scores(item, "Stripe disease.")
        for terms in ("", str(path))
    )
    assert "knowledge_coverage" not in plain and own["knowledge_coverage"] == 1


def test_a_users_yaml_lexicon(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text("drugs:\n  zebrazole: [zbz]\n", encoding="utf-8")
    assert concepts("Take zbz.", load_lexicon(str(path))) == {("drug", "zebrazole"): {"affirmed"}}
    path.write_text("colours:\n  red: [crimson]\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="colours"):
        load_lexicon(str(path))


@pytest.mark.parametrize("text", ["secret", '{"name": "secret"}', "[1]"])
def test_a_table_of_another_kind_is_named_without_its_text(tmp_path, text):
    path = tmp_path / "terms.jsonl"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match="term and synonyms") as caught:
        load_lexicon(str(path))
    assert "secret" not in str(caught.value)
    with pytest.raises(DataError):
        load_lexicon(str(tmp_path / "none.parquet"))


def test_medquad_terms_add_thousands_of_names(shared_data):
    lexicon = load_lexicon(str(shared_data / "medquad_terms.parquet"))
    assert len(lexicon.phrases) > len(Lexicon.load().phrases) + 15_000
    one, other = (concepts(f"This is {name}.", lexicon) for name in ("avascular necrosis", "ischemic bone necrosis"))
    assert one == other != {}
