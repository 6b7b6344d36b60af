"""The sensitivity analysis as Ray tasks: the same figures as in one process, in parallel, through deaths and errors."""

import os
import signal
from dataclasses import dataclass

import pytest

from medray import cluster
from medray.compression.sensitivity import SensitivityConfig, mark, measure
from medray.compression.sensitivity import cluster as tasks
from medray.compression.sensitivity.cluster import on_ray
from medray.errors import ModelError
from medray.models import load_tokenizer
from medray.models.tiny import save_tiny

CONFIG = SensitivityConfig(num_cpus=1)


@dataclass(frozen=True)
class FakeLesson:
    id: str
    system: str
    user: str
    target: str


@pytest.fixture(scope="module", autouse=True)
def _cluster():
    with cluster.session(num_cpus=2):
        yield


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return save_tiny(tmp_path_factory.mktemp("base") / "model", layers=3)


@pytest.fixture(scope="module")
def rows(base):
    lessons = [
        FakeLesson(str(n), "", f"What helps against {what}?", f"Take {100 * n + 400} mg of ibuprofen with water.")
        for n, what in enumerate(["asthma", "fever", "pain"])
    ]
    return mark(lessons, load_tokenizer(base), rows=3, max_tokens=200, seed=0)


def close(first, second):
    """Equal up to the order of float32 sums, which the number of threads decides."""
    assert first.keys() == second.keys()
    for module, by_bits in first.items():
        assert by_bits == pytest.approx(second[module], rel=5e-2, abs=1e-6)


def test_tasks_give_what_one_process_gives_and_leave_it_cached(base, rows, tmp_path):
    here = measure(base, rows, CONFIG, cache=tmp_path / "here")
    seen = []
    there = measure(base, rows, CONFIG, cache=tmp_path / "there", compute=on_ray, advance=lambda *at: seen.append(at))
    close(here.losses(), there.losses())
    assert seen == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]

    def never(work, pieces):
        raise AssertionError("everything is cached")

    assert measure(base, rows, CONFIG, cache=tmp_path / "there", compute=never) == there


def test_a_piece_whose_worker_died_is_computed_again(base, rows, tmp_path, monkeypatch):
    monkeypatch.setattr(tasks, "_piece", _dying_once(tmp_path / "died", tasks._piece))
    found = measure(base, rows, CONFIG, cache=tmp_path / "cache", compute=on_ray)
    assert (tmp_path / "died").exists()
    assert len(found.rises) == 3 * 7


def test_an_error_in_a_task_arrives_as_it_was_raised_and_what_was_finished_stays(base, rows, tmp_path):
    import shutil

    from safetensors.torch import load_file, save_file

    from medray.models import resolve

    folder = shutil.copytree(base.path, tmp_path / "bad")
    weights = load_file(folder / "model.safetensors")
    weights["model.layers.2.mlp.up_proj.weight"][0, 0] = float("nan")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="finite"):
        measure(resolve(str(folder)), rows, CONFIG, cache=tmp_path / "cache", compute=on_ray)


def _dying_once(mark_file, work):
    def wrapped(*arguments):
        if arguments[1].name != "attention" and not mark_file.exists():
            mark_file.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return work(*arguments)

    return wrapped
