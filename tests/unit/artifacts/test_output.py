"""Atomic outputs: all or nothing, whatever happens and wherever the process dies."""

import json
import multiprocessing
import os
import signal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medray.artifacts import MANIFEST, Manifest, Output, hash_tree, is_artifact, read
from medray.artifacts import output as output_module
from medray.errors import ArtifactError, DataError


def make(location, text="one", **options) -> Manifest:
    options = {"kind": "test", "config": {"a": 1}, "inputs": {"data": "d0"}, **options}
    with Output(location, **options) as output:
        (output.path / "sub").mkdir(exist_ok=True)
        (output.path / "sub" / "file.txt").write_text(text)
        return output.commit(Manifest(kind="test", metrics={"kl": 0.5}))


def test_a_finished_artifact_validates_and_is_clean(tmp_path):
    sealed = make(tmp_path / "out")
    manifest = read(tmp_path / "out", kind="test", verify=True)
    assert manifest == sealed
    assert manifest.parents == {"data": "d0"}
    assert manifest.config == {"a": 1}
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [MANIFEST, "sub"]
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]


def test_others_may_read_what_a_library_wrote_for_its_owner_alone(tmp_path):
    umask = os.umask(0o022)
    try:
        with Output(tmp_path / "out", kind="test", config={}, inputs={}) as output:
            (output.path / "weights").write_bytes(b"x")
            (output.path / "weights").chmod(0o600)
            output.commit(Manifest(kind="test"))
    finally:
        os.umask(umask)
    assert (tmp_path / "out" / "weights").stat().st_mode & 0o777 == 0o644


def test_content_hash_depends_on_content_alone(tmp_path):
    first, second = make(tmp_path / "a"), make(tmp_path / "b")
    other = make(tmp_path / "c", text="two")
    assert first.content_hash == second.content_hash != other.content_hash


def test_a_finished_artifact_is_refused_unless_overwritten(tmp_path):
    make(tmp_path / "out")
    with pytest.raises(ArtifactError, match="already holds a finished artifact"):
        make(tmp_path / "out", text="two")
    assert (tmp_path / "out/sub/file.txt").read_text() == "one"
    make(tmp_path / "out", text="two", overwrite=True)
    assert (tmp_path / "out/sub/file.txt").read_text() == "two"
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]


def test_overwrite_never_replaces_a_folder_that_is_no_artifact(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("years of work")
    with pytest.raises(ArtifactError, match="no finished artifact"):
        make(tmp_path / "out", overwrite=True)
    assert (tmp_path / "out" / "thesis.txt").exists()


def test_failure_keeps_unfinished_work_and_the_same_job_resumes_it(tmp_path):
    options = {"kind": "test", "config": {"a": 1}, "inputs": {}}
    with pytest.raises(RuntimeError), Output(tmp_path / "out", **options) as output:
        (output.path / "half").write_text("x")
        raise RuntimeError("killed")
    assert not (tmp_path / "out").exists()
    with Output(tmp_path / "out", **options) as output:
        assert output.resumed
        assert (output.path / "half").read_text() == "x"
        output.commit(Manifest(kind="test"))
    assert is_artifact(tmp_path / "out")


@pytest.mark.parametrize("changed", [{"config": {"a": 2}}, {"inputs": {"data": "d1"}}, {"kind": "other"}])
def test_unfinished_work_of_another_job_is_refused(tmp_path, changed):
    options = {"kind": "test", "config": {"a": 1}, "inputs": {"data": "d0"}}
    with pytest.raises(RuntimeError), Output(tmp_path / "out", **options):
        raise RuntimeError("killed")
    with pytest.raises(ArtifactError, match="another config"), Output(tmp_path / "out", **{**options, **changed}):
        pass
    with Output(tmp_path / "out", **{**options, **changed}, overwrite=True) as output:
        assert not output.resumed


def test_bad_input_leaves_nothing(tmp_path):
    with pytest.raises(DataError), Output(tmp_path / "out", kind="test", config={}, inputs={}):
        raise DataError("bad corpus")
    assert list(tmp_path.iterdir()) == []


def test_two_writers_of_one_place_are_kept_apart(tmp_path):
    options = {"kind": "test", "config": {}, "inputs": {}}
    with (
        Output(tmp_path / "out", **options),
        pytest.raises(ArtifactError, match="another process"),
        Output(tmp_path / "out", **options),
    ):
        pass


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda p: (p / MANIFEST).write_text("{"), "expected a medray manifest"),
        (lambda p: (p / MANIFEST).write_text('{"kind": "test", "surprise": 1}'), "surprise"),
        (lambda p: (p / MANIFEST).write_text('{"kind": "test", "format_version": 99}'), "format version"),
        (lambda p: (p / "sub/file.txt").unlink(), "not there"),
        (lambda p: (p / "sub/file.txt").write_text("longer than it was"), "changed or damaged"),
        (lambda p: (p / MANIFEST).unlink(), "found no manifest"),
    ],
)
def test_damage_is_seen(tmp_path, damage, words):
    make(tmp_path / "out")
    damage(tmp_path / "out")
    with pytest.raises(ArtifactError, match=words):
        read(tmp_path / "out")


def test_same_size_damage_needs_verify(tmp_path):
    make(tmp_path / "out")
    (tmp_path / "out/sub/file.txt").write_text("eno")
    read(tmp_path / "out")
    with pytest.raises(ArtifactError, match="changed or damaged"):
        read(tmp_path / "out", verify=True)


def test_kind_is_checked(tmp_path):
    make(tmp_path / "out")
    with pytest.raises(ArtifactError, match="kind 'distilled', got 'test'"):
        read(tmp_path / "out", kind="distilled")


@given(st.dictionaries(st.from_regex(r"[a-z]{1,6}", fullmatch=True), st.binary(max_size=20), min_size=1, max_size=4))
@settings(max_examples=20, deadline=None)
def test_tree_hash_sees_names_and_bytes(tmp_path_factory, files):
    folder = tmp_path_factory.mktemp("tree")
    for name, data in files.items():
        (folder / name).write_bytes(data)
    before = hash_tree(folder)
    name = sorted(files)[0]
    (folder / name).write_bytes(files[name] + b"!")
    changed = hash_tree(folder)
    (folder / name).write_bytes(files[name])
    (folder / name).rename(folder / "renamedfile")
    assert len({before, changed, hash_tree(folder)}) == 3


def _commit_and_die(location: Path, step: int, overwrite: bool) -> None:
    """Kill this process at the `step`-th file-system call of a commit."""
    calls = iter(range(10_000))

    def dying(original):
        def call(*args, **kwargs):
            if next(calls) == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*args, **kwargs)

        return call

    Path.rename = dying(Path.rename)
    Path.unlink = dying(Path.unlink)
    Path.write_text = dying(Path.write_text)
    output_module._flush = dying(output_module._flush)
    make(location, text="two", overwrite=overwrite)
    os._exit(7)


@pytest.mark.parametrize("overwrite", [False, True])
def test_killed_anywhere_in_a_commit_there_is_a_whole_artifact_or_none(tmp_path, overwrite):
    context = multiprocessing.get_context("fork")
    seen = set()
    for step in range(40):
        location = tmp_path / f"out-{overwrite}-{step}"
        if overwrite:
            make(location)
        process = context.Process(target=_commit_and_die, args=(location, step, overwrite))
        process.start()
        process.join()
        if location.exists():
            read(location, verify=True)
            seen.add((location / "sub/file.txt").read_text())
        else:
            seen.add(None)
        if process.exitcode == 7:
            break
        assert process.exitcode == -signal.SIGKILL
        make(location, text="two", overwrite=True)  # the next run is not stuck
        assert json.loads((location / MANIFEST).read_text())["kind"] == "test"
    else:
        pytest.fail("the commit never ended")
    assert "two" in seen
