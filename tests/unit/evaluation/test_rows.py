"""The journal survives a kill at any byte; rows survive Parquet."""

import pyarrow as pa
import pytest
from evaluation_fakes import items, outcome
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from medray.errors import DataError
from medray.evaluation.rows import Journal, Row, read_rows, rows_of, write_rows
from medray.evaluation.runner import failed

ITEMS = items(6)


def outcomes_of(one):
    return [
        outcome(one, 1, 1, (3, 2, 1, 0), raw_output="« B »\n"),
        outcome(one, None, 0, scores={"x/0": -2.5, "y": 1.0}),
    ]


def written(path, count=6):
    journal = Journal(path)
    for one in ITEMS[:count]:
        journal.add(one.id, outcomes_of(one))
    journal.close()
    return journal.outcomes


def test_what_was_added_is_read_again(tmp_path):
    added = written(tmp_path / "rows.jsonl")
    journal = Journal(tmp_path / "rows.jsonl")
    journal.close()
    assert journal.outcomes == added and list(added) == [one.id for one in ITEMS]


@given(st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_a_kill_at_any_byte_costs_the_last_item_only(tmp_path_factory, cut):
    path = tmp_path_factory.mktemp("journal") / "rows.jsonl"
    added = written(path, 3)
    whole = path.read_bytes()
    cut %= len(whole) + 1
    path.write_bytes(whole[:cut])
    journal = Journal(path)
    assert journal.outcomes == dict(list(added.items())[: whole[:cut].count(b"\n")])
    journal.add(ITEMS[5].id, outcomes_of(ITEMS[5]))
    journal.close()
    again = Journal(path)
    again.close()
    assert again.outcomes == journal.outcomes


def test_damage_in_the_middle_keeps_what_stands_before_it(tmp_path):
    path = tmp_path / "rows.jsonl"
    written(path, 3)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b'{"item": 1}\n' + lines[2])
    journal = Journal(path)
    journal.close()
    assert list(journal.outcomes) == [ITEMS[0].id]


def test_rows_survive_parquet_in_the_order_of_items_and_repeats(tmp_path):
    done = {one.id: outcomes_of(one) for one in reversed(ITEMS)} | {ITEMS[2].id: [failed(ITEMS[2], "WorkerDied")]}
    rows = rows_of(ITEMS, done)
    write_rows(tmp_path / "items.parquet", rows)
    assert read_rows(tmp_path / "items.parquet") == rows
    assert [row.outcome.item_id for row in rows] == [one.id for one in ITEMS for _ in done[one.id]]
    assert [row.outcome.repeat for row in rows][:2] == [0, 1]
    columns = set(parquet.read_schema(tmp_path / "items.parquet").names)
    assert {"item_id", "prompt_sha256", "raw_output", "letter", "chosen", "correct", "scores"} <= columns


def test_parsed_is_a_choice_or_an_open_answer_that_did_not_fail():
    chosen, unparsed = outcome(ITEMS[0], 2), outcome(ITEMS[0], None)
    assert Row(chosen, "choice", 4, 0).parsed and not Row(unparsed, "choice", 4, 0).parsed
    assert Row(unparsed, "open", 0, None).parsed
    assert not Row(failed(ITEMS[0], "WorkerDied"), "open", 0, None).parsed


@pytest.mark.parametrize("make", ["absent", "text", "other"])
def test_other_files_are_refused(tmp_path, make):
    path = tmp_path / "items.parquet"
    if make == "text":
        path.write_text("no parquet")
    if make == "other":
        parquet.write_table(pa.table({"a": [1]}), path)
    with pytest.raises(DataError, match="rows of an evaluation"):
        read_rows(path)
