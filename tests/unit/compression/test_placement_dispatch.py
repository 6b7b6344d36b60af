"""Maps over CPU and disk, dispatched by accelerate on a tiny model: same logits, weights where the map says."""

import pytest
import torch

from medray.compression import architecture
from medray.compression.placement import DeviceConfig, Machine, Workload, chain, places_of, predict, solve
from medray.compression.placement.dispatch import load_placed, torch_device_map
from medray.compression.placement.encoding import float_bytes
from medray.compression.placement.measure import drop_pages, forward, least, measured_machine
from medray.compression.placement.ranking import Timed, cpu_and_disk_maps, misranked, time_maps
from medray.compression.placement.render import device_map
from medray.models import load_model
from medray.models.tiny import save_tiny

LAYERS = 4


@pytest.fixture(scope="module", params=[True, False], ids=["tied", "untied"])
def tiny(request, tmp_path_factory):
    return save_tiny(tmp_path_factory.mktemp("placed") / "model", layers=LAYERS, tied=request.param)


@pytest.fixture(scope="module")
def ids():
    return torch.arange(24).view(2, 12)


def line(ref, **load):
    return chain(architecture(ref.config_json()), Workload(**load), float_bytes("float32"), 4)


def logits(model, ids):
    with torch.inference_mode():
        return model(ids).logits


def on_meta(model, name):
    return {weight.device.type == "meta" for weight in model.get_submodule(name).parameters()} == {True}


def test_a_solved_map_over_cpu_and_disk_dispatches_and_answers_alike(tiny, ids):
    laid = line(tiny, prompt_tokens=16, answer_tokens=8)
    half = sum(block.weight_bytes for block in laid.blocks) / 2 + laid.activation_bytes + laid.blocks[0].leaf_bytes
    cpu = DeviceConfig(name="cpu", memory_gb=half / 1e9, tflops=0.1, gb_per_s=10)
    machine = Machine.of([cpu, DeviceConfig(name="disk", gb_per_s=1)])
    placed = solve(laid, machine)
    written = device_map(laid, placed.places)
    assert set(written.values()) == {"cpu", "disk"}
    model = load_placed(tiny, written, dtype="float32")
    assert torch.equal(logits(model, ids), logits(load_model(tiny), ids))
    for name, device in written.items():
        if name.startswith("model.layers."):
            assert on_meta(model, name) is (device == "disk"), name


def test_all_five_maps_answer_alike_and_generate(tiny, ids):
    expected = logits(load_model(tiny), ids)
    for found in cpu_and_disk_maps(LAYERS).values():
        model = load_placed(tiny, found, dtype="float32")
        assert torch.equal(logits(model, ids), expected)


def test_the_cpu_computes_beside_copied_blocks_where_the_map_says_so(tiny, ids):
    """`cpu:0` computes in place; `cpu` beside a device that computes is a home only. No GPU is needed to see it."""
    found = dict.fromkeys(cpu_and_disk_maps(LAYERS)["all in memory"], "cpu:0") | {"model.layers.1": "cpu"}
    model = load_placed(tiny, found, dtype="float32")
    assert torch.equal(logits(model, ids), logits(load_model(tiny), ids))
    assert on_meta(model, "model.layers.1") and not on_meta(model, "model.layers.0")
    assert torch_device_map(found)["model.layers.0"] == torch.device("cpu")
    assert torch_device_map(found)["model.layers.1"] == "cpu"


def test_a_measured_machine_places_a_tiny_model_in_memory(tiny, monkeypatch):
    from medray.compression.placement import measure

    monkeypatch.setattr(measure, "_BUDGET_S", 0.2)
    laid = line(tiny, prompt_tokens=8, answer_tokens=4)
    devices = measured_machine(tiny.config_json(), laid.workload, "float32")
    assert [device.name for device in devices][-2:] == ["cpu", "disk"]
    machine = Machine.of(devices)
    assert {slot.home for slot in solve(laid, machine).places} != {"disk"}
    resident, streamed = (
        predict(laid, places_of({"": home}, laid, machine), machine).per_token_s for home in ("cpu", "disk")
    )
    assert resident < streamed


def test_five_maps_are_timed_against_their_predictions(tiny):
    laid = line(tiny, prompt_tokens=8, answer_tokens=1)
    cpu = DeviceConfig(name="cpu", memory_gb=1, tflops=0.1, gb_per_s=10)
    machine = Machine.of([cpu, DeviceConfig(name="disk", gb_per_s=1)])
    timed = time_maps(tiny, cpu_and_disk_maps(LAYERS), laid, machine, dtype="float32", rounds=2, budget_s=5)
    assert [plan.name for plan in timed] == list(cpu_and_disk_maps(LAYERS))
    assert all(plan.measured_s > 0 for plan in timed)
    assert timed[0].predicted_s < timed[1].predicted_s < timed[3].predicted_s < timed[4].predicted_s


def test_a_wrong_order_is_found_out():
    right = [Timed("a", 1.0, 2.0), Timed("b", 3.0, 2.5), Timed("c", 2.0, 2.2)]
    assert misranked(right) == []
    assert misranked([*right, Timed("d", 4.0, 2.4)]) == [("b", "d")]
    assert len(misranked([Timed(p.name, -p.predicted_s, p.measured_s) for p in right])) == 3


def test_the_least_time_counts_and_the_first_round_warms_up():
    times = iter([0.1, 9.0, 5.0, 3.0, 4.0, 2.0, 6.0, 7.0])
    assert least([lambda: next(times), lambda: next(times)], rounds=3, budget_s=60) == [4.0, 2.0]


def test_a_forward_is_timed_after_its_context_and_pages_can_be_dropped(tiny, tmp_path):
    (tmp_path / "x.safetensors").write_bytes(b"0" * 5000)
    dropped = []
    run = forward(load_model(tiny), 1, 4, before=lambda: dropped.append(drop_pages(tmp_path)()))
    assert run() > 0 and dropped == [None]
    assert (tmp_path / "x.safetensors").read_bytes() == b"0" * 5000
