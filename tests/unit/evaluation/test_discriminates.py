"""The tools tell good from bad: three systems known to be worse are placed below the intact model, and it is not.

Small samples of real exams and the pulled small model; the published record has more items (docs/evaluation.md).
"""

import json

import pytest

from jobs.evaluate_controls import main
from medray.artifacts import is_artifact
from medray.errors import ConfigError
from medray.evaluation.compare import compare, worse
from medray.evaluation.loglikelihood import LoglikelihoodScorer
from medray.evaluation.loglikelihood_config import LoglikelihoodConfig
from medray.evaluation.runner_controls import always_a, swapped_layers
from medray.evaluation.runner_finished import evaluated_rows
from medray.evaluation.schema import Item
from medray.models import load_model, resolve
from medray.models.reference import pulled_folder
from medray.models.tiny import save_tiny


def item(number: int) -> Item:
    options = ("fever", "rash", "cough", "gout")
    return Item(f"own/{number}", "own", "choice", f"Which one is number {number}?", "", options, number % 4)


@pytest.mark.timeout(1800)  # minutes on two quiet cores, more on a busy machine
def test_each_control_is_placed_below_the_intact_model(shared_data, tmp_path):
    if not is_artifact(pulled_folder("smollm2-135m")):
        pytest.skip("needs the pulled model: medray models pull smollm2-135m")
    tasks = [f"--set=tasks.medmcqa={shared_data / 'medmcqa_valid.parquet'}"]
    tasks += [f"--set=open_tasks.medquad={shared_data / 'medquad_valid.parquet'}"]
    sizes = ["--set=limit=14", "--set=generate_limit=12", "--set=max_tokens=16"]
    assert main([*tasks, *sizes, "--out", str(tmp_path / "out")]) == 0
    found = json.loads((tmp_path / "out" / "controls.json").read_text())["controls"]
    below = {name: [one["measure"] for one in own if one["below"]] for name, own in found.items()}
    assert "brier" in below["always_a, letters"] and below["always_a, text"]
    assert below["swapped_layers, text"] and below["copies_question, written answers"]
    intact = evaluated_rows(str(tmp_path / "out" / "intact_text"))
    assert worse(compare(intact, intact)) == []  # the tools do not cry wolf


def test_always_a_is_a_real_model_that_says_a_whatever_it_reads(tmp_path):
    ref = save_tiny(tmp_path / "tiny")
    bad = always_a(ref.path, tmp_path / "bad")
    scorer = LoglikelihoodScorer(str(bad), LoglikelihoodConfig(repeats=3))
    outcomes = list(scorer.score([item(number) for number in range(8)]))
    assert {outcome.letter for outcome in outcomes} == {"A"}
    assert len({outcome.chosen for outcome in outcomes}) > 1  # the letter, not an option


def test_swapped_layers_are_the_same_weights_in_another_order(tmp_path):
    ref = save_tiny(tmp_path / "tiny")
    before = load_model(ref).state_dict()
    after = load_model(resolve(str(swapped_layers(ref.path, tmp_path / "swapped", (0, 3))))).state_dict()
    for name, value in before.items():
        moved = (
            name.replace("layers.0.", "layers.x.").replace("layers.3.", "layers.0.").replace("layers.x.", "layers.3.")
        )
        assert (after[moved] == value).all()
    for layers in ((0, 0), (0, 4)):
        with pytest.raises(ConfigError, match="two different layers below 4"):
            swapped_layers(ref.path, tmp_path / "other", layers)
    with pytest.raises(ConfigError, match="llama"):
        always_a(save_tiny(tmp_path / "qwen", family="qwen2").path, tmp_path / "other")
