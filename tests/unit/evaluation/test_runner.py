"""A run goes on past bad items, counts them, resumes after them, and stops when the engine itself is broken."""

import threading

import pytest
from evaluation_fakes import BrittleScorer, RuleScorer, items

from medray.errors import ConfigError, EngineError
from medray.evaluation.rows import Journal
from medray.evaluation.runner import MISSING, RunPlan, WorkerLost, failed, failures, run_items
from medray.evaluation.runner_workers import LocalWorker, workers

ITEMS = items(50)


@pytest.fixture
def journal(tmp_path):
    made = Journal(tmp_path / "rows.jsonl")
    yield made
    made.close()


def test_every_item_once_longest_first(journal):
    scorer = RuleScorer(repeats=3)
    seen = []
    run_items(ITEMS, [LocalWorker(lambda: scorer)], journal, RunPlan(8), lambda *state: seen.append(state))
    assert {name: len(made) for name, made in journal.outcomes.items()} == {one.id: 3 for one in ITEMS}
    assert sorted(scorer.asked) == sorted(one.id for one in ITEMS)
    lengths = [len(next(one for one in ITEMS if one.id == name).question) for name in scorer.asked]
    assert lengths == sorted(lengths, reverse=True)
    assert seen[-1] == (50, 50, 0) and len(seen) == 50


def test_an_item_that_raises_is_failed_counted_and_passed_by(journal):
    bad = [ITEMS[7].id, ITEMS[31].id]
    scorer = BrittleScorer(bad)
    run_items(ITEMS, [LocalWorker(lambda: scorer)], journal, RunPlan(16))
    assert failures(journal.outcomes) == {"ZeroDivisionError": 2}
    assert len(journal.outcomes) == 50
    (lost,) = journal.outcomes[bad[0]]
    assert (lost.status, lost.correct, lost.chosen, lost.error) == ("failed", False, None, "ZeroDivisionError")
    assert sum(made[0].correct for made in journal.outcomes.values()) == 48
    assert len(scorer.asked) <= 48 + 2 * 5  # halves: each split asks one neighbour of the bad item again


def test_one_loss_that_does_not_come_back_is_no_failure(journal):
    scorer = BrittleScorer([ITEMS[7].id], times=1)
    run_items(ITEMS, [LocalWorker(lambda: scorer)], journal, RunPlan(16))
    assert failures(journal.outcomes) == {} and len(journal.outcomes) == 50


def test_a_scorer_that_leaves_items_out_is_found_out(journal):
    class Forgetful(RuleScorer):
        def score(self, items):
            return super().score([one for one in items if one.id != ITEMS[3].id])

    run_items(ITEMS[:8], [LocalWorker(Forgetful)], journal)
    assert failures(journal.outcomes) == {MISSING: 1}


def test_a_broken_engine_ends_the_run_and_blames_no_item(journal, tmp_path):
    scorer = BrittleScorer([one.id for one in ITEMS])
    with pytest.raises(EngineError, match="8 items in a row failed \\(ZeroDivisionError\\)"):
        run_items(ITEMS, [LocalWorker(lambda: scorer)], journal)
    assert journal.outcomes == {}
    assert (tmp_path / "rows.jsonl").read_bytes() == b""
    run_items(ITEMS, [LocalWorker(RuleScorer)], journal)
    assert failures(journal.outcomes) == {} and len(journal.outcomes) == 50


def test_an_endpoint_that_is_down_is_no_table_of_wrong_answers(journal):
    class Down(RuleScorer):
        def score(self, items):
            return iter([failed(one, "ConnectError") for one in items])

    with pytest.raises(EngineError, match="30 items in a row failed"):
        run_items(ITEMS, [LocalWorker(Down)], journal, RunPlan(max_failed_in_a_row=30))
    assert journal.outcomes == {}
    run_items(ITEMS[:4], [LocalWorker(Down)], journal)  # too few to blame the engine: recorded and counted
    assert failures(journal.outcomes) == {"ConnectError": 4}


def test_a_resumed_run_asks_only_what_is_missing(journal):
    first, second = RuleScorer(), RuleScorer()
    run_items(ITEMS[:20], [LocalWorker(lambda: first)], journal)
    run_items(ITEMS, [LocalWorker(lambda: second)], journal)
    assert sorted(first.asked + second.asked) == sorted(one.id for one in ITEMS)


def test_wrong_input_ends_the_run_as_what_it_is(journal):
    class Misconfigured(RuleScorer):
        def score(self, items):
            raise ConfigError("expected a template")

    with pytest.raises(ConfigError, match="template"):
        run_items(ITEMS, [LocalWorker(Misconfigured)], journal)


def test_a_restart_makes_the_scorer_anew_and_closes_the_old_one():
    made = []

    def factory():
        made.append(BrittleScorer([ITEMS[0].id]))
        return made[-1]

    worker = LocalWorker(factory)
    with pytest.raises(WorkerLost) as lost:
        list(worker.outcomes(ITEMS[:1]))
    assert "quotes" not in str(lost.value) and lost.value.__cause__ is None
    worker.restart()
    assert len(made) == 2 and made[0].closed == 1


def test_workers_share_the_items(journal):
    meet = threading.Barrier(2, timeout=30)

    class Meeting(RuleScorer):
        def score(self, items):
            meet.wait()  # passes only when two workers are at it together
            return super().score(items)

    made = [LocalWorker(Meeting), LocalWorker(Meeting)]
    run_items(ITEMS[:8], made, journal, RunPlan(chunk_items=2))
    assert len(journal.outcomes) == 8


def test_no_worker_count_means_this_process():
    with workers(RuleScorer, 0, cpus_each=None, gpus_each=0, silence_s=1) as made:
        (worker,) = made
        assert isinstance(worker, LocalWorker)
