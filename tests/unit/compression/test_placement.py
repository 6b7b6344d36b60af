"""The cost model against hand arithmetic and real shapes, devices and maps as configs write them, refusals."""

import json

import pytest

from medray.compression import architecture, paper_plan, planned_bytes
from medray.compression.placement import (
    Chain,
    DeviceConfig,
    LinkConfig,
    Machine,
    PlacementError,
    Slot,
    Workload,
    chain,
    places_of,
    predict,
    solve,
)
from medray.compression.placement.affinity import affinity
from medray.compression.placement.blocks import Block, Work
from medray.compression.placement.encoding import float_bytes, format_bytes
from medray.compression.placement.fitting import what_fits
from medray.compression.placement.programme import PathProgramme
from medray.compression.placement.render import device_map, engine_settings
from medray.compression.plan import Plan
from medray.errors import ConfigError

QWEN_7B = {
    "model_type": "qwen2",
    "hidden_size": 3584,
    "num_hidden_layers": 28,
    "intermediate_size": 18944,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "vocab_size": 152064,
    "tie_word_embeddings": False,
}
LLAMA_70B = {
    **QWEN_7B,
    "model_type": "llama",
    "hidden_size": 8192,
    "num_hidden_layers": 80,
    "intermediate_size": 28672,
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
}
EIGHT = ("a100-40gb", "a10", "l4", "rtx-4090", "v100-32gb", "t4", "rtx-3090", "l40s")


def laid(config=QWEN_7B, **load):
    return chain(architecture(config), Workload(**load), float_bytes("float16"), 2)


def gpus(*types, **more):
    return [DeviceConfig(name=index, type=type_, **more) for index, type_ in enumerate(types)]


CPU = DeviceConfig(name="cpu", type="cpu-ddr4-8ch", memory_gb=64)
DISK = DeviceConfig(name="disk", type="nvme-gen3")


# --- blocks


@pytest.mark.parametrize("tied", [True, False])
def test_blocks_keep_every_weight_once(tied):
    config = {**QWEN_7B, "tie_word_embeddings": tied}
    found = laid(config)
    assert sum(block.weight_bytes for block in found.blocks) == 2 * architecture(config).count
    assert found.tied is tied
    table = 2 * 152064 * 3584
    assert found.blocks[-1].stream_bytes == table + 2 * 3584  # a tied head still has to be there to be multiplied


@pytest.mark.parametrize("form", ["bitsandbytes", "gguf", "compressed-tensors"])
def test_blocks_of_a_plan_add_up_to_the_plan(form):
    model, plan = architecture(QWEN_7B), paper_plan(QWEN_7B)
    found = chain(model, Workload(), format_bytes(plan, model, form), 2)
    assert sum(block.weight_bytes for block in found.blocks) == sum(planned_bytes(plan, model, form).values())


def test_layers_of_a_mixed_plan_fall_into_groups():
    model, plan = architecture(QWEN_7B), paper_plan(QWEN_7B)
    bits = dict(plan.bits)
    for layer in (0, 27):
        bits[f"model.layers.{layer}.mlp.down_proj"] = 8
    mixed = Plan.model_validate({**plan.model_dump(), "bits": bits})
    found = chain(model, Workload(), format_bytes(mixed, model, "gguf"), 2)
    assert [len(group) for group in found.groups] == [1, 1, 26, 1, 1]


def test_the_work_of_a_layer_by_hand():
    layer = laid(prompt_tokens=100, answer_tokens=40, batch=2).blocks[1]
    matrices = 2 * 3584 * 3584 + 2 * 512 * 3584 + 3 * 18944 * 3584
    kept = 2 * (matrices + 3584 + 2 * 512 + 2 * 3584)  # biases of query, key, value; two norms
    assert layer.weight_bytes == layer.stream_bytes == kept
    assert layer.kv_bytes == 2 * 140 * 2 * 512 * 2  # sequences, tokens, keys and values, two bytes
    assert layer.decode.flops == 2 * (2 * matrices + 4 * 3584 * 120)
    assert layer.prefill.flops == 200 * (2 * matrices + 4 * 3584 * 50)
    assert layer.decode.bytes == kept + 2 * 120 * 2 * 512 * 2
    assert layer.leaf_bytes == 2 * 18944 * 3584 and layer.leaves == 9


# --- devices


def test_a_type_fills_in_and_a_figure_wins():
    machine = Machine.of([DeviceConfig(name=0, type="t4", gb_per_s=123.0), CPU, DISK])
    assert machine[0].bytes_per_s == 123e9
    assert machine[0].flops_per_s == pytest.approx(65e12 * 0.5)
    assert machine[0].capacity == 15_000_000_000
    assert machine["disk"].capacity is None and machine["disk"].bytes_per_s == 3.5e9


def test_transfers_go_through_the_host_unless_there_is_a_link():
    machine = Machine.of(
        [*gpus("t4", "a10", "a10", link_us=10.0), CPU], [LinkConfig(between=(1, 2), gb_per_s=100, us=2)]
    )
    assert machine.transfer_s(0, 1, 79e8) == pytest.approx(1 + 20e-6)  # the slower end, both latencies
    assert machine.transfer_s(2, 1, 1e9) == pytest.approx(0.01 + 2e-6)
    assert machine.transfer_s(0, "cpu", 79e8) == pytest.approx(1 + 10e-6)
    assert machine.transfer_s(0, 0, 1e12) == 0


@pytest.mark.parametrize(
    ("devices", "links", "said"),
    [
        ([], [], "at least one"),
        ([CPU, CPU], [], "distinct"),
        ([DISK], [], "disk alone"),
        ([DeviceConfig(name=0, type="h9000", memory_gb=1)], [], "expected a type of"),
        ([DeviceConfig(name=0, memory_gb=9, tflops=1, gb_per_s=1)], [], "link_gb_per_s"),
        ([DeviceConfig(name="cpu", type="cpu-ddr4-2ch")], [], "memory_gb"),
        ([DeviceConfig(name=0, type="t4", reserve_gb=16.0)], [], "reserve_gb"),
        ([CPU], [LinkConfig(between=(0, "cpu"), gb_per_s=1)], "links"),
    ],
)
def test_impossible_machines_are_refused(devices, links, said):
    with pytest.raises(ConfigError, match=said):
        Machine.of(devices, links)


# --- predictions


def test_a_prediction_by_hand():
    """Three blocks on two devices: computing, copying and travelling add up; memory holds all four kinds."""
    work = Work(1e9, 1e6)
    blocks = (
        Block("model.embed_tokens", "embedding", 100, 100, 100, 1, 0, Work(0, 10), Work(0, 1)),
        Block("model.layers.0", "layer", 1000, 1000, 400, 9, 70, work, Work(1e6, 1e6)),
        Block("lm_head", "head", 200, 200, 200, 2, 0, work, work),
    )
    load = Workload(prompt_tokens=4, answer_tokens=10)
    line = Chain(blocks, False, 4000, 1000, 8000, 50, load)
    gpu = DeviceConfig(
        name=0, memory_gb=1, reserve_gb=0.0, tflops=1, gb_per_s=1, link_gb_per_s=1, link_us=1, overhead_us=10
    )
    slow = DeviceConfig(name="cpu", memory_gb=1, tflops=0.1, gb_per_s=0.1, overhead_us=20)
    machine = Machine.of([gpu, slow])
    on_gpu, copied, on_cpu = Slot(0, 0, 0), Slot("cpu", 0, "cpu"), Slot("cpu", "cpu", "cpu:0")

    streamed = predict(line, [on_gpu, copied, on_gpu], machine)
    compute = [10e-6 + 1e-9, 10e-6 + 1e-3, 10e-6 + 1e-3]
    assert streamed.per_token_s == pytest.approx(sum(compute) + 9 * 1e-6 + 1000 / 1e9)
    assert streamed.bytes == {0: 100 + 200 + 70 + 50 + 400, "cpu": 1000}

    crossing = predict(line, [on_gpu, on_cpu, on_gpu], machine)
    there_and_back = 2 * (1e-6 + 4000 / 1e9)
    assert crossing.first_token_s == pytest.approx(20e-6 + 10e-9 + 1e-3 + 20e-6 + 1e-2 + there_and_back)
    assert crossing.objective == pytest.approx(crossing.first_token_s + 10 * crossing.per_token_s)
    assert crossing.bytes == {0: 100 + 200 + 50, "cpu": 1000 + 70 + 50}


def test_maps_are_read_as_accelerate_executes_them():
    line, machine = laid({**QWEN_7B, "num_hidden_layers": 3}), Machine.of([*gpus("a10", "t4"), CPU, DISK])
    layers = {"model.layers.0": 1, "model.layers.1": "cpu", "model.layers.2": "disk"}
    read = places_of({"model": 1, "lm_head": 1, **layers}, line, machine)
    assert [(slot.home, slot.site) for slot in read] == [(1, 1), (1, 1), ("cpu", 1), ("disk", 1), (1, 1)]
    alone = places_of({"": "cpu", "model.layers.2": "disk"}, line, machine)
    assert [slot.site for slot in alone] == ["cpu"] * 5
    with pytest.raises(ConfigError, match="got none"):
        places_of(layers, line, machine)
    with pytest.raises(ConfigError, match="expected devices"):
        places_of({"": 7}, line, machine)


def test_affinity_has_every_place_of_every_kind_of_block():
    rows = affinity(laid(), Machine.of([*gpus("a10", "t4"), CPU, DISK]), cpu_computes=True)
    pairs = {(row["home"], row["computed_on"]) for row in rows}
    assert pairs == {(0, 0), (1, 1), ("cpu", 0), ("cpu", 1), ("disk", 0), ("disk", 1), ("cpu", "cpu"), ("disk", "cpu")}
    assert len(rows) == 3 * len(pairs) and [row["count"] for row in rows[:: len(pairs)]] == [1, 28, 1]
    json.dumps(rows)


# --- the solution


def test_80_layers_on_8_unlike_devices_within_two_seconds_of_processor_time():
    import time

    started = time.process_time()
    placed = solve(laid(LLAMA_70B), Machine.of(gpus(*EIGHT)))
    spent = time.process_time() - started
    assert placed.proven and placed.gap == 0
    assert spent < 2
    assert not placed.prediction.overflow(Machine.of(gpus(*EIGHT)))
    assert len({slot.site for slot in placed.places}) > 3


def test_a_limit_that_is_too_short_is_never_called_proven(monkeypatch):
    """A solver that stops early leaves a gap, not a proof."""
    real = PathProgramme.solve

    def early(self, *, time_limit_s, relaxed=False):
        from dataclasses import replace

        found = real(self, time_limit_s=time_limit_s, relaxed=relaxed)
        return found if relaxed else replace(found, proven=False, bound=0.9 * found.objective)

    monkeypatch.setattr(PathProgramme, "solve", early)
    placed = solve(laid(), Machine.of([CPU]))
    assert not placed.proven
    assert placed.gap == pytest.approx(0.1)


def test_equal_orders_follow_the_config():
    placed = solve(laid(), Machine.of(gpus("t4", "t4", link_us=10.0)))
    values = list(device_map(laid(), placed.places).values())
    assert values[2:-2] == sorted(values[2:-2])


def test_the_map_names_every_module_and_reads_back_as_the_placement():
    machine = Machine.of([*gpus("t4"), CPU, DISK])
    line = laid()
    placed = solve(line, machine)
    written = device_map(line, placed.places)
    assert list(written) == [
        "model.embed_tokens",
        "model.rotary_emb",
        *(f"model.layers.{n}" for n in range(28)),
        "model.norm",
        "lm_head",
    ]
    assert tuple(places_of(written, line, machine)) == placed.places


def test_a_map_of_the_cpu_alone_says_cpu_even_where_it_may_compute_beside_gpus():
    line = laid()
    assert set(device_map(line, [Slot("cpu", "cpu", "cpu:0")] * 30).values()) == {"cpu"}


def test_settings_of_other_engines():
    line, machine = laid(), Machine.of([*gpus("a10", "t4"), CPU])
    first, second, cpu = Slot(0, 0, 0), Slot(1, 1, 1), Slot("cpu", "cpu", "cpu:0")
    both = engine_settings(line, [first] * 21 + [second] * 9, machine)
    assert both["llama_cpp"] == {"n_gpu_layers": 29, "tensor_split": [20, 9]}
    assert both["vllm"] == {
        "pipeline_parallel_size": 2,
        "VLLM_PP_LAYER_PARTITION": "20,8",
        "CUDA_VISIBLE_DEVICES": "0,1",
    }
    part = engine_settings(line, [cpu] * 11 + [first] * 18 + [cpu], machine)
    assert part["llama_cpp"] == {"n_gpu_layers": 18, "tensor_split": [18, 0]}
    assert part["vllm"].startswith("not expressible")
    for places in ([Slot("cpu", 0, "cpu")] * 30, [first] * 11 + [cpu] * 19):
        assert engine_settings(line, places, machine)["llama_cpp"].startswith("not expressible")


# --- nothing fits


def test_what_is_missing_is_exact():
    """With the missing bytes a placement exists, with one less it does not: on one device and over two."""
    line, lone = laid(), Machine.of(gpus("t4"))
    with pytest.raises(PlacementError) as caught:
        solve(line, lone)
    missing = caught.value.alone[0]
    assert caught.value.overflow == {0: missing}
    assert f"{missing:,} bytes on 0" in str(caught.value)
    solve(line, grown(lone, {0: missing}))
    with pytest.raises(PlacementError):
        solve(line, grown(lone, {0: missing - 1}))


def test_the_error_keeps_its_figures_across_processes():
    import pickle

    error = pickle.loads(pickle.dumps(PlacementError("nothing fits", {0: 3}, {"cpu": 4})))
    assert (str(error), error.overflow, error.alone, error.exit_code) == ("nothing fits", {0: 3}, {"cpu": 4}, 2)


def test_each_device_alone_says_what_it_lacks():
    line, pair = laid(LLAMA_70B), Machine.of(gpus("a100-80gb", "a10"))
    with pytest.raises(PlacementError) as caught:
        solve(line, pair)
    assert set(caught.value.alone) == {0, 1}
    for name, missing in caught.value.alone.items():
        solve(line, grown(pair, {name: missing}))
        with pytest.raises(PlacementError):
            solve(line, grown(pair, {name: missing - 1}))
    solve(line, grown(pair, caught.value.overflow))
    assert sum(caught.value.overflow.values()) <= min(caught.value.alone.values())


def grown(machine, more):
    from dataclasses import replace

    devices = (replace(d, capacity=d.capacity + more.get(d.name, 0)) for d in machine.devices)
    return replace(machine, devices=tuple(devices))


def test_the_largest_prompt_and_the_smaller_weights_that_fit():
    model, plan = architecture(QWEN_7B), paper_plan(QWEN_7B)
    load = Workload(prompt_tokens=60_000, batch=4)
    machine = Machine.of(gpus("a10"))

    def chain_of(load, form):
        count = format_bytes(plan, model, form["format"]) if form.get("format") else float_bytes("float16")
        return chain(model, load, count, 2)

    (said,) = what_fits(chain_of, load, machine, cpu_computes=False)
    tokens = int(said.split("at most ")[1].split()[0])
    solve(chain_of(load.model_copy(update={"prompt_tokens": tokens}), {}), machine)
    with pytest.raises(PlacementError):
        solve(chain_of(load.model_copy(update={"prompt_tokens": tokens + 1}), {}), machine)

    (short,) = what_fits(chain_of, Workload(), Machine.of(gpus("t4")), cpu_computes=False)
    assert "format=bitsandbytes" in short and "a disk" in short and "prompt" not in short
    hopeless = Machine.of([DeviceConfig(name="cpu", type="cpu-ddr4-2ch", memory_gb=0.001)])
    assert what_fits(chain_of, load, hopeless, cpu_computes=False) == ["no single change of tokens, bits or disk helps"]
