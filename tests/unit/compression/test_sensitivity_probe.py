"""Rises against whole passes of a model with one matrix replaced, and what a probe must leave and refuse."""

import pytest
import torch
from sensitivity_rows import ROWS
from torch.nn.functional import kl_div

from medray.compression.codes import round_trip
from medray.compression.measure import ratio_standard_error
from medray.compression.sensitivity.probe import Probe, Rise, run_probes
from medray.errors import ModelError
from medray.models.tiny import tiny_model

PROJECTIONS = [f"self_attn.{name}_proj" for name in "qkvo"] + [f"mlp.{name}_proj" for name in ("gate", "up", "down")]


def probes(layer, code="nf4", bits=4):
    return [Probe(f"model.layers.{layer}.{name}", bits, code) for name in PROJECTIONS]


def log_probabilities(model, marked):
    before = [at - 1 for at in marked.targets]
    with torch.no_grad():
        return model(torch.tensor([marked.row.ids])).logits[0, before].double().log_softmax(-1)


def whole_pass(exact, probe, marked, **options):
    """Sums of KL and of loss rise from complete forward passes and torch's own KL."""
    changed = tiny_model(**options)
    weight = changed.get_submodule(probe.module).weight
    weight.data = round_trip(weight, probe.code)
    p, q = log_probabilities(exact, marked), log_probabilities(changed, marked)
    targets = torch.tensor([marked.row.ids[at] for at in marked.targets])[:, None]
    rise = float((p.gather(-1, targets) - q.gather(-1, targets)).sum())
    return float(kl_div(q, p, log_target=True, reduction="sum")), rise


@pytest.mark.parametrize("family", ["llama", "qwen2"])
@pytest.mark.parametrize("layer", [0, 2, 3])
def test_a_rise_is_that_of_whole_passes_with_one_matrix_replaced(family, layer):
    model = tiny_model(family=family, tied=False)
    for probe, rise in zip(probes(layer), run_probes(model, probes(layer), ROWS), strict=True):
        expected = [whole_pass(model, probe, marked, family=family, tied=False) for marked in ROWS]
        assert rise.kl_sums == pytest.approx(
            [kl for kl, _ in expected], rel=1e-2, abs=1e-9
        )  # both passes in float32, KL in float64
        assert rise.loss_sums == pytest.approx([loss for _, loss in expected], rel=1e-2, abs=2e-5)
        assert rise.tokens == tuple(len(marked.targets) for marked in ROWS) == (3, 3, 3)


def test_the_model_is_left_as_it_came_and_so_is_one_that_failed():
    model = tiny_model()
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    run_probes(model, probes(1), ROWS)
    with pytest.raises(ModelError):
        run_probes(
            model, [Probe("model.layers.1.mlp.up_proj", 4, "nf4"), Probe("model.layers.1.mlp.no", 4, "nf4")], ROWS
        )
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())


def test_fewer_bits_rise_more_and_none_changes_nothing(monkeypatch):
    model = tiny_model()
    four, eight = (run_probes(model, probes(1, code, bits), ROWS) for code, bits in (("nf4", 4), ("int8", 8)))
    assert all(low.kl > 5 * high.kl >= 0 for low, high in zip(four, eight, strict=True))
    monkeypatch.setattr("medray.compression.sensitivity.probe.round_trip", lambda matrix, code: matrix.clone())
    assert all(abs(rise.kl) < 1e-7 and abs(rise.loss) < 1e-6 for rise in run_probes(model, probes(1), ROWS))


def test_a_probe_sees_a_ruined_projection(monkeypatch):
    model = tiny_model()
    honest = run_probes(model, probes(1), ROWS)
    monkeypatch.setattr("medray.compression.sensitivity.probe.round_trip", lambda matrix, code: -matrix)
    assert all(bad.kl > 3 * good.kl for good, bad in zip(honest, run_probes(model, probes(1), ROWS), strict=True))


def test_figures_are_per_token_with_an_error_over_rows():
    rise = Rise((2, 3), (0.4, 0.3), (0.2, -0.1))
    assert rise.kl == pytest.approx(0.7 / 5)
    assert rise.loss == pytest.approx(0.1 / 5)
    assert rise.kl_se == ratio_standard_error([(0.4, 2), (0.3, 3)])
    assert Rise.of(rise.record()) == rise


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_damaged_weights_are_named(value):
    model = tiny_model()
    model.get_submodule("model.layers.1.mlp.up_proj").weight.data[0, 0] = value
    with pytest.raises(ModelError, match=r"up_proj.*finite"):
        run_probes(model, [Probe("model.layers.1.mlp.up_proj", 4, "nf4")], ROWS)
    with pytest.raises(ModelError, match="finite"):
        run_probes(model, [Probe("model.layers.0.mlp.up_proj", 4, "nf4")], ROWS)


def test_only_projections_of_layers_are_probed():
    for module in ("lm_head", "model.embed_tokens", "model.layers.x.mlp.up_proj"):
        with pytest.raises(ModelError, match="projection of a decoder layer"):
            run_probes(tiny_model(layers=1), [Probe(module, 8, "int8")], ROWS)
