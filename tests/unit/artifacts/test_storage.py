"""Remote locations through pyarrow.fs, on a real URI of the local file system."""

import pytest

from medray.artifacts import Manifest, Output, fetch, is_remote, read
from medray.artifacts.storage import is_finished, is_taken
from medray.errors import ArtifactError


@pytest.fixture
def uri(tmp_path, medray_home) -> str:
    return (tmp_path / "bucket" / "run").as_uri()


def make(uri: str, text: str = "one", **options) -> Manifest:
    with Output(uri, kind="test", config={}, inputs={}, **options) as output:
        (output.path / "sub").mkdir()
        (output.path / "sub/file").write_text(text)
        return output.commit(Manifest(kind="test"))


def test_upload_fetch_and_refusal(uri, medray_home):
    assert is_remote(uri)
    sealed = make(uri)
    assert is_finished(uri)
    local = fetch(uri)
    assert read(local, verify=True) == sealed
    with pytest.raises(ArtifactError, match="already holds a finished artifact"):
        make(uri)
    make(uri, text="two", overwrite=True)
    assert (fetch(uri) / "sub/file").read_text() == "two"


def test_without_a_manifest_nothing_is_finished(uri, tmp_path, medray_home):
    (tmp_path / "bucket/run").mkdir(parents=True)
    (tmp_path / "bucket/run/file").write_text("half")
    assert is_taken(uri)
    assert not is_finished(uri)
    with pytest.raises(ArtifactError, match="found no manifest"):
        fetch(uri)


def test_an_unknown_scheme_is_one_clear_error_without_its_query(medray_home):
    with pytest.raises(ArtifactError, match="cannot open") as error:
        fetch("nowhere://bucket/x?secret_key=abc")
    assert "abc" not in str(error.value)
