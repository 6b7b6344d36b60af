"""The bound that opens a class and the audit that closes it again."""

import pytest
from scipy.stats import beta

from medray.errors import ConfigError
from medray.inference.response_cache.bounds import upper_bound
from medray.inference.response_cache.calibration import Calibration, Counted, Weights, read_calibration
from medray.inference.response_cache.gate import Gate

QUESTION = "What is the maximum dose of paracetamol?"
SIMILAR = "What is the highest dose of Tylenol?"


def test_299_clean_trials_are_the_fewest_for_one_percent():
    assert upper_bound(0, 299) <= 0.01 < upper_bound(0, 298)


@pytest.mark.parametrize(("events", "trials"), [(0, 30), (1, 30), (3, 700), (29, 30)])
def test_the_bound_is_clopper_and_pearsons(events, trials):
    assert upper_bound(events, trials) == pytest.approx(beta.ppf(0.95, events + 1, trials - events), rel=1e-9)


def test_bounds_without_evidence_are_one():
    assert upper_bound(0, 0) == upper_bound(5, 5) == 1.0
    with pytest.raises(ValueError, match="expected 0 <= events <= trials"):
        upper_bound(2, 1)


def calibrated(**classes):
    counted = {name: Counted(trials=trials, false_hits=wrong) for name, (trials, wrong) in classes.items()}
    return Calibration(minimal_pairs=0, paraphrases=0, pairs_sha256="", classes=counted, embedders={})


def gate(calibration, audited=None):
    counts = audited if audited is not None else {}
    return Gate(calibration, lambda: counts, 0.01), counts


def test_a_class_with_enough_pairs_stands_alone():
    judged, _ = gate(calibrated(medication=(299, 0), treatment=(299, 1)))
    found = judged.judgements()
    assert (found["medication"].open, found["medication"].basis) == (True, "own")
    assert not found["treatment"].open
    assert found["treatment"].bound == pytest.approx(upper_bound(1, 299))


def test_a_class_with_few_pairs_is_judged_by_all():
    judged, _ = gate(calibrated(medication=(250, 0), treatment=(60, 0)))
    assert judged.is_open("medication")
    assert judged.judgements()["general"].basis == "pooled"
    closed, _ = gate(calibrated(medication=(150, 0), treatment=(60, 0)))
    assert not closed.is_open("medication")


def test_emergencies_never_open():
    assert not gate(calibrated(emergency=(9999, 0)))[0].is_open("emergency")


def test_wrong_audits_close_a_class_and_good_ones_open_it_again():
    judged, counts = gate(calibrated(medication=(450, 0)))
    assert judged.is_open("medication")
    counts["medication"] = (10, 1)
    judged.refresh()
    assert not judged.is_open("medication")
    counts["medication"] = (400, 1)
    judged.refresh()
    assert judged.is_open("medication")


def test_many_clean_pairs_do_not_hide_bad_hits():
    judged, counts = gate(calibrated(medication=(100_000, 0)))
    counts["medication"] = (20, 3)
    judged.refresh()
    assert upper_bound(3, 100_020) < 0.01
    assert not judged.is_open("medication")


def audited_cache(make_cache, answer, **config):
    return make_cache(recompute=lambda question, scope: answer, audit_share=1.0, **config)


def test_an_audit_that_finds_conflicts_stops_the_class(make_cache, scope):
    cache = audited_cache(make_cache, "2 g a day.")
    cache.store(QUESTION, "4 g a day.", scope)
    served = 0
    while cache.lookup(SIMILAR, scope) is not None:
        cache.settle()
        served += 1
        assert served < 50
    figures = cache.stats()["classes"]["medication"]
    assert not figures["semantic"]
    assert (figures["audited"], figures["wrong"]) == (served, served)
    assert figures["wrong_rate_bound_95"] == 1.0
    assert cache.lookup(QUESTION, scope).kind == "exact"


def test_an_audit_that_agrees_lowers_the_bound(make_cache, scope):
    cache = audited_cache(make_cache, "4 g a day.")
    cache.store(QUESTION, "4 g a day.", scope)
    for _ in range(30):
        assert cache.lookup(SIMILAR, scope) is not None
        cache.settle()
    figures = cache.stats()["classes"]["medication"]
    assert (figures["audited"], figures["wrong"], figures["wrong_rate"]) == (30, 0, 0.0)
    assert figures["wrong_rate_bound_95"] == pytest.approx(upper_bound(0, 30))


def test_a_recomputation_that_fails_counts_nothing_and_stops_nothing(make_cache, scope, capsys):
    def recompute(question, scope):
        raise RuntimeError(question)

    cache = make_cache(recompute=recompute, audit_share=1.0)
    cache.store(QUESTION, "4 g a day.", scope)
    for _ in range(3):
        assert cache.lookup(SIMILAR, scope) is not None
        cache.settle()
    assert cache.stats()["classes"]["medication"]["audited"] == 0
    shown = capsys.readouterr().err
    assert "cache_audit_failed" in shown
    assert "Tylenol" not in shown


def test_audit_counts_are_shared_and_outlive_the_process(make_cache, scope, disk):
    cache = audited_cache(make_cache, "2 g a day.", disk=disk)
    cache.store(QUESTION, "4 g a day.", scope)
    assert cache.lookup(SIMILAR, scope) is not None
    cache.settle()
    cache.close()
    assert make_cache(disk=disk).stats()["classes"]["medication"]["wrong"] == 1


def test_an_uncalibrated_embedder_is_refused():
    with pytest.raises(ConfigError, match="medray cache calibrate"):
        calibrated().weights_of("minilm")


def test_a_damaged_calibration_is_refused(tmp_path):
    (tmp_path / "calibration.json").write_text("{")
    with pytest.raises(ConfigError, match="cannot read the calibration"):
        read_calibration(tmp_path / "calibration.json")
    (tmp_path / "calibration.json").write_text('{"format": 2}')
    with pytest.raises(ConfigError, match="format"):
        read_calibration(tmp_path / "calibration.json")


def test_weights_are_checked():
    with pytest.raises(ValueError, match="threshold"):
        Weights(jaccard_weight=0.5, threshold=1.5, candidate_recall=1.0)
