"""A merge changes nothing that can be seen, and a wrong one is caught."""

import pytest
import torch
from peft.tuners.lora.layer import Linear as LoraLinear

from medray.compression.merge import check_parity, logits, merge
from medray.errors import ModelError, ParityError
from medray.models import load_model


def merged(ref, rows):
    return merge(ref, rows, tolerance=1e-4, device="cpu")


def test_merged_logits_equal_the_adapter_s_and_differ_from_the_base_s(base, adapter, rows):
    model, parity = merged(adapter, rows)
    assert 0 <= parity.max_abs_difference <= 1e-4
    assert parity.prompts == len(rows)
    assert not any("lora" in name for name, _ in model.named_parameters())
    plain = logits(load_model(base), rows, device="cpu")
    assert float((plain[0] - logits(model, rows, device="cpu")[0]).abs().max()) > 1e-2


def test_merging_twice_gives_the_same_bits(adapter, rows):
    first, second = (merged(adapter, rows)[0].state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_merge_with_wrong_scaling_is_refused(adapter, rows, monkeypatch):
    right = LoraLinear.get_delta_weight
    monkeypatch.setattr(LoraLinear, "get_delta_weight", lambda self, name: right(self, name) * 1.05)
    with pytest.raises(ParityError, match="nothing was written"):
        merged(adapter, rows)


def test_alpha_over_rank_in_place_of_rank_stabilised_scaling_is_refused(adapter, rows, monkeypatch):
    right = LoraLinear.get_delta_weight  # alpha/r = 2 in place of alpha/sqrt(r) = 4: what a common converter does
    monkeypatch.setattr(LoraLinear, "get_delta_weight", lambda self, name: right(self, name) / 2)
    with pytest.raises(ParityError):
        merged(adapter, rows)


def test_without_an_adapter_there_is_nothing_to_prove(base, rows):
    model, parity = merged(base, rows)
    assert parity is None
    assert torch.equal(logits(model, rows, device="cpu")[0], logits(load_model(base), rows, device="cpu")[0])


def test_nan_never_passes_parity():
    good, bad = torch.zeros(3, 4), torch.full((3, 4), float("nan"))
    for pair in ((good, bad), (bad, good), (bad, bad)):
        with pytest.raises(ParityError):
            check_parity([pair[0]], [pair[1]], 1e-4)


def test_quantised_bases_are_refused(base, rows, tmp_path):
    import json
    import shutil

    from medray.models import resolve

    shutil.copytree(base.path, tmp_path / "gptq")
    config = json.loads((tmp_path / "gptq" / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "gptq", "bits": 4}
    (tmp_path / "gptq" / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="quantised"):
        merged(resolve(str(tmp_path / "gptq")), rows)
