"""Flips by hand; a difference is told from noise, in the right direction, and never from text."""

import json

import pytest
from click.testing import CliRunner
from evaluation_fakes import RuleScorer, item, items, outcome

from medray.artifacts import read
from medray.cli import main
from medray.config import load
from medray.errors import DataError
from medray.evaluation.compare import compare, worse
from medray.evaluation.config import EvaluateConfig
from medray.evaluation.rows import rows_of
from medray.evaluation.runner import failed
from medray.evaluation.runner_evaluation import Place, evaluate
from medray.statistics import mcnemar

ITEMS = items(120)


def scores(one, lead):
    """Log-likelihoods that give the right option a lead."""
    return {f"loglikelihood/{place}": lead if place == one.answer_index else 0.0 for place in range(4)}


def rows(right, of=ITEMS, lead=1.0):
    made = {}
    for number, one in enumerate(of):
        good = number < right
        chosen = one.answer_index if good else (one.answer_index + 1) % 4
        made[one.id] = [outcome(one, chosen, scores=scores(one, lead if good else -lead))]
    return rows_of(of, made)


def test_flips_where_and_by_how_much():
    found = compare(rows(60), rows(80))
    task = found["tasks"]["medqa"]
    assert task["flips"] == {"gained": 20, "lost": 0} and task["changed_wrong"] == 0
    own = task["measures"]["accuracy"]
    assert (own["first"], own["second"], own["difference"]) == (0.5, pytest.approx(2 / 3), pytest.approx(1 / 6))
    assert own["p"] == mcnemar(0, 20) and own["better"] == "second" and own["low"] > 0
    assert own["p_holm"] > own["p"]
    assert {flip["item"] for flip in task["items"]} == {one.id for one in ITEMS[60:80]}
    first = task["items"][0]
    assert first["flip"] == "gained" and first["margin_change"] == pytest.approx(2.0)
    assert {name: part["gained"] for name, part in task["strata"].items()} == {"step1": 10, "step2": 10}
    json.dumps(found, allow_nan=False)
    assert "Question" not in json.dumps(found)


def test_brier_is_better_when_lower():
    found = compare(rows(60), rows(80))["tasks"]["medqa"]["measures"]
    assert found["brier"]["difference"] < 0 and found["brier"]["better"] == "second"
    assert worse(compare(rows(80), rows(60))) and not worse(compare(rows(60), rows(80)))


def test_what_is_neither_good_nor_bad_is_not_tested():
    def timed(seconds):
        return rows_of(
            ITEMS, {one.id: [outcome(one, 0, scores={"first_token_s": seconds, "mas": seconds})] for one in ITEMS}
        )

    tested = compare(timed(1.0), timed(2.0))["tasks"]["medqa"]["measures"]
    assert "first_token_s" not in tested and tested["mas"]["better"] == "second"


def test_equals_are_not_told_apart():
    found = compare(rows(60), rows(60))
    measures = found["tasks"]["medqa"]["measures"]
    assert {own["better"] for own in measures.values()} == {"neither"} and {
        own["p_holm"] for own in measures.values()
    } == {1.0}
    assert worse(found) == [] and found["notes"] == []


def test_two_swapped_answers_are_noise():
    assert worse(compare(rows(60), rows(58))) == []


def test_failed_and_unparsed_items_are_shown_and_count_as_wrong():
    made = {one.id: [outcome(one, one.answer_index)] for one in ITEMS}
    first = rows_of(ITEMS, made)
    made |= {ITEMS[0].id: [failed(ITEMS[0], "WorkerDied")], ITEMS[1].id: [outcome(ITEMS[1], None)]}
    task = compare(first, rows_of(ITEMS, made))["tasks"]["medqa"]
    assert {flip["item"]: flip["answers"] for flip in task["items"]} == {
        ITEMS[0].id: ["A", "!"],
        ITEMS[1].id: ["B", "?"],
    }


def test_only_common_items_count_and_other_prompts_are_noted():
    other = [item(number, question="asked otherwise") for number in range(100, 140)]
    found = compare(rows(60), rows(20, other))
    assert found["items"] == 20 and found["only_in_one"] == [100, 20]
    assert "left out" in found["notes"][0] and "differently" in found["notes"][1]
    with pytest.raises(DataError, match="none in common"):
        compare(rows(60), rows(5, items(5, task="mmlu")))


@pytest.fixture
def exam(tmp_path):
    path = tmp_path / "exam.jsonl"
    asked = [{"question": f"What is number {n}?", "options": ["this", "that"], "answer": n % 2} for n in range(40)]
    path.write_text("".join(json.dumps(one) + "\n" for one in asked))
    return path


def run(exam, out, rule):
    settings = [f"tasks.own={exam}", "model=http://127.0.0.1:9/v1", "mode=generate"]
    config = load(EvaluateConfig, None, settings)
    return evaluate(config, Place(str(out)), say=lambda _: None, factory=lambda: RuleScorer(rule))


def test_the_command_compares_two_evaluations(exam, tmp_path):
    run(exam, tmp_path / "a", lambda one: one.answer_index)
    run(exam, tmp_path / "b", lambda one: 0)
    assert read(tmp_path / "a").kind == "evaluation"
    record = tmp_path / "found.json"
    found = CliRunner().invoke(main, ["compare", str(tmp_path / "a"), str(tmp_path / "b"), "--json", str(record)])
    assert found.exit_code == 0, found.output
    assert "0 wrong to right, 20 right to wrong" in found.output and "What is number" not in found.output
    assert json.loads(record.read_text())["tasks"]["own"]["flips"]["lost"] == 20


def test_a_model_without_an_exam_is_one_line_and_exit_2(tmp_path):
    found = CliRunner().invoke(main, ["compare", str(tmp_path), str(tmp_path)])
    assert found.exit_code == 2 and "--task NAME=FILE and --out DIR" in found.output
