"""Configs to engines, and which weights a merged pool takes on which device."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
import torch
from engine_checks import ask, text_of

from medray.artifacts import Manifest, Output
from medray.config import validate
from medray.errors import ConfigError
from medray.inference.engines.fake import FakeEngine, fake_answer
from medray.inference.factory import EngineConfig, build_engine, merged_source
from medray.models import resolve
from medray.models.capability import DeviceProbe
from medray.models.quantisation import Quantisation, nf4_format
from medray.models.quantised import quantise, save_quantised
from medray.models.tiny import save_tiny, tiny_model

CPU = DeviceProbe(False, None, frozenset({"avx2"}))
GPU = DeviceProbe(True, (9, 0), frozenset())


def _artifact(folder: Path, formats: tuple[str, ...]) -> Path:
    with Output(folder, kind="compressed", config={}, inputs={}) as output:
        for name in formats:
            save_tiny(output.path / name, layers=1, hidden=16)
            if name == "bitsandbytes":
                (output.path / name / "quantisation.json").write_text("{}")
        output.commit(Manifest(kind="compressed"))
    return folder


def save_four_bit(folder: Path) -> None:
    model = tiny_model()
    name = "model.layers.0.mlp.up_proj"
    form = Quantisation(modules={name: nf4_format(double=True)})
    save_tiny(folder)
    quantise(model, form)
    (folder / "model.safetensors").unlink()
    save_quantised(model, form, folder, dtype=torch.float32)


def test_four_bit_weights_go_where_they_are_fast(tmp_path: Path) -> None:
    root = _artifact(tmp_path / "both", ("merged", "bitsandbytes"))
    slow, fast = (merged_source(resolve(str(root)), probe) for probe in (CPU, GPU))
    assert (Path(slow.ref.path).name, Path(fast.ref.path).name) == ("merged", "bitsandbytes")
    assert "16/32-bit" in slow.reason
    assert fast.ref.kind == "bitsandbytes"
    assert slow.ref.artifact_id == fast.ref.artifact_id == resolve(str(root)).artifact_id


def test_what_there_is_gets_served(tmp_path: Path) -> None:
    only = _artifact(tmp_path / "only", ("bitsandbytes",))
    chosen = merged_source(resolve(str(only)), CPU)
    assert (chosen.ref.kind, "though slow" in chosen.reason) == ("bitsandbytes", True)
    plain = _artifact(tmp_path / "plain", ("merged",))
    assert Path(merged_source(resolve(str(plain)), GPU).ref.path).name == "merged"


def test_a_format_named_outright_is_kept(tmp_path: Path) -> None:
    root = _artifact(tmp_path / "both", ("merged", "bitsandbytes"))
    assert merged_source(resolve(str(root / "bitsandbytes")), CPU).ref.kind == "bitsandbytes"
    assert merged_source(resolve(str(root / "merged")), GPU).ref.kind == "folder"
    folder = save_tiny(tmp_path / "folder", layers=1, hidden=16)
    assert merged_source(folder, GPU).ref == folder


def test_the_choice_reaches_the_capabilities(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DeviceProbe, "here", classmethod(lambda cls: CPU))
    root = _artifact(tmp_path / "both", ("merged", "bitsandbytes"))
    engine = build_engine(EngineConfig(model=str(root), device="cpu"))  # a GPU that is not to be used does not count
    assert "16/32-bit weights served" in engine.capabilities.kernels
    assert asyncio.run(text_of(engine, ask(max_tokens=4)))


@pytest.mark.parametrize(
    ("flags", "asked", "precision"),
    [({"avx512_bf16"}, "auto", "bfloat16"), ({"avx512_bf16"}, "float32", "float32"), ({"avx2"}, "auto", "float32")],
)
def test_four_bit_weights_compute_in_what_the_kernels_take(tmp_path, monkeypatch, flags, asked, precision) -> None:
    monkeypatch.setattr(DeviceProbe, "here", classmethod(lambda cls: DeviceProbe(False, None, frozenset(flags))))
    with Output(tmp_path / "only", kind="compressed", config={}, inputs={}) as output:
        save_four_bit(output.path / "bitsandbytes")
        output.commit(Manifest(kind="compressed"))
    engine = build_engine(EngineConfig(model=str(tmp_path / "only"), device="cpu", dtype=asked))
    assert precision in engine.capabilities.precision
    assert asyncio.run(text_of(engine, ask(max_tokens=4)))


def test_the_fake_builds_without_a_model() -> None:
    config = validate(EngineConfig, {"engine": "fake", "mode": "adapter", "fake": {"slots": 3, "adapters": ["a", "b"]}})
    engine = build_engine(config)
    assert isinstance(engine, FakeEngine)
    assert (engine.stats().slots, engine.capabilities.multi_adapter) == (3, True)
    answers = {asyncio.run(text_of(engine, ask(adapter=name, max_tokens=400))) for name in ("a", "b")}
    assert len(answers) == 2
    assert all(answer.startswith("No model wrote this") for answer in answers)


def test_a_fake_answer_never_repeats_the_question() -> None:
    answer = fake_answer(ask("zebra quagga").messages, None, 0)
    assert answer == fake_answer(ask("zebra quagga").messages, None, 0)
    assert not {"zebra", "quagga"} & set(answer.split())


@pytest.mark.parametrize(
    ("data", "word"),
    [
        ({}, "model"),
        ({"model": "x/y", "slots": 2}, "slots"),
        ({"model": "x/y", "device": "tpu"}, "device"),
        ({"model": "x/y", "mode": "both"}, "mode"),
        ({"model": "x/y", "modle": 1}, "modle"),
        ({"engine": "fake", "fake": {"slots": 0}}, "fake.slots"),
    ],
)
def test_contradictions_are_refused(data: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        validate(EngineConfig, data)
