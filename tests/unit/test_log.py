"""Logs cannot hold text: whatever is passed, sentences do not come out."""

import json

from hypothesis import given
from hypothesis import strategies as st

from medray import log

QUESTION = "Mrs Jones, 54, takes warfarin: may she have ibuprofen?"


def lines(capsys):
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_names_and_numbers_pass(capsys):
    log.event("replica_ready", pool="adapter-main", seconds=1.5, ok=True, artifact="0a1b2c3d4e5f", path="runs/a.b/c")
    (line,) = lines(capsys)
    assert line["event"] == "replica_ready"
    assert (line["pool"], line["seconds"], line["ok"], line["artifact"]) == ("adapter-main", 1.5, True, "0a1b2c3d4e5f")
    assert line["path"] == "runs/a.b/c"


def test_text_is_withheld_at_any_depth(capsys):
    log.event(
        "oops", question=QUESTION, nested={"a": [QUESTION, {"b": QUESTION}]}, error=ValueError(QUESTION), other=object()
    )
    log.event(QUESTION, level="warning")
    log.event("keys", nested={QUESTION: 1})
    text = json.dumps(lines(capsys))
    for word in ("Jones", "warfarin", "ibuprofen"):
        assert word not in text
    assert f"<withheld: {len(QUESTION)} characters>" in text
    assert "ValueError" in text


@given(st.text())
def test_nothing_with_white_space_or_great_length_passes(text):
    shown = log.safe(text)
    assert shown == text or shown == f"<withheld: {len(text)} characters>"
    if shown == text:
        assert len(text) <= 120
        assert not any(character.isspace() for character in text)
