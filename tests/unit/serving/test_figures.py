"""Reports, snapshots, the monitor's book, the selector's board and readiness."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from serving_fakes import figures

from medray.serving.board import SnapshotBoard
from medray.serving.monitor import ReportBook
from medray.serving.readiness import Expected, readiness
from medray.serving.snapshot import Arrival, ReplicaReport, Snapshot, aged, aggregate, proof

REPORT = ReplicaReport(
    pool="a",
    replica="a#1",
    fingerprint="f",
    running=1,
    queued=2,
    slots=2,
    places=5,
    tokens_per_s=10.0,
    ttft_s=0.5,
    seconds_since_token=3.0,
    memory_share=0.4,
    kv_cache_share=None,
    precision="float32",
    kernels="sdpa",
    max_context_tokens=512,
)


def test_a_pool_is_the_sum_of_its_fresh_replicas():
    second = replace(REPORT, replica="a#2", tokens_per_s=30.0, seconds_since_token=1.0, kv_cache_share=0.7)
    old = replace(REPORT, replica="a#3", running=100)
    arrivals = [Arrival(REPORT, 10.0), Arrival(second, 11.0), Arrival(old, 1.0)]
    pool = aggregate(arrivals, now_s=12.0, max_age_s=5.0)["a"]
    assert (pool.running, pool.queued, pool.slots, pool.places, pool.replicas) == (2, 4, 4, 10, 2)
    assert (pool.tokens_per_s, pool.kv_cache_share, pool.age_s) == (20.0, 0.7, 1.0)
    assert pool.seconds_since_token == pytest.approx(2.0)


def test_a_silent_pool_keeps_its_last_figures_and_their_age():
    pool = aggregate([Arrival(REPORT, 0.0)], now_s=100.0, max_age_s=5.0)["a"]
    assert (pool.running, pool.age_s, pool.seconds_since_token) == (1, 100.0, 103.0)


def test_time_passes_for_a_snapshot():
    later = aged(Snapshot({"a": figures(age_s=1.0, seconds_since_token=2.0)}), 3.0).pools["a"]
    assert (later.age_s, later.seconds_since_token) == (4.0, 5.0)


def test_the_book_proves_forgets_and_drops():
    book = ReportBook(max_age_s=5.0)
    book.add(replace(REPORT, seconds_since_token=None), now_s=0.0)
    assert book.snapshot(now_s=0.0).proven == frozenset()
    book.add(REPORT, now_s=1.0)
    assert book.snapshot(now_s=2.0).proven == {proof("a", "f")}
    book.add(replace(REPORT, pool="b", replica="b#1"), now_s=1.0)
    assert set(book.snapshot(now_s=10_000.0).pools) == set()
    assert book.snapshot(now_s=10_000.0).proven == {proof("a", "f"), proof("b", "f")}


def test_the_board_goes_on_when_the_monitor_is_silent(capsys):
    now = [0.0]
    answers: list[Any] = [Snapshot({"a": figures()}, frozenset({"a/f"})), OSError("gone"), OSError("gone"), Snapshot()]

    async def fetch() -> Snapshot:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    board = SnapshotBoard(fetch, period_s=1.0, clock=lambda: now[0])

    async def scenario() -> None:
        await board.refresh()
        assert board.current().pools["a"].age_s == 0
        now[0] = 7.0
        await board.refresh()
        await board.refresh()
        assert board.current().pools["a"].age_s == 7.0
        await board.refresh()  # the monitor was restarted and knows nothing: what was proven stays proven
        assert board.current() == Snapshot(proven=frozenset({"a/f"}))

    asyncio.run(scenario())
    said = capsys.readouterr().err
    assert (said.count("monitor_silent"), said.count("monitor_reachable")) == (1, 1)


def test_a_monitor_that_hangs_does_not_hang_the_board():
    async def fetch() -> Snapshot:
        await asyncio.sleep(60)
        return Snapshot()

    async def scenario() -> None:
        async with asyncio.timeout(5):
            await SnapshotBoard(fetch, period_s=0.1).refresh()

    asyncio.run(scenario())


FRESH = figures(fingerprint="f", seconds_since_token=1.0, age_s=0.5)


@pytest.mark.parametrize(
    ("found", "may_sleep", "proven", "wanted", "ready"),
    [
        (FRESH, False, True, None, True),
        (replace(FRESH, seconds_since_token=None), False, True, None, False),
        (replace(FRESH, seconds_since_token=99.0), False, True, None, False),
        (replace(FRESH, age_s=99.0), False, True, None, False),  # silent
        (replace(FRESH, fingerprint="older"), False, True, None, False),  # not this deployment
        (None, False, True, None, False),
        (None, True, True, None, True),  # asleep
        (None, True, True, {"a": 0}, True),
        (None, True, True, {"a": 1}, False),  # Serve runs or starts one, and it is silent
        (None, True, False, {"a": 0}, False),
        (replace(FRESH, seconds_since_token=99.0), True, True, {"a": 0}, False),  # awake, so it must generate
    ],
)
def test_readiness(found, may_sleep, proven, wanted, ready):
    snapshot = Snapshot({"a": found} if found else {}, frozenset({proof("a", "f")} if proven else ()), wanted)
    judged = readiness([Expected("a", "f", may_sleep)], snapshot, report_max_age_s=5.0, token_max_age_s=60.0)
    assert [item.ready for item in judged] == [ready]
