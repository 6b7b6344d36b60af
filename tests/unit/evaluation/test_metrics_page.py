"""The page on metrics is its definitions and its record; the record tells good answers from bad ones."""

import json
import re

import pytest

from jobs.metrics_report import ANSWERS, MEASURES, PAGE, RECORD, main, page
from medray.evaluation.metrics.open_answers import measure
from medray.evaluation.metrics.scores import MAS_WEIGHTS
from medray.inference.response_cache.embedders import StaticEmbedder


@pytest.fixture(scope="module")
def record():
    return json.loads(RECORD.read_text(encoding="utf-8"))


def test_the_page_is_the_record(record):
    assert PAGE.read_text(encoding="utf-8") == page(record)
    changed = json.loads(json.dumps(record))
    changed["means"]["nothing"]["mas"] = 5.0
    assert page(changed) != page(record)


def ranked(means):
    """Return whether the answers stand in the order of their worth."""
    mas = {name: own["mas"] for name, own in means.items()}
    worse = ("its first half", "its negations dropped", "another question's reference")
    return (
        mas["the reference"] == 10
        and all(mas[name] < 10 for name in worse)
        and mas["another question's reference"] < mas["its first half"]
        and mas["the question repeated"] == mas["nothing"] == 0
        and _fallen_most(means, "its numbers changed") == "number_fidelity"
    )


def _fallen_most(means, answer):
    """Return the figure of 0 to 1 that an answer costs most. Numbers in words are left as they were by the change."""
    shares = [name for name in MEASURES if name not in ("mas", "cos", "tss")]
    return min(shares, key=lambda name: means[answer][name] - means["the reference"][name])


def test_good_answers_stand_above_bad_ones(record):
    assert set(ANSWERS) <= set(record["means"]) and record["references"] >= 40
    assert ranked(record["means"])
    best = record["means"]["the reference"]
    for own in record["means"].values():
        assert all(own.get(name, 0) <= best[name] + 1e-6 for name in MEASURES if name in best)


def test_a_record_in_which_a_bad_answer_wins_is_refused(record):
    changed = json.loads(json.dumps(record["means"]))
    changed["the question repeated"]["mas"] = 6.0
    assert not ranked(changed)


def test_the_definitions_name_every_figure_and_the_weights_in_use(record):
    text = page(record)
    reference = "Take ibuprofen 400 mg daily. Do not take warfarin. Call 911."
    figures = measure(reference, reference, "What helps?", category="emergency", embedder=StaticEmbedder())
    assert all(f"`{name}`" in text or name.upper() in text for name in figures)
    assert " + ".join(f"{weight:g} x {name.replace('_', ' ')}" for name, weight in MAS_WEIGHTS.items()) in text
    assert not re.search(r"\{(?:MAS|COS|TSS)\}", text)


def test_a_file_that_is_not_there_is_an_input_error(tmp_path, capsys):
    assert main([str(tmp_path / "none.parquet")]) == 2
    assert "none.parquet" in capsys.readouterr().err
