"""Shared fixtures: the repository, real corpora where they lie beside it, an isolated home for medray's caches."""

import os
from pathlib import Path

import pytest

from medray import cluster

cluster.environment()
os.environ.setdefault("HF_HUB_OFFLINE", "1")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real corpora; tests that need it say so when it is absent."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real corpora are not beside this clone (../shared/data)")
    return folder


@pytest.fixture
def medray_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    monkeypatch.setenv("MEDRAY_HOME", str(home))
    return home
