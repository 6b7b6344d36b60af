"""The loop alone: it learns, and a run cut anywhere goes on as if it had not been."""

import dataclasses
import shutil
from dataclasses import asdict

import pytest
from distill_samples import CONFIG, make_setting

from medray.distillation import checkpoint
from medray.distillation.loop import Loop
from medray.distillation.teacher import FakeTeacher


class FolderPorts:
    """Keeps checkpoints in a folder; `stop_after` plays a kill right after that step."""

    def __init__(self, folder, *, resume_from=None, stop_after=None):
        self.resume_from = resume_from
        self._folder, self._stop_after = folder, stop_after
        self.rows, self.metrics = [], []

    def on_row(self, row):
        self.rows.append(row)
        if row.step == self._stop_after:
            raise KeyboardInterrupt

    def report(self, metrics, folder):
        self.metrics.append(metrics)
        if folder is not None:
            shutil.copytree(folder, self._folder / str(metrics["step"]))


def timeless(rows):
    return [{**asdict(row), "seconds": None} for row in rows]


def test_training_lowers_the_divergence(encoded, encoded_valid, tmp_path):
    ports = FolderPorts(tmp_path)
    teacher = FakeTeacher(384)  # two tiny random models are too alike to have anything to teach
    state = Loop(make_setting(encoded, encoded_valid, teacher=teacher), ports).run()
    before, after = state.validations[0], state.validations[-1]
    assert (before.step, after.step) == (0, 4)
    assert after.kl < before.kl
    assert [row.step for row in state.rows] == [1, 2, 3, 4]
    assert ports.metrics[-1]["valid_kl"] == after.kl
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2", "4"]
    assert [row.micro_batches for row in state.workers] == [12]


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("stop_after", [1, 2, 3])
def test_a_cut_run_goes_on_exactly(encoded, encoded_valid, tmp_path, stop_after, dropout):
    config = CONFIG.model_copy(update={"lora": CONFIG.lora.model_copy(update={"dropout": dropout})})
    whole = Loop(make_setting(encoded, encoded_valid, config), FolderPorts(tmp_path / "a")).run()
    with pytest.raises(KeyboardInterrupt):
        Loop(make_setting(encoded, encoded_valid, config), FolderPorts(tmp_path / "b", stop_after=stop_after)).run()
    last = tmp_path / "b" / "2"
    resume_from = last if last.is_dir() else None
    assert (resume_from is None) == (stop_after <= 2)  # the cut at 2 comes before its checkpoint
    again = Loop(make_setting(encoded, encoded_valid, config), FolderPorts(tmp_path / "c", resume_from=resume_from))
    resumed = again.run()
    assert timeless(resumed.rows) == timeless(whole.rows)
    assert resumed.validations == whole.validations
    assert timeless(checkpoint.read_state(tmp_path / "c" / "4").rows) == timeless(whole.rows)


def test_another_seed_is_another_run(encoded, encoded_valid, tmp_path):
    first = Loop(make_setting(encoded, encoded_valid), FolderPorts(tmp_path / "a")).run()
    other = CONFIG.model_copy(update={"seed": 1})
    second = Loop(make_setting(encoded, encoded_valid, other), FolderPorts(tmp_path / "b")).run()
    assert timeless(first.rows) != timeless(second.rows)


def test_a_finished_run_has_nothing_left_to_do(encoded, encoded_valid, tmp_path):
    Loop(make_setting(encoded, encoded_valid), FolderPorts(tmp_path)).run()
    ports = FolderPorts(tmp_path / "more", resume_from=tmp_path / "4")
    state = Loop(make_setting(encoded, encoded_valid), ports).run()
    assert (ports.rows, len(state.rows)) == ([], 4)
    assert sum(row.micro_batches for row in state.workers) == 12


def test_without_kl_the_teacher_is_only_asked_for_validation(encoded, encoded_valid, tmp_path):
    config = CONFIG.model_copy(update={"loss": CONFIG.loss.model_copy(update={"kl": 0.0, "ce": 1.0})})
    state = Loop(make_setting(encoded, encoded_valid, config), FolderPorts(tmp_path)).run()
    assert all(row.kl is None and row.loss == pytest.approx(row.ce) for row in state.rows)
    assert state.validations[0].kl is not None


def test_only_the_adapter_is_trained(encoded, encoded_valid, tmp_path):
    setting = make_setting(encoded, encoded_valid)
    base = {name: value.clone() for name, value in setting.module.state_dict().items() if "lora_" not in name}
    Loop(setting, FolderPorts(tmp_path)).run()
    after = setting.module.state_dict()
    assert all(after[name].equal(value) for name, value in base.items())
    assert all("lora_" in name for name, value in setting.module.named_parameters() if value.requires_grad)


def test_rows_hold_every_column(encoded, encoded_valid, tmp_path):
    row = Loop(make_setting(encoded, encoded_valid), FolderPorts(tmp_path)).run().rows[0]
    names = [field.name for field in dataclasses.fields(row)]
    assert names == ["step", "tokens", "loss", "ce", "kl", "lr", "difficulty", "seconds"]
