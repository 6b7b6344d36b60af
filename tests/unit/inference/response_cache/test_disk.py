"""The disk tier: sealed, bounded, shared, and never serving what does not open."""

import os
import secrets

import pytest

from medray.errors import ConfigError
from medray.inference.response_cache import Answer, DiskConfig
from medray.inference.response_cache.disk import open_tier
from medray.inference.response_cache.keys import KEY_VARIABLE

QUESTION = "What is the maximum dose of paracetamol?"
SIMILAR = "What is the highest dose of Tylenol?"


def files(folder):
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_answers_outlive_the_process_and_are_promoted(make_cache, scope, disk, clock):
    first = make_cache(disk=disk)
    first.store(QUESTION, Answer("4 g a day.", tokens=5, prompt_tokens=9), scope)
    first.close()
    clock.now_s += 60
    second = make_cache(disk=disk)
    hit = second.lookup(QUESTION, scope)
    assert (hit.tier, hit.kind, hit.age_s, hit.answer, hit.tokens, hit.prompt_tokens) == (
        "disk",
        "exact",
        60.0,
        "4 g a day.",
        5,
        9,
    )
    assert second.lookup(QUESTION, scope).tier == "memory"


def test_similar_questions_are_found_on_disk(make_cache, scope, disk):
    first = make_cache(disk=disk)
    first.store(QUESTION, "4 g a day.", scope)
    first.close()
    second = make_cache(disk=disk)
    second.lookup(SIMILAR, scope)  # asks for the index to be filled
    second.settle()
    hit = second.lookup(SIMILAR, scope)
    assert (hit.tier, hit.kind) == ("disk", "semantic")
    assert second.lookup(SIMILAR, scope).tier == "memory"


def test_nothing_can_be_read_without_the_key(make_cache, scope, disk):
    cache = make_cache(disk=disk)
    cache.store(QUESTION, "Paracetamol: 4 g a day.", scope, artifact="adapter-secret")
    cache.flush()
    raw = files(disk.folder)
    for word in (b"paracetamol", b"Paracetamol", b"4 g a day", b"clinic", b"adapter-secret", b"medication"):
        assert word not in raw
    names = " ".join(path.name for path in disk.folder.rglob("*"))
    assert "paracetamol" not in names


def test_the_vector_is_sealed(make_cache, scope, disk):
    cache = make_cache(disk=disk)
    cache.store(QUESTION, "4 g a day.", scope)
    cache.flush()
    view = cache._tiers.semantic.view(QUESTION)
    import numpy as np

    plain = np.rint(view.vector * 127).astype(np.int8).tobytes()
    assert plain not in files(disk.folder)


def test_another_key_is_refused(make_cache, scope, disk, monkeypatch):
    make_cache(disk=disk).close()
    monkeypatch.setenv(KEY_VARIABLE, secrets.token_hex(32))
    with pytest.raises(ConfigError, match="got another one") as raised:
        make_cache(disk=disk)
    assert os.environ[KEY_VARIABLE] not in str(raised.value)


def test_a_short_key_is_refused(disk, monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, "secret")
    with pytest.raises(ConfigError, match="at least 32 characters"):
        open_tier(disk)


def test_without_a_key_the_tier_is_off_and_that_is_said_once(make_cache, scope, tmp_path, monkeypatch, capsys):
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    config = DiskConfig(folder=tmp_path / "no-key")
    for _ in range(2):
        cache = make_cache(disk=config)
        cache.store(QUESTION, "4 g a day.", scope)
        assert cache.lookup(QUESTION, scope).tier == "memory"
        cache.close()
    assert capsys.readouterr().err.count("cache_disk_off") == 1
    assert not (tmp_path / "no-key" / "entries").exists()


def test_withdrawals_need_no_key(make_cache, scope, tmp_path, monkeypatch):
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    config = DiskConfig(folder=tmp_path / "no-key")
    make_cache(disk=config).invalidate("artifact-1")
    cache = make_cache(disk=config)
    assert not cache.store(QUESTION, "4 g a day.", scope)


def flip(path, where, by=1):
    data = bytearray(path.read_bytes())
    data[where] ^= by
    path.write_bytes(bytes(data))


def sealed_place(disk, marker):
    """Return where the sealed bytes of the only entry lie in the file."""
    path = disk.folder / "entries" / "data.mdb"
    return path, path.read_bytes().find(marker)


def test_flipped_bytes_are_detected_dropped_and_counted(make_cache, scope, disk):
    cache = make_cache(disk=disk)
    cache.store(QUESTION, "4 g a day.", scope)
    cache.flush()
    tier = cache._tiers.disk
    with tier._environment.begin(db=tier._tables.entries) as transaction:
        key, data = next(iter(transaction.cursor()))
        data = bytes(data)
    cache.close()
    for where in (0, 1, 12, 20, 35, len(data) // 2, len(data) - 1):
        path, at = sealed_place(disk, data)
        assert at > 0
        flip(path, at + where)
        second = make_cache(disk=disk)
        assert second.lookup(QUESTION, scope) is None
        assert second.stats()["disk"]["damaged"] == 1
        second.flush()
        assert second.stats()["disk"]["entries"] == 0
        second.store(QUESTION, "4 g a day.", scope)
        second.flush()
        with second._tiers.disk._environment.begin(db=second._tiers.disk._tables.entries) as transaction:
            data = bytes(transaction.get(bytes(key)))
        second.close()


def test_entries_cannot_be_swapped(make_cache, scope, disk):
    """Somebody with write access moves one answer under another question."""
    cache = make_cache(disk=disk)
    other = "What is gout about?"
    cache.store(QUESTION, "4 g a day.", scope)
    cache.store(other, "A disease.", scope)
    cache.flush()
    tier = cache._tiers.disk
    with tier._environment.begin(write=True, db=tier._tables.entries) as transaction:
        (key_a, data_a), (key_b, data_b) = [(bytes(k), bytes(v)) for k, v in transaction.cursor()]
        transaction.put(key_a, data_b)
        transaction.put(key_b, data_a)
    cache.close()
    second = make_cache(disk=disk)
    assert second.lookup(QUESTION, scope) is None
    assert second.lookup(other, scope) is None
    assert second.stats()["disk"]["damaged"] >= 2


def test_without_verification_the_swap_would_serve(make_cache, scope, disk, monkeypatch):
    """The mutant: a sealer that does not bind content to its place serves the wrong answer."""
    from medray.inference.response_cache.keys import Sealer

    sealing, opening = Sealer.seal, Sealer.open
    monkeypatch.setattr(Sealer, "seal", lambda self, data, place: sealing(self, data, b""))
    monkeypatch.setattr(Sealer, "open", lambda self, sealed, place: opening(self, sealed, b""))
    with pytest.raises(AssertionError):
        test_entries_cannot_be_swapped(make_cache, scope, disk)


def test_the_size_bound_holds_and_the_oldest_go_first(make_cache, scope, disk, questions):
    cache = make_cache(disk=disk, memory_bytes=1)
    asked = questions(1500)
    for question in asked:
        cache.store(question, "An answer of some length. " * 100, scope)
    cache.flush()
    figures = cache.stats()["disk"]
    assert figures["bytes"] <= disk.max_bytes
    assert figures["evicted"] > 0
    assert figures["entries"] + figures["evicted"] == 1500
    assert cache.lookup(asked[0], scope) is None
    assert cache.lookup(asked[-1], scope) is not None
    assert (disk.folder / "entries" / "data.mdb").stat().st_size <= 2 * disk.max_bytes + 64 * 1024**2
    with cache._tiers.disk._environment.begin() as transaction:
        counts = {
            name: transaction.stat(getattr(cache._tiers.disk._tables, name))["entries"] for name in ("order", "vectors")
        }
    assert counts == {"order": figures["entries"], "vectors": figures["entries"]}


def test_overwriting_keeps_one_row(make_cache, scope, disk):
    cache = make_cache(disk=disk)
    for number in range(5):
        cache.store(QUESTION, f"{number} g a day.", scope)
        cache.flush()
    figures = cache.stats()["disk"]
    assert figures["entries"] == 1
    cache.close()
    assert make_cache(disk=disk).lookup(QUESTION, scope).answer == "4 g a day."


def test_the_queue_is_bounded(make_cache, scope, tmp_path, key, questions):
    config = DiskConfig(folder=tmp_path / "c", flush_interval_s=60, queue_bytes=20_000)
    cache = make_cache(disk=config)
    for question in questions(60):
        cache.store(question, "An answer. " * 50, scope)
    figures = cache.stats()["disk"]
    assert figures["waiting"] + figures["dropped"] == 60
    assert figures["dropped"] > 0


def test_expired_entries_are_not_served_from_disk(make_cache, scope, disk, clock):
    cache = make_cache(disk=disk, memory_bytes=1)
    cache.store(QUESTION, "4 g a day.", scope)
    cache.flush()
    clock.now_s += 8 * 86_400
    assert cache.lookup(QUESTION, scope) is None
    cache.flush()
    assert cache.stats()["disk"]["entries"] == 0


def test_a_full_map_turns_the_tier_off_with_one_warning(make_cache, scope, disk, capsys, questions):
    cache = make_cache(disk=disk)
    cache._tiers.disk._environment.set_mapsize(300_000)
    for question in questions(300):
        assert cache.store(question, "An answer of some length. " * 60, scope)
        cache.flush()
    assert cache.stats()["disk"]["off"]
    assert capsys.readouterr().err.count("cache_disk_off") == 1
    assert cache.lookup(questions(300)[-1], scope).tier == "memory"


def test_two_caches_of_one_process_share_the_folder(make_cache, scope, disk):
    first, second = make_cache(disk=disk), make_cache(disk=disk)
    first.store(QUESTION, "4 g a day.", scope)
    first.flush()
    assert second.lookup(QUESTION, scope).tier == "disk"
    first.close()
    second.invalidate("artifact-1")
    assert second.lookup(QUESTION, scope) is None


def test_a_shorter_lifetime_holds_for_what_lies_there_already(make_cache, scope, disk, clock):
    make_cache(disk=disk, ttl_s_by_class={}).store(QUESTION, "4 g a day.", scope)
    make_cache(disk=disk).flush()
    clock.now_s += 100
    assert make_cache(disk=disk, ttl_s_by_class={}, ttl_s=50).lookup(QUESTION, scope) is None


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
def test_a_file_that_was_cut_short_is_an_error_or_a_miss(make_cache, scope, disk, questions, share):
    """Reading past the end of a mapped file would kill the process; a damaged cache must not keep one from starting."""
    cache = make_cache(disk=disk)
    for question in questions(200):
        cache.store(question, "An answer of some length. " * 20, scope)
    cache.close()
    path = disk.folder / "entries" / "data.mdb"
    whole = path.stat().st_size
    os.truncate(path, int(share * whole))
    cache = make_cache(disk=disk)
    assert share == 0.0 or path.stat().st_size == whole
    for question in questions(200):
        cache.lookup(question, scope)
    assert cache.store(QUESTION, "4 g a day.", scope)
    cache.flush()
    assert cache.lookup(QUESTION, scope).answer == "4 g a day."


def test_the_file_stays_near_the_bound_on_its_content(make_cache, scope, tmp_path, key, questions):
    """Half empty pages and freed ones included; the map must not be full before the bound is reached."""
    disk = DiskConfig(folder=tmp_path / "cache", max_bytes=4 * 1024**2, flush_interval_s=60)
    cache = make_cache(disk=disk, memory_bytes=1, semantic=False)
    for at, question in enumerate(questions(6000)):
        cache.store(question, "An answer. " * (at % 250), scope)
        if at % 50 == 0:  # what one transaction writes and frees comes on top, several times over
            cache.flush()
    cache.flush()
    figures = cache.stats()["disk"]
    assert not figures["off"]
    assert figures["evicted"] > 1000
    assert (disk.folder / "entries" / "data.mdb").stat().st_size <= 2.5 * disk.max_bytes
