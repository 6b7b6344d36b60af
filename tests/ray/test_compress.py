"""Where a cluster is named, the whole compression is one Ray task; its errors arrive as they were raised."""

import pytest

from jobs import compress as job
from medray import cluster
from medray.artifacts import read
from medray.models.tiny import save_tiny


@pytest.fixture(scope="module", autouse=True)
def _cluster():
    with cluster.session():
        yield


@pytest.fixture(autouse=True)
def _named(monkeypatch):
    import ray

    monkeypatch.setenv("RAY_ADDRESS", ray.get_runtime_context().gcs_address)


def test_it_runs_as_a_task_on_the_named_cluster(tmp_path, monkeypatch, capsys):
    base = save_tiny(tmp_path / "model")
    monkeypatch.setattr(job, "_here", _seen_by_a_worker(tmp_path / "where", job._here))
    arguments = ["--out", str(tmp_path / "out"), "--set", f"model={base.path}", "--set", "rows=2"]
    assert job.main(arguments) == 0
    assert read(tmp_path / "out", kind="compressed", verify=True).metrics["bitsandbytes_kl"] > 0
    assert "KL to merged" in capsys.readouterr().out
    import os

    assert int((tmp_path / "where").read_text()) != os.getpid()


def test_a_bad_model_is_still_one_line_and_exit_2(tmp_path, capsys):
    assert job.main(["--out", str(tmp_path / "out"), "--set", "model=no-such-model"]) == 2
    assert "jobs.compress: no model 'no-such-model'" in capsys.readouterr().err
    assert not list(tmp_path.glob("out*"))


def _seen_by_a_worker(place, work):
    def wrapped(config, request):
        import os

        place.write_text(str(os.getpid()))
        return work(config, request)

    return wrapped
