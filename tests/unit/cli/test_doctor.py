"""`medray doctor` on this machine, on mocked ones, and what it says about Ray's authentication."""

import importlib.util
import json

import pytest
import torch
from click.testing import CliRunner

from medray.cli import doctor


def finding(subject, findings=None):
    (found,) = [item for item in findings or doctor.examine() if item.subject == subject]
    return found


def test_json_and_table_list_the_same_subjects():
    as_json = CliRunner().invoke(doctor.doctor, ["--json"])
    table = CliRunner().invoke(doctor.doctor, [])
    assert as_json.exit_code == table.exit_code == 0
    rows = json.loads(as_json.output)
    assert {row["area"] for row in rows} == {"device", "kernel", "engine", "extra", "model", "ray"}
    for row in rows:
        assert row["subject"].split()[0] in table.output
        assert row["reason"]


def test_a_missing_engine_names_its_extra(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    vllm = finding("vllm")
    assert (vllm.ok, vllm.do) == (False, "pip install 'medray[vllm]'")
    assert "medray[vllm]" in CliRunner(env={"COLUMNS": "200"}).invoke(doctor.doctor, []).output.replace("\n", "")


def test_a_gpu_machine_reads_as_one(monkeypatch):
    class Card:
        name = "Test GPU"
        total_memory = 80e9

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda index=0: (9, 0))
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: Card)
    findings = list(doctor.examine())
    assert "80.0 GB" in finding("cuda:0", findings).reason
    assert finding("fast 4-bit", findings).ok
    assert finding("bfloat16", findings).ok


@pytest.mark.parametrize(
    ("environment", "on"),
    [({"RAY_AUTH_MODE": "token"}, True), ({"RAY_AUTH_MODE": "disabled"}, False), ({}, False)],
)
def test_ray_authentication(environment, on, tmp_path):
    findings = list(doctor._ray(environment, tmp_path))
    assert finding("token authentication", findings).ok is on
    assert not finding("token", findings).ok
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("x" * 32)
    assert finding("token", list(doctor._ray(environment, tmp_path))).ok
