"""The page on parity is its records, rendered; a bound that was missed is named."""

import json

from jobs.evaluate_parity_page import PAGE, RECORD
from medray.evaluation.parity import MIN_IDENTICAL, TOLERANCE
from medray.evaluation.parity_page import render


def records():
    return json.loads(RECORD.read_text(encoding="utf-8"))


def test_the_page_is_the_records():
    assert PAGE.read_text(encoding="utf-8") == render(records())


def test_the_three_exams_agree_with_lm_eval():
    compared = [one for record in records() for one in record["comparisons"]]
    assert {"medqa", "medmcqa", "pubmedqa"} <= {one["task"] for one in compared if one["method"] == "letters"}
    for one in compared:
        agreed = one["agreement"]
        assert agreed["same_prompt"] == agreed["items"] and agreed["largest_difference"] <= TOLERANCE
        assert agreed["identical"] >= MIN_IDENTICAL * agreed["items"]


def test_a_missed_bound_stands_on_the_page():
    record = records()[0]
    first = record["comparisons"][0]
    first["speed"]["processor_ratio"] = 1.1
    assert f"{first['task']} by letters: speed by the processor" in render([record])
