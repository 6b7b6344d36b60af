"""Ablations: strict configs, spreads and differences against an independent reference, and power that can fail."""

import numpy as np
import pytest
from scipy import stats

from jobs.ablate import main
from medray.config import changed, load, validate
from medray.errors import ConfigError
from medray.evaluation.ablation.config import AblateConfig
from medray.evaluation.ablation.figures import figures_of
from medray.evaluation.ablation.page import markdown, page, verdict
from medray.evaluation.ablation.summary import Trial, power, spread, summarise

FULL, LESS = [0.9, 1.0, 1.1], [0.1, 0.3, 0.2]


def config(**changes):
    data = {
        "rows": [{"name": "full"}, {"name": "CE only", "set": {"loss.kl": 0.0}}],
        "reference": "full",
        "baseline": "CE only",
        "seeds": [0, 1],
        "distill": {"teacher": "t", "student": "prune:1", "data": "d", "loss": {"ce": 0.5}},
        "decide": "valid/ce",
    }
    return validate(AblateConfig, {**data, **changes})


def trials(full=FULL, less=LESS):
    made = [Trial("full", seed, {"x": value}) for seed, value in enumerate(full)]
    return made + [Trial("CE only", seed, {"x": value}) for seed, value in enumerate(less)]


def test_a_row_changes_its_keys_and_no_other():
    base = {"a": {"b": 1, "c": 2}}
    assert changed(base, {"a.b": 3, "d.e": 4}) == {"a": {"b": 3, "c": 2}, "d": {"e": 4}}
    assert base == {"a": {"b": 1, "c": 2}}
    one = config()
    assert one.training(one.rows[1], 7).model_dump() == {
        **one.training(one.rows[0], 7).model_dump(),
        "loss": {"ce": 0.5, "kl": 0.0, "temperature": 1.0},
    }


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rows": [{"name": "full"}, {"name": "CE only", "set": {"loss.kll": 0}}]}, "row 'CE only'.*kl"),
        ({"rows": [{"name": "full"}, {"name": "CE only", "set": {}}]}, "differ from 'full'"),
        ({"evaluate": {"exam": {"tasks": {}}}}, "evaluate.exam.*task"),
    ],
)
def test_rows_are_checked_before_anything_runs(changes, words):
    with pytest.raises(ConfigError, match=words):
        config(**changes).check()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"reference": "other"}, "among the rows"),
        ({"baseline": "full"}, "two rows"),
        ({"seeds": [1, 1]}, "distinct"),
        ({"distill": {"seed": 1}}, "seed"),
        ({"evaluate": {"exam": {"model": "m"}}}, "model"),
        ({"table": "T4"}, "T3"),
    ],
)
def test_contradictions_are_refused(changes, words):
    with pytest.raises(ConfigError, match=words):
        config(**changes)


def test_the_shipped_table_is_valid(root):
    load(AblateConfig, root / "jobs/configs/ablate-T3.yaml").check()


def test_a_table_whose_stages_are_not_built_is_refused(capsys, tmp_path):
    assert main(["--table", "T4", "--out", str(tmp_path / "out")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_spreads_and_paired_differences_equal_scipys():
    rows = summarise(trials(), reference="full")
    own = rows["CE only"]["figures"]["x"]
    low, high = stats.t.interval(0.95, 2, np.mean(LESS), stats.sem(LESS))
    assert (own["mean"], own["sd"]) == pytest.approx((np.mean(LESS), np.std(LESS, ddof=1)))
    assert (own["low"], own["high"]) == pytest.approx((low, high))
    paired = np.subtract(LESS, FULL)
    found = rows["CE only"]["differences"]["x"]
    low, high = stats.t.interval(0.95, 2, paired.mean(), stats.sem(paired))
    assert (found["mean"], found["low"], found["high"]) == pytest.approx((paired.mean(), low, high))
    assert rows["full"]["differences"] == {}


def test_a_failed_trial_is_counted_and_pairs_without_a_partner_are_left_out():
    rows = summarise([*trials(), Trial("CE only", 3, error="OutOfMemory")], reference="full")
    assert rows["CE only"]["failed"] == ["OutOfMemory"]
    assert rows["CE only"]["trials"] == 4
    assert rows["CE only"]["differences"]["x"]["n"] == 3


def told(made, **changes):
    return power(
        made, **{"reference": "full", "baseline": "CE only", "figure": "x", "lower_is_better": False, **changes}
    )


def test_power_is_refused_where_there_is_none():
    assert told(trials())["enough"]
    assert not told(trials(), lower_is_better=True)["enough"]  # better by the wrong sign
    assert not told(trials(less=[0.8, 1.1, 0.9]))["enough"]  # within the spread
    assert not told(trials(less=FULL))["enough"]  # no difference at all
    assert not told(trials(full=[1.0], less=[0.0]))["enough"]  # one seed shows no spread
    assert told(trials())["sd"] == pytest.approx(np.sqrt((np.var(FULL, ddof=1) + np.var(LESS, ddof=1)) / 2))


def test_one_value_has_no_spread_and_none_is_an_error():
    assert spread([2.0]).sd is None
    with pytest.raises(ValueError, match="none"):
        spread([])


def summary(made):
    return {
        "table": "T3",
        "rows": summarise(made, reference="full"),
        "power": told(made),
        "config": {"reference": "full", "baseline": "CE only", "columns": {"MAS, 0-10": "x"}},
        "provenance": {
            "command": "c",
            "commit": "0",
            "seed": 0,
            "config_hash": "0",
            "machine": {"processor": "p", "cores": 2, "memory_gb": 1.0, "system": "s", "python": "3"},
        },
    }


def test_the_page_marks_what_has_no_power_and_whose_numbers_are_whose():
    good, bad = summary(trials()), summary(trials(less=FULL))
    assert "UNDERPOWERED" not in verdict(good)
    assert "UNDERPOWERED" in verdict(bad)
    text = markdown(good)
    assert "the paper's claim" in text
    assert "measured here" in text
    assert "UNDERPOWERED" in page(bad)
    assert "Failed trials of CE only: Killed" in verdict(summary([*trials(), Trial("CE only", 9, error="Killed")]))


def test_figures_are_named_by_evaluation_task_and_measure():
    training = {"valid_after": {"ce": 2.0, "kl": None}}
    task = {"kind": "choice", "measures": {"brier": {"value": 0.5}}, "accuracy": 0.25, "retention": {"counted": 0.75}}
    assert figures_of(training, {"e": {"tasks": {"medqa": task}}}) == {
        "valid/ce": 2.0,
        "e/medqa/brier": 0.5,
        "e/medqa/accuracy": 0.25,
        "e/medqa/krr": 0.75,
    }
