"""The page on preparation is its record, rendered."""

import json

from jobs.prepare_page import PAGE, RECORD, page


def test_the_page_is_the_record():
    runs = json.loads(RECORD.read_text(encoding="utf-8"))
    assert PAGE.read_text(encoding="utf-8") == page(runs)


def test_the_record_holds_the_whole_of_medquad_within_two_minutes():
    run = json.loads(RECORD.read_text(encoding="utf-8"))[0]
    assert run["rows"] == 14_801 and run["seconds"] < 120
    assert run["rows"] == run["lessons"] + sum(run["not_used"].values())
    assert page([{**run, "lessons": 1}]) != page([run])
