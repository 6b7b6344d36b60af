"""What counts as the same model: the artifact's content, else config and weight files; never the place."""

import json
import shutil

from medray.artifacts import Manifest, Output
from medray.models import resolve
from medray.models.identity import content_identity
from medray.models.tiny import save_tiny


def test_a_copy_is_the_same_and_a_change_is_not(tmp_path):
    first = save_tiny(tmp_path / "a")
    copied = resolve(str(shutil.copytree(first.path, tmp_path / "b")))
    assert content_identity(first) == content_identity(copied)
    config = json.loads((tmp_path / "b" / "config.json").read_text())
    (tmp_path / "b" / "config.json").write_text(json.dumps({**config, "rms_norm_eps": 0.5}))
    assert content_identity(first) != content_identity(copied)
    assert content_identity(first) != content_identity(save_tiny(tmp_path / "c", layers=3))


def test_an_artifact_and_its_sub_folders_are_its_content_hash(tmp_path):
    with Output(tmp_path / "artifact", kind="compressed", config={}, inputs={}) as output:
        save_tiny(output.path / "merged")
        manifest = output.commit(Manifest(kind="compressed"))
    for name in ("artifact", "artifact/merged"):
        assert content_identity(resolve(str(tmp_path / name))) == manifest.content_hash
