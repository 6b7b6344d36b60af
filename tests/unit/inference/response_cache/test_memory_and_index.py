"""The memory tier keeps its bound and what is asked often; the index keeps scopes apart and its own bound."""

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medray.inference.response_cache.entry import Answer, Entry
from medray.inference.response_cache.index import Partitions
from medray.inference.response_cache.memory import MemoryTier, Resident

A, B = b"a" * 16, b"b" * 16


def resident(name, size=100):
    entry = Entry(name, A, "q", Answer("a"), "m", "m", "general", 0.0, 1.0)
    return Resident(entry, None, frozenset(), size)


operations = st.lists(
    st.tuples(st.sampled_from(["put", "get", "remove"]), st.integers(0, 12), st.integers(1, 400)), max_size=60
)


@given(operations)
def test_bytes_stay_in_their_bound_and_add_up(steps):
    gone = []
    tier = MemoryTier(1000, lambda entry: gone.append(entry.key))
    for what, number, size in steps:
        key = bytes([number])
        if what == "put":
            assert tier.put(resident(key, size))
            assert tier.get(key, touch=False) is not None
        elif what == "get":
            tier.get(key)
        else:
            tier.remove(key)
            assert tier.get(key) is None
        assert tier.used_bytes <= 1000
        held = [tier.get(entry.key, touch=False) for entry in tier.entries()]
        assert tier.used_bytes == sum(item.size_bytes for item in held)


def test_what_is_asked_often_outlives_a_scan():
    tier = MemoryTier(1000, lambda entry: None)
    tier.put(resident(b"hot"))
    for _ in range(10):
        tier.get(b"hot")
    for number in range(40):
        tier.put(resident(b"scan%d" % number))
    assert tier.get(b"hot", touch=False) is not None
    for number in range(400):
        tier.put(resident(b"scan again %d" % number))
    assert tier.get(b"hot", touch=False) is None  # fame fades


def test_what_is_too_large_is_not_held():
    tier = MemoryTier(1000, lambda entry: None)
    tier.put(resident(b"x"))
    assert not tier.put(resident(b"x", 1001))
    assert len(tier) == 0


def unit(rng, count, dimensions=32):
    rows = rng.standard_normal((count, dimensions)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_neighbours_agree_with_brute_force():
    rng = np.random.default_rng(0)
    rows = unit(rng, 2000)
    index = Partitions(32, 10_000)
    for at, row in enumerate(rows):
        index.add(A, at.to_bytes(4, "big"), row)
    recalled = 0
    for query in unit(rng, 50):
        exact = {int(at) for at in np.argsort(rows @ query)[-10:]}
        found = index.search(A, query, 10)
        recalled += len(exact & {int.from_bytes(key, "big") for key, _ in found})
        for key, cosine in found:  # int8 keeps two digits
            assert cosine == pytest.approx(float(rows[int.from_bytes(key, "big")] @ query), abs=0.03)
        assert [cosine for _, cosine in found] == sorted((cosine for _, cosine in found), reverse=True)
    assert recalled / 500 > 0.85


def test_a_scope_sees_its_own_vectors_only():
    index = Partitions(32, 100)
    row = unit(np.random.default_rng(0), 1)[0]
    index.add(A, b"key", row)
    assert index.search(B, row, 5) == []
    assert [key for key, _ in index.search(A, row, 5)] == [b"key"]
    index.remove(B, b"key")
    assert len(index) == 1
    index.remove(A, b"key")
    assert index.search(A, row, 5) == []
    assert len(index) == 0


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([A, B, b"c" * 16]), st.integers(0, 20)), max_size=60))
def test_the_vector_bound_holds_over_all_scopes(steps):
    rows = unit(np.random.default_rng(1), 21)
    index = Partitions(32, 7)
    for scope, number in steps:
        index.add(scope, bytes([number]), rows[number])
        assert len(index) <= 7
        assert index.search(scope, rows[number], 1)[0][0] == bytes([number])
    assert len(index) == sum(len(index.of(scope)) for scope in (A, B, b"c" * 16))


def test_threads_leave_the_count_right():
    rows = unit(np.random.default_rng(2), 64)
    index = Partitions(32, 40)

    def work(number):
        for at in range(60):
            scope = bytes([(number + at) % 3]) * 16
            index.add(scope, bytes([at % 64]), rows[at % 64])
            index.search(scope, rows[at % 64], 4)
            if at % 5 == 0:
                index.remove(scope, bytes([(at - 3) % 64]))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(index) == sum(len(index.of(bytes([scope]) * 16)) for scope in range(3))
    assert len(index) <= 40 + 16  # each thread may be between making room and adding
