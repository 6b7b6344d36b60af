"""The analysis as a whole: what is cached is not computed again, what changed is, and a solver can use the result."""

import json
import shutil

import pytest
from safetensors.torch import load_file, save_file
from sensitivity_rows import ROWS

from medray.compression import architecture, planned_bytes
from medray.compression.plan import paper_plan
from medray.compression.sensitivity import SensitivityConfig, measure
from medray.compression.sensitivity.measure import ATTENTION, in_process, plan_pieces
from medray.compression.sensitivity.probe import run_probes
from medray.compression.solve import Budget, solve_plan
from medray.errors import ConfigError
from medray.models import load_model, resolve

CONFIG = SensitivityConfig()


class Counting:
    """Computes here, counts, and may die after some pieces."""

    def __init__(self, dies_after=None):
        self.done, self.dies_after = [], dies_after

    def __call__(self, work, pieces):
        for piece, record in in_process(work, pieces):
            if self.dies_after is not None and len(self.done) >= self.dies_after:
                raise KeyboardInterrupt
            self.done.append(piece.name)
            yield piece, record


def run(ref, cache, compute, config=CONFIG, rows=ROWS):
    return measure(ref, rows, config, cache=cache, compute=compute)


@pytest.fixture(scope="module")
def whole(base, tmp_path_factory):
    cache = tmp_path_factory.mktemp("cache")
    return run(base, cache, None), cache


def test_every_projection_is_measured_at_every_number_of_bits(whole, base):
    sensitivity, _ = whole
    assert len(sensitivity.rises) == 4 * 7
    assert all(set(by_bits) == {8, 4} for by_bits in sensitivity.rises.values())
    assert all(by_bits[4].kl > by_bits[8].kl >= 0 for by_bits in sensitivity.rises.values())
    piece = plan_pieces(architecture(base.config_json()), CONFIG)[2]
    alone = run_probes(load_model(base, attention="eager"), piece.probes, ROWS)
    assert [sensitivity.rises[p.module][p.bits] for p in piece.probes] == alone


def test_a_second_run_computes_nothing_and_gives_the_same(whole, base):
    first, cache = whole
    again = Counting()
    assert run(base, cache, again) == first
    assert again.done == []


def test_a_killed_run_goes_on_where_it_stopped(whole, base, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(base, tmp_path, Counting(dies_after=2))
    rest, seen = Counting(), []
    got = measure(base, ROWS, CONFIG, cache=tmp_path, compute=rest, advance=lambda *at: seen.append(at))
    assert got == whole[0]
    assert len(rest.done) == 3
    assert seen == [(2, 5), (3, 5), (4, 5), (5, 5)]


def test_another_model_other_rows_codes_or_dtype_are_computed_anew(whole, base, tmp_path):
    cache = shutil.copytree(whole[1], tmp_path / "cache")
    twin = shutil.copytree(base.path, tmp_path / "twin")  # the same names and sizes, one weight off
    weights = load_file(twin / "model.safetensors")
    weights["model.layers.0.mlp.up_proj.weight"][0, 0] += 0.5
    save_file(weights, twin / "model.safetensors", metadata={"format": "pt"})
    for ref, config, rows in (
        (resolve(str(twin)), CONFIG, ROWS),
        (base, CONFIG, ROWS[:2]),
        (base, SensitivityConfig(dtype="bfloat16"), ROWS),
    ):
        counting = Counting()
        run(ref, cache, counting, config, rows)
        assert len(counting.done) == 5
    counting = Counting()
    run(base, cache, counting, SensitivityConfig(container="gguf", bits=(8,)))
    assert len(counting.done) == 4  # attention does not depend on codes
    assert ATTENTION not in counting.done


def test_a_damaged_piece_is_computed_again(whole, base, tmp_path):
    cache = shutil.copytree(whole[1], tmp_path / "cache")
    sorted(cache.rglob("*.json"))[0].write_text('{"half')
    counting = Counting()
    assert run(base, cache, counting) == whole[0]
    assert len(counting.done) == 1


def test_the_heat_map_is_plain_data_with_a_cell_a_projection(whole):
    record = json.loads(json.dumps(whole[0].record()))
    assert record["layers"] == [0, 1, 2, 3]
    assert record["projections"][0] == "self_attn.q_proj"
    assert len(record["kl"]["4"]) == 4
    assert all(len(line) == 7 and None not in line for bits in ("8", "4") for line in record["kl"][bits])
    down = record["projections"].index("mlp.down_proj")
    assert record["loss"]["4"][1][down] == whole[0].rises["model.layers.1.mlp.down_proj"][4].loss
    assert len(record["attention"]["shares"]["term"][3]) == 4
    assert (record["rows"], record["tokens"]) == (3, 9)


def test_the_solver_spends_the_baseline_s_bytes_on_what_was_measured(whole, base):
    config = base.config_json()
    model, losses = architecture(config), whole[0].losses()
    baseline = paper_plan(config)
    budget = sum(planned_bytes(baseline, model, "bitsandbytes").values())
    solved = solve_plan(model, losses, "bitsandbytes", Budget(bytes=budget))
    assert solved.bytes <= budget
    assert solved.loss <= sum(losses[module][baseline.bits[module]] for module in losses)


def test_rows_without_whole_blocks_are_not_probed_at_four_bits(base):
    config = {**base.config_json(), "intermediate_size": 96}
    names = [p.module for piece in plan_pieces(architecture(config), CONFIG) for p in piece.probes if p.bits == 4]
    assert "model.layers.0.mlp.up_proj" in names
    assert "model.layers.0.mlp.down_proj" not in names


def test_an_unknown_container_is_refused(base, tmp_path):
    with pytest.raises(ConfigError, match="bitsandbytes"):
        run(base, tmp_path, None, SensitivityConfig(container="zip"))
