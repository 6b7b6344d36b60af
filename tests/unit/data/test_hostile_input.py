"""Damaged and hostile corpora: one clear DataError for a file, a Reject for a row, never a crash or an expansion."""

import json
from pathlib import Path

import pytest
from corpora import lines, medquad_folder, table

from medray.data.example import Example, Reason, Reject
from medray.data.sources import open_corpus, read
from medray.data.sources.lines import MAX_LINE_BYTES
from medray.errors import DataError

GOOD = {"question": "What is gout?", "answer": "A joint disease."}

BILLION_LAUGHS = """<?xml version="1.0"?>
<!DOCTYPE Document [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;">]>
<Document><Focus>&c;</Focus><QAPairs><QAPair><Question>&c;</Question><Answer>&c;</Answer></QAPair></QAPairs></Document>
"""
EXTERNAL = """<?xml version="1.0"?><!DOCTYPE Document SYSTEM "file:///etc/hostname"><Document/>"""


def rows_of(path: Path) -> list[Example | Reject]:
    return [row for unit in open_corpus(str(path)) for row in read(unit)]


def reasons_of(path: Path) -> list[Reason | None]:
    return [row.reason if isinstance(row, Reject) else None for row in rows_of(path)]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (BILLION_LAUGHS, Reason.XML_WITH_DTD),
        (EXTERNAL, Reason.XML_WITH_DTD),
        ("<Document><Focus>cut", Reason.MALFORMED_XML),
        ("<Document>" * 5000, Reason.MALFORMED_XML),
        ("<Other><Document/></Other>", Reason.MALFORMED_XML),
        ("", Reason.MALFORMED_XML),
    ],
)
def test_a_bad_document_is_one_reject_and_the_others_are_read(tmp_path: Path, content: str, reason: Reason) -> None:
    folder = medquad_folder(tmp_path / "MedQuAD", ["Gout"])
    (folder / "1_Test_QA" / "0000009.xml").write_text(content, encoding="utf-8")
    assert reasons_of(folder) == [None, None, reason]


def test_a_document_in_broken_utf8_is_malformed(tmp_path: Path) -> None:
    folder = medquad_folder(tmp_path / "MedQuAD", ["Gout"])
    (folder / "1_Test_QA" / "0000009.xml").write_bytes(b"<Document><Focus>\xff\xfe</Focus></Document>")
    assert reasons_of(folder)[-1] is Reason.MALFORMED_XML


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"question": "cut', Reason.NOT_JSON),
        (b'{"question": "\xff", "answer": "x"}', Reason.NOT_UTF8),
        (b"[" * 200_000, Reason.NOT_JSON),
        (b'{"a":' * 100_000, Reason.NOT_JSON),
        (b"9" * 10_000, Reason.NOT_JSON),
        (b"[1, 2]", Reason.NOT_AN_OBJECT),
        (b'{"question": 7, "answer": "x"}', Reason.NOT_TEXT),
        (b'{"question": "q", "answer": ["x"]}', Reason.NOT_TEXT),
        (b'{"question": "q"}', Reason.MISSING_FIELD),
        (b'{"question": "\\ud800", "answer": "x"}', Reason.NOT_UTF8),
    ],
)
@pytest.mark.parametrize("at", [0, 1])
def test_a_bad_line_is_one_reject_wherever_it_stands(tmp_path: Path, line: bytes, reason: Reason, at: int) -> None:
    content = [json.dumps(GOOD).encode()] * 3
    content[at] = line
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"\n".join(content) + b"\n")
    found = rows_of(path)
    assert found[at] == Reject("rows.jsonl", at + 1, reason)
    assert [row.position for row in found] == [1, 2, 3] and sum(isinstance(row, Example) for row in found) == 2


def test_a_long_line_is_one_reject_and_the_next_is_read(tmp_path: Path) -> None:
    good = json.dumps(GOOD).encode()
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"\n".join([good, b'{"question": "' + b"x" * MAX_LINE_BYTES + b'", "answer": "x"}', good]))
    assert reasons_of(path) == [None, Reason.LINE_TOO_LONG, None]


def test_a_file_without_line_ends_does_not_fill_the_memory(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(json.dumps(GOOD).encode() + b"\n" + b"x" * (5 * MAX_LINE_BYTES))
    assert reasons_of(path) == [None, Reason.LINE_TOO_LONG]


def test_a_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(GOOD).encode())
    assert reasons_of(path) == [None]


@pytest.mark.parametrize("keep", [4, 200, -1])
def test_a_truncated_parquet_is_one_error(tmp_path: Path, keep: int) -> None:
    path = table(tmp_path / "rows.parquet", [GOOD] * 100)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match="expected a Parquet file, got a truncated or damaged one"):
        open_corpus(str(path))


def test_damaged_parquet_pages_are_one_error(tmp_path: Path) -> None:
    rows = [{"question": f"Question {number}?", "answer": f"answer {number * 7919}"} for number in range(5000)]
    path = table(tmp_path / "rows.parquet", rows, compression="zstd")
    content = bytearray(path.read_bytes())
    content[100:4000] = b"\x00" * 3900
    path.write_bytes(content)
    with pytest.raises(DataError, match="expected readable Parquet columns"):
        rows_of(path)


@pytest.mark.parametrize(
    "row", [{"frage": "x", "antwort": "y"}, {"question": "x"}, {"answer": "x"}, {"question": 1, "answer": "x"}]
)
def test_wrong_columns_are_named(tmp_path: Path, row: dict[str, object]) -> None:
    with pytest.raises(DataError, match="expected"):
        open_corpus(str(table(tmp_path / "rows.parquet", [row])))


@pytest.mark.parametrize(
    ("name", "content", "got"),
    [
        ("a.jsonl", b"", "an empty file"),
        ("a.json", b"[1, 2, 3]", "a JSON array"),
        ("a.json", b'{"cells": []}', "other JSON"),
        ("a.jsonl", b"question,answer\na,b\n", "plain text"),
        ("a.parquet", b"\x00\x01\x02", "binary data"),
        ("a.xml", b"<html></html>", "other XML or HTML"),
        ("a.json", b"[" * 100_000, "a JSON array"),
    ],
)
def test_a_file_of_no_known_format_says_what_it_looks_like(tmp_path: Path, name: str, content: bytes, got: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=got):
        open_corpus(str(path))


def test_a_pubmedqa_file_cut_short_is_one_error(tmp_path: Path) -> None:
    path = tmp_path / "ori.json"
    path.write_text('{"1": {"QUESTION": "a?", "LONG_ANSWER": "b', encoding="utf-8")
    with pytest.raises(DataError, match="expected one JSON object keyed by PMID"):
        rows_of(path)


def test_missing_and_empty_places_are_one_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="found none"):
        open_corpus(str(tmp_path / "absent.parquet"))
    with pytest.raises(DataError, match="found none"):
        open_corpus(str(tmp_path))
    (tmp_path / "page.xml").write_text("<html/>", encoding="utf-8")
    with pytest.raises(DataError, match="expected MedQuAD documents"):
        open_corpus(str(tmp_path))


def test_no_message_or_reject_repeats_text(tmp_path: Path) -> None:
    secret = "PATIENT-TEXT"
    path = lines(tmp_path / "rows.jsonl", [GOOD, {"question": secret, "answer": [secret]}])
    assert secret not in repr([row for row in rows_of(path) if isinstance(row, Reject)])
    (tmp_path / "plain.jsonl").write_text(secret, encoding="utf-8")
    with pytest.raises(DataError) as error:
        open_corpus(str(tmp_path / "plain.jsonl"))
    assert secret not in str(error.value)
