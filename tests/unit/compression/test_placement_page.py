"""docs/placement.md is its record, rendered, and the record holds what the page claims."""

import copy
import json

import pytest

from jobs.device_map_report import PAGE, RECORD
from medray.compression.placement.page import render
from medray.compression.placement.shows import rank_holds, summary


@pytest.fixture(scope="module")
def record():
    return json.loads(RECORD.read_text(encoding="utf-8"))


def test_the_page_is_the_record(record):
    assert PAGE.read_text(encoding="utf-8") == render(record)


def solver_holds(record):
    return all(row["proven"] and row["gap"] == 0 and row["seconds"] < 2 for row in record["solver"])


def never_worse(record):
    found = record["accelerate"]
    return found["summary"] == summary(found["cases"]) and found["summary"]["worse"] == 0 and len(found["cases"]) == 200


def test_80_layers_on_8_devices_are_proven_under_two_seconds(record):
    assert solver_holds(record) and len(record["solver"]) == 10


def test_200_cases_are_never_worse_than_accelerate(record):
    assert never_worse(record)
    assert record["accelerate"]["summary"]["compared"] >= 150


def test_five_plans_ran_in_the_predicted_order(record):
    assert len(record["five_plans"]["plans"]) == 5 and rank_holds(record["five_plans"])


def test_each_bound_fails_on_a_record_that_breaks_it(record):
    slow, worse, swapped, unproven = (copy.deepcopy(record) for _ in range(4))
    slow["solver"][3]["seconds"] = 2.1
    unproven["solver"][0]["proven"] = False
    case = next(case for case in worse["accelerate"]["cases"] if case["theirs"] is not None)
    case["ours"] = 1.01 * case["theirs"]
    first, *_, last = swapped["five_plans"]["plans"]
    first["measured_s"], last["measured_s"] = last["measured_s"], first["measured_s"]
    assert not solver_holds(slow) and not solver_holds(unproven)
    assert not never_worse(worse)
    worse["accelerate"]["summary"] = summary(worse["accelerate"]["cases"])
    assert not never_worse(worse)
    assert not rank_holds(swapped["five_plans"])
    assert render(swapped) != render(record)
