"""Failures behind the scenes are counted, said once, and hold up nobody: index, writer, audit, embedder, control."""

import threading
import time

import lmdb
import numpy as np
import pytest

from medray.errors import CapabilityError, InputError
from medray.inference.response_cache.audit import Auditor
from medray.inference.response_cache.disk.rows import Record
from medray.inference.response_cache.disk.writer import Writer
from medray.inference.response_cache.entry import Answer, Entry
from medray.inference.response_cache.filling import Filler
from medray.inference.response_cache.scope import Scope

QUESTION = "What is the maximum dose of paracetamol?"
SIMILAR = "What is the highest dose of Tylenol?"
A, B = b"a" * 16, b"b" * 16


def in_time(work, seconds=5.0):
    """Do the work in a thread of its own; fail if it hangs."""
    done = threading.Event()
    threading.Thread(target=lambda: (work(), done.set()), daemon=True).start()
    assert done.wait(seconds), "hangs"


def record(number):
    entry = Entry(bytes([number]) * 32, A, "q", Answer("a"), "m", "m", "general", 0.0, 1.0)
    return Record(entry, None, "")


def test_a_fill_that_fails_is_counted_and_the_next_is_done(capsys):
    filled = []

    def fill(scope, stopped):
        if scope == A:
            raise RuntimeError("text of a question")
        filled.append(scope)

    filler = Filler(fill)
    for scope in (A, B, A, B):
        filler.ask(scope)
        in_time(filler.wait)
    assert (filler.failed, filled) == (2, [B, B])
    shown = capsys.readouterr().err
    assert shown.count("cache_index_fill_failed") == 1
    assert "text of a question" not in shown
    in_time(filler.close)


def test_closing_stops_a_fill_and_releases_who_waits():
    started = threading.Event()

    def fill(scope, stopped):
        started.set()
        while not stopped():
            time.sleep(0.001)

    filler = Filler(fill)
    filler.ask(A)
    filler.ask(B)
    assert started.wait(5)
    waiting = threading.Thread(target=filler.wait)
    waiting.start()
    in_time(filler.close)
    waiting.join(5)
    assert not waiting.is_alive()
    filler.ask(A)
    in_time(filler.wait)
    in_time(filler.close)


class Target:
    """A disk whose every batch with the entry 0 fails."""

    def __init__(self):
        self.keys = []

    def write(self, batch):
        if any(item.entry.key[0] == 0 for item in batch):
            raise RuntimeError("no")
        self.keys += [item.entry.key[0] for item in batch]

    def remove(self, keys):
        raise MemoryError


def test_a_batch_that_fails_is_counted_and_the_next_is_written(capsys):
    target = Target()
    writer = Writer(target, flush_interval_s=0.01, queue_bytes=10_000)
    for number in (0, 1, 2):
        assert writer.put(record(number))
        assert writer.flush(5)
    writer.put_removal(b"k" * 32)
    assert writer.flush(5)
    assert (writer.failed, target.keys) == (2, [1, 2])
    assert "cache_write_failed" in capsys.readouterr().err
    writer.close()
    writer.close()
    assert not writer.put(record(3))
    assert not writer.flush(0.1)  # nobody would write: do not claim it was written


def test_the_auditor_outlives_whatever_the_engine_raises(capsys):
    counted = []

    def recompute(question, scope):
        raise SystemExit(question)

    auditor = Auditor(1.0, recompute, lambda a, b: [], lambda category, wrong: counted.append(wrong))
    for _ in range(3):
        auditor.offer("a question", "an answer", Scope("t", "m", "1"), "general")
        in_time(auditor.drain)
    assert (auditor.failed, counted) == (3, [])
    assert "a question" not in capsys.readouterr().err
    auditor.close()


def test_closing_the_auditor_releases_who_waits_for_it():
    go = threading.Event()
    auditor = Auditor(1.0, lambda question, scope: go.wait(20) and None, lambda a, b: [], lambda category, wrong: None)
    for _ in range(5):
        auditor.offer("q", "a", Scope("t", "m", "1"), "general")
    waiting = threading.Thread(target=auditor.drain)
    waiting.start()
    threading.Timer(0.2, go.set).start()
    in_time(auditor.close)
    waiting.join(5)
    assert not waiting.is_alive()
    in_time(auditor.drain)


def test_an_embedder_that_fails_costs_similar_hits_only(make_cache, scope, monkeypatch, capsys):
    from medray.inference.response_cache.embedders.static import StaticEmbedder

    def broken(self, texts):
        raise RuntimeError(texts)

    monkeypatch.setattr(StaticEmbedder, "embed", broken)
    cache = make_cache()
    assert cache.store(QUESTION, "4 g a day.", scope)
    assert cache.lookup(QUESTION, scope).kind == "exact"
    assert cache.lookup(SIMILAR, scope) is None
    assert cache.stats()["counts"]["semantic_failed"] == 2
    shown = capsys.readouterr().err
    assert shown.count("cache_semantic_failed") == 1
    assert "paracetamol" not in shown


def fail(*arguments, **options):
    raise lmdb.Error("no")


def test_a_control_that_cannot_be_read_withdraws_everything(make_cache, scope, disk, monkeypatch, capsys):
    cache = make_cache(disk=disk)
    cache.store(QUESTION, "4 g a day.", scope)
    broken = type("Broken", (), {"begin": fail})()
    whole, cache._control._environment = cache._control._environment, broken
    assert cache.lookup(QUESTION, scope) is None
    assert not cache.store(QUESTION, "4 g a day.", scope)
    assert "medication" in cache.stats()["classes"]
    with pytest.raises(CapabilityError, match="holds in this process only"):
        cache.invalidate("artifact-1")
    assert capsys.readouterr().err.count("cache_control_failed") == 1
    cache._control._environment = whole


def test_an_audit_that_cannot_be_written_counts_here(make_cache, disk):
    cache = make_cache(disk=disk)
    control = cache._control
    whole, control._environment = control._environment, type("Broken", (), {"begin": fail})()
    control.count_audit("medication", wrong=True)
    control._environment = whole
    control.count_audit("medication", wrong=False)
    assert control.audited() == {"medication": (2, 1)}


def test_a_closed_cache_neither_serves_nor_stores(make_cache, scope, disk):
    cache = make_cache(disk=disk)
    cache.store(QUESTION, "4 g a day.", scope)
    cache.close()
    assert cache.lookup(QUESTION, scope) is None
    assert cache.peek(QUESTION, scope) is None
    assert not cache.store(QUESTION, "4 g a day.", scope)
    in_time(cache.settle)
    cache.close()


def test_what_is_screened_leaves_no_text_behind(make_cache, scope):
    cache = make_cache()
    cache.lookup("My son Tom takes warfarin", scope)
    cache.lookup(QUESTION, scope)
    kept = cache._admission._verdicts
    assert len(kept) == 2
    assert not any(b"warfarin" in name or b"paracetamol" in name for name in kept)


@pytest.mark.parametrize("question", [None, 4, b"What is gout?", ["What is gout?"]])
def test_what_is_no_question_is_refused(make_cache, scope, question):
    for work in (lambda c: c.lookup(question, scope), lambda c: c.store(question, "An answer.", scope)):
        with pytest.raises(InputError, match="question: expected text"):
            work(make_cache())


def test_fills_of_two_large_scopes_do_not_push_each_other_out_for_ever(make_cache, scope, disk, questions):
    """Together they exceed the bound: each settles at its share, and later look-ups bring nothing in."""
    other = Scope("clinic2", "artifact-1", "1", "greedy")
    first = make_cache(disk=disk)
    for at, question in enumerate(questions(60)):
        first.store(question, "An answer.", scope if at % 2 else other)
    first.close()
    cache = make_cache(disk=disk, max_vectors=40)
    partitions, added = cache._tiers.semantic._partitions, []
    plain = partitions.add
    partitions.add = lambda *arguments, **options: (added.append(1), plain(*arguments, **options))
    for _ in range(4):
        for each in (scope, other):
            cache.lookup(SIMILAR, each)
            cache.settle()
    settled = len(added)
    for _ in range(5):
        for each in (scope, other):
            cache.lookup(SIMILAR, each)
            cache.settle()
    assert len(added) == settled
    assert cache.stats()["vectors"] <= 40


def test_scopes_that_are_only_asked_for_cost_nothing(make_cache):
    cache = make_cache()
    for at in range(1500):
        scope = Scope("clinic", "artifact-1", "1", {"seed": at})
        cache.lookup(SIMILAR, scope)
    assert len(cache._tiers.semantic._partitions._partitions) == 0


def test_the_number_of_indexes_is_bounded():
    from medray.inference.response_cache.index import Partitions

    index = Partitions(8, 10_000)
    row = np.full(8, 8**-0.5, dtype=np.float32)
    for at in range(700):
        index.add(at.to_bytes(16, "big"), b"key", row)
    assert len(index) == len(index._partitions) == 512
    assert index.search((0).to_bytes(16, "big"), row, 1) == []
    assert len(index.search((699).to_bytes(16, "big"), row, 1)) == 1
