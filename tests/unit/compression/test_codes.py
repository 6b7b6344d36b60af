"""Codes per tensor: errors against the layers that are really written, and the choice against all candidates."""

import pytest
import torch

from medray.compression import architecture
from medray.compression.backends import gguf_native
from medray.compression.codes import (
    choose_codes,
    default_code,
    matrices_of,
    relative_error,
    round_trip,
    with_chosen_codes,
)
from medray.compression.plan import PlanOptions, paper_plan, uniform_plan
from medray.compression.show import codes_table
from medray.errors import ConfigError, ModelError
from medray.models.quantisation import int8_format, nf4_format
from medray.models.quantised_layers import quantise_linear
from medray.models.tiny import tiny_model

UP = "model.layers.0.mlp.up_proj"
needs_ggml = pytest.mark.skipif(not gguf_native.available(), reason="ggml's library is not installed (extra: edge)")


def normal(rows=48, columns=256, seed=0):
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed)) * 0.02


def weight_of(layer, columns):
    """What the layer multiplies by: its answer to the unit vectors, without the rounding of inputs."""
    if hasattr(layer.weight, "CB") and layer.weight.CB is not None:
        return layer.weight.CB.float() * layer.weight.SCB[:, None] / 127
    return layer(torch.eye(columns)).T


@pytest.mark.parametrize("double", [True, False])
@pytest.mark.parametrize("code", ["int8", "nf4", "fp4"])
def test_the_round_trip_is_what_the_written_layer_multiplies_by(code, double):
    linear = torch.nn.Linear(256, 48, bias=False).requires_grad_(False)
    linear.weight.data = normal()
    form = int8_format() if code == "int8" else nf4_format(double=double, code=code)
    layer = quantise_linear(linear, form, dtype=torch.float32, device="cpu")
    config = tiny_model().config.to_dict()
    plan = paper_plan(config, PlanOptions(double_quantisation=double))
    torch.testing.assert_close(round_trip(linear.weight, code, plan=plan), weight_of(layer, 256), rtol=0, atol=1e-7)


@needs_ggml
@pytest.mark.parametrize("code", ["q8_0", "q4_0", "q4_1", "iq4_nl", "q4_k", "int8-row", "int4-group"])
def test_errors_on_normal_weights_are_those_of_the_code_s_step(code):
    error = relative_error(normal(), round_trip(normal(), code))
    expected = {"q8_0": 0.0055, "int8-row": 0.0065, "q4_k": 0.073, "q4_1": 0.083}.get(code, 0.092)
    assert error == pytest.approx(expected, rel=0.25)


def test_the_error_is_weighted_by_columns():
    exact, rounded = torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 1.0]])
    assert relative_error(exact, rounded) == pytest.approx((1 / 5) ** 0.5)
    assert relative_error(exact, rounded, [1.0, 0.0]) == 0.0
    assert relative_error(exact, rounded, [1.0, 3.0]) == pytest.approx((3 / 13) ** 0.5)
    assert relative_error(torch.zeros(2, 2), torch.zeros(2, 2)) == 0.0


def on_a_grid(levels, rows=8, columns=64):
    """Weights that one code holds exactly: every block spans its levels."""
    picked = torch.arange(rows * columns) % len(levels)
    return torch.tensor(levels)[picked].reshape(rows, columns)


def test_each_code_wins_on_weights_of_its_own_grid():
    from bitsandbytes.functional import get_4bit_type

    plan = paper_plan(tiny_model().config.to_dict())
    for code in ("nf4", "fp4"):
        matrix = on_a_grid(get_4bit_type(code, device="cpu").tolist())
        (tensor,) = choose_codes([(UP, matrix)], plan, "bitsandbytes")
        assert tensor.code == code
        assert tensor.error < 1e-6 < max(tensor.errors.values())
        assert with_chosen_codes(plan, [tensor]).codes == {UP: code}


def test_a_wider_code_is_measured_but_only_chosen_where_it_may_be():
    plan = paper_plan(tiny_model().config.to_dict())
    matrix = normal(columns=64) + 1.0  # off centre: only Q4_1 has an offset
    (narrow,) = choose_codes([(UP, matrix)], plan, "gguf")
    (wide,) = choose_codes([(UP, matrix)], plan, "gguf", max_bits=5.0)
    assert narrow.errors == wide.errors
    assert wide.code == "q4_1"
    assert narrow.code != "q4_1"
    assert wide.error < 0.2 * narrow.error


@needs_ggml
@pytest.mark.parametrize(("columns", "codes"), [(64, {"q4_0", "q4_1", "iq4_nl"}), (256, {"q4_k"})])
def test_the_shape_decides_which_codes_are_tried(columns, codes):
    plan = paper_plan(tiny_model().config.to_dict())
    (tensor,) = choose_codes([(UP, normal(columns=columns))], plan, "gguf")
    assert codes <= set(tensor.errors)
    assert ("q4_k" in tensor.errors) == (columns == 256)
    allowed = {code: error for code, error in tensor.errors.items() if code != "q4_1"}
    assert tensor.error == min(allowed.values())


def test_without_ggml_only_numpy_s_codes_are_tried(monkeypatch):
    monkeypatch.setattr(gguf_native, "available", lambda: False)
    (tensor,) = choose_codes([(UP, normal())], paper_plan(tiny_model().config.to_dict()), "gguf")
    assert set(tensor.errors) == {"q4_0", "q4_1"}


def test_a_row_that_is_no_whole_block_is_left_at_sixteen_bits():
    plan = paper_plan(tiny_model().config.to_dict())
    assert choose_codes([(UP, normal(columns=40))], plan, "gguf") == []


@needs_ggml
def test_importance_moves_the_error_to_where_inputs_are_small():
    plan = paper_plan(tiny_model().config.to_dict())
    importance = torch.ones(64)
    importance[::2] = 1000.0
    matrix = normal(columns=64)
    (plain,) = choose_codes([(UP, matrix)], plan, "gguf")
    (weighted,) = choose_codes([(UP, matrix)], plan, "gguf", importance={UP: importance.numpy()})
    unweighted_rounding = relative_error(matrix, round_trip(matrix, weighted.code), importance)
    assert weighted.error < unweighted_rounding
    assert weighted.errors != plain.errors


def test_a_model_is_measured_tensor_by_tensor_and_shown():
    model = tiny_model(layers=2, tied=False)
    plan = paper_plan(model.config.to_dict())
    for container in ("bitsandbytes", "gguf", "compressed-tensors"):
        tensors = choose_codes(matrices_of(model, plan), plan, container)
        assert [tensor.module for tensor in tensors] == list(plan.bits)
        assert all(0 < tensor.error < (0.15 if tensor.bits == 4 else 0.02) for tensor in tensors)
        assert all(tensor.code == default_code(container, 8) for tensor in tensors if tensor.bits == 8)
        assert codes_table(tensors).row_count == len(tensors)
        assert tensors[0].record()["errors"] == tensors[0].errors
    chosen = with_chosen_codes(plan, choose_codes(matrices_of(model, plan), plan, "gguf"))
    assert set(chosen.codes) == {module for module, bits in plan.bits.items() if bits == 4}
    chosen.check(architecture(model.config.to_dict()))


def test_sixteen_bits_are_left_alone():
    model = tiny_model(layers=1)
    plan = uniform_plan(model.config.to_dict(), 16, PlanOptions(embedding_bits=16))
    assert choose_codes(matrices_of(model, plan), plan, "gguf") == []


def test_what_cannot_be_measured_is_named():
    model = tiny_model(layers=1)
    plan = paper_plan(model.config.to_dict())
    model.get_submodule(UP).weight.data[0, 0] = float("nan")
    with pytest.raises(ModelError, match=r"up_proj.*finite"):
        choose_codes(matrices_of(model, plan), plan, "bitsandbytes")
    with pytest.raises(ModelError, match="another model"):
        list(matrices_of(model, paper_plan(tiny_model(layers=2).config.to_dict())))
    with pytest.raises(ConfigError, match="container"):
        default_code("zip", 8)
    with pytest.raises(ConfigError, match="holds 4 bits"):
        default_code("compressed-tensors-w8a8", 4)
    with pytest.raises(ConfigError, match="expected a code"):
        round_trip(normal(), "q2_k")
