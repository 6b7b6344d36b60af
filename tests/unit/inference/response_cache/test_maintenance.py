"""`medray cache`: what it says, drops and writes."""

import json

import pytest
from click.testing import CliRunner

from medray.cli.cache import cache as command
from medray.errors import CapabilityError
from medray.inference.response_cache.keys import KEY_VARIABLE

QUESTION = "What is the maximum dose of paracetamol?"


def run(*arguments):
    return CliRunner().invoke(command, list(map(str, arguments)))


@pytest.fixture
def filled(make_cache, scope, disk, clock):
    import time

    clock.now_s = time.time()
    cache = make_cache(disk=disk)
    cache.store(QUESTION, "4 g a day.", scope)
    cache.store("What is gout about?", "A disease.", scope, artifact="adapter-7")
    cache.close()
    return disk


def test_stats_hold_figures_only(filled):
    result = run("stats", "--folder", filled.folder)
    figures = json.loads(result.output)
    assert figures["entries"] == 2
    assert figures["bytes"] > 0


def test_verify_finds_and_drops(filled):
    assert json.loads(run("verify", "--folder", filled.folder).output)["whole"] == 2
    assert run("invalidate", "--folder", filled.folder, "--artifact", "adapter-7").exit_code == 0
    found = json.loads(run("verify", "--folder", filled.folder).output)
    assert (found["whole"], found["withdrawn"]) == (1, 1)
    assert json.loads(run("verify", "--folder", filled.folder).output) == {
        "whole": 1,
        "damaged": 0,
        "expired": 0,
        "withdrawn": 0,
    }


def test_verify_fails_on_damage(filled):
    path = filled.folder / "entries" / "data.mdb"
    import lmdb

    with lmdb.open(str(filled.folder / "entries"), max_dbs=8) as environment:
        table = environment.open_db(b"entries")
        with environment.begin(write=True, db=table) as transaction:
            key, data = next(iter(transaction.cursor()))
            transaction.put(bytes(key), bytes(data)[:-1] + bytes([data[-1] ^ 1]))
    result = run("verify", "--folder", filled.folder)
    assert result.exit_code == 1
    assert json.loads(result.output)["damaged"] == 1
    assert path.is_file()


def test_invalidating_needs_no_key(filled, monkeypatch, make_cache, scope):
    key = __import__("os").environ[KEY_VARIABLE]
    monkeypatch.delenv(KEY_VARIABLE)
    assert run("invalidate", "--folder", filled.folder, "--artifact", "artifact-1").exit_code == 0
    monkeypatch.setenv(KEY_VARIABLE, key)
    assert make_cache(disk=filled).lookup(QUESTION, scope) is None


def test_export_writes_a_private_file(filled, tmp_path):
    out = tmp_path / "out.jsonl"
    assert run("export", "--folder", filled.folder, "--out", out).exit_code == 0
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert {row["question"] for row in rows} == {QUESTION, "What is gout about?"}
    assert out.stat().st_mode & 0o777 == 0o600
    again = run("export", "--folder", filled.folder, "--out", out)
    assert isinstance(again.exception, CapabilityError)


def test_a_missing_folder_or_key_is_said(tmp_path, monkeypatch, filled):
    assert isinstance(run("stats", "--folder", tmp_path / "none").exception, CapabilityError)
    monkeypatch.delenv(KEY_VARIABLE)
    assert KEY_VARIABLE in str(run("stats", "--folder", filled.folder).exception)
