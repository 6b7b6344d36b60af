"""Counting errors, the command around it, and the page that must equal its JSON."""

import json

import pytest

from medray.errors import DataError, InputError
from medray.knowledge.confusion import confusion
from medray.knowledge.confusion_report import main, render_page
from medray.knowledge.labelled import read_labelled

RESULTS = ["classification_first.json", "classification_second.json", "classification.json"]


def test_counts_by_hand():
    found = confusion(
        [("emergency", "emergency"), ("emergency", "general"), ("treatment", "emergency"), ("treatment", "treatment")]
    )
    assert found.accuracy.value == 0.5
    assert (found.recall("emergency").hits, found.recall("emergency").total) == (1, 2)
    assert found.precision("emergency").value == 0.5
    assert found.recall("prevention").value is None


def test_an_unknown_class_is_refused():
    with pytest.raises(InputError):
        confusion([("emergency", "astrology")])


def test_the_command_writes_counts_and_a_page(tmp_path):
    questions, out, page = tmp_path / "q.jsonl", tmp_path / "r" / "out.json", tmp_path / "page.md"
    questions.write_text(
        '{"question": "What is the dose of aspirin?", "category": "medication"}\n'
        '{"question": "hello", "category": "emergency"}\n'
    )
    assert main([str(questions), "--out", str(out), "--page", str(page)]) == 0
    result = json.loads(out.read_text())
    assert result["sets"][0]["accuracy"] == {"hits": 1, "total": 2, "value": 0.5}
    assert {"commit", "seed", "config_hash", "machine"} <= result["provenance"].keys()
    assert "50.0 % (1/2)" in page.read_text()


@pytest.mark.parametrize(
    "text", ["", "not json\n", '{"question": "x"}\n', '{"question": "x", "category": "magic"}\n', "[1]\n"]
)
def test_a_bad_file_is_one_clear_line_and_no_result(tmp_path, capsys, text):
    questions, out = tmp_path / "q.jsonl", tmp_path / "out.json"
    questions.write_text(text)
    assert main([str(questions), "--out", str(out)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not out.exists()


def test_a_missing_or_truncated_file_is_refused(tmp_path):
    (tmp_path / "cut.parquet").write_bytes(b"PAR1")
    for name in ["absent.jsonl", "cut.parquet"]:
        with pytest.raises(DataError):
            read_labelled(tmp_path / name)


def test_the_page_is_the_json_rendered(root):
    results = [root / "docs/results" / name for name in RESULTS]
    assert (root / "docs/classification.md").read_text(encoding="utf-8") == render_page(results)


def test_a_changed_figure_changes_the_page(root, tmp_path):
    path = root / "docs/results" / RESULTS[0]
    mutant = json.loads(path.read_text())
    mutant["sets"][0]["accuracy"]["hits"] += 1
    (tmp_path / path.name).write_text(json.dumps(mutant))
    assert render_page([tmp_path / path.name]) != render_page([path])
