"""Parity: its bounds fail when they should, lm-eval's documents are our items, and turns pair what belongs together."""

import hashlib
import json
import sys
from dataclasses import replace

import pytest

from jobs.entry import Request
from jobs.evaluate_parity import EvaluateParityConfig, _command, main
from medray.config import validate
from medray.errors import CapabilityError, ConfigError, DataError
from medray.evaluation import parity_run
from medray.evaluation.loglikelihood import LoglikelihoodScorer
from medray.evaluation.loglikelihood_config import LoglikelihoodConfig
from medray.evaluation.parity import Pair, Turn, agreement, explained, speed, verdict
from medray.evaluation.parity_run import compare, harness, tasks_folder
from medray.evaluation.parity_tasks import write_task
from medray.evaluation.prompts import build_prompt
from medray.evaluation.tasks import load_items
from medray.models.tiny import save_tiny

EXAM = "medray/data/sample/exam.jsonl"
GOOD = Pair("t/1", (-1.0, -2.0, -3.0), (-1.0001, -2.0, -3.0), True, True, True)
TURN = Turn(1.0, 2.0, 1.0, 2.0)


def comparison(pairs, turns=(TURN,), method="letters"):
    return {"method": method, "agreement": agreement(pairs), "speed": speed(turns)}


def missed(*arguments, **options):
    return {bound for bound, met in verdict(comparison(*arguments, **options)).items() if not met}


def other_choice(number, lead=1.0):
    return Pair(f"t/{number}", (-1.0, -1.0 - lead), (-1.0 - lead, -1.0), True, False, True)


def test_equal_results_meet_every_bound():
    assert missed([GOOD] * 100) == set()


# One mutant for each bound: the least that breaks it.
@pytest.mark.parametrize(
    ("pairs", "turns", "method", "expected"),
    [
        ([replace(GOOD, same_prompt=False)] + [GOOD] * 99, [TURN], "letters", {"prompts"}),
        ([replace(GOOD, theirs=(-1.0, -2.0, -3.0011))] + [GOOD] * 99, [TURN], "letters", {"log_likelihoods"}),
        ([other_choice(n) for n in range(2)] + [GOOD] * 98, [TURN], "letters",
         {"predictions", "explained", "log_likelihoods"}),
        ([other_choice(1, lead=9e-4)] + [GOOD] * 99, [TURN], "letters", set()),
        ([other_choice(n, lead=9e-4) for n in range(2)] + [GOOD] * 98, [TURN], "letters", {"predictions"}),
        ([GOOD], [Turn(1.0, 1.14, 1.0, 9.0)], "letters", {"speed by the clock"}),
        ([GOOD], [Turn(1.0, 9.0, 1.0, 1.14)], "letters", {"speed by the processor"}),
        ([GOOD], [Turn(1.0, 1.15, 1.0, 1.15)], "letters", set()),
        ([GOOD], [Turn(1.0, 1.49, 1.0, 9.0)], "text", {"speed by the clock"}),
        ([GOOD], [Turn(1.0, 9.0, 1.0, 1.49)], "text", {"speed by the processor"}),
        ([GOOD], [Turn(1.0, 1.5, 1.0, 1.5)], "text", set()),
    ],
)  # fmt: skip
def test_each_bound_is_missed_by_the_least_that_breaks_it(pairs, turns, method, expected):
    assert missed(pairs, turns, method) == expected


def test_a_difference_is_explained_by_rounding_alone():
    assert explained(other_choice(1, lead=5e-4))
    assert not explained(replace(GOOD, ours=(-1.0, -1.5), theirs=(-1.0001, -1.0)))
    wide = Pair("t/1", (-1.0, -1.0005), (-3.0, -1.0005), True, False, True)
    assert not explained(wide)


def test_seconds_are_added_over_turns():
    timed = speed([Turn(1.0, 3.0, 1.0, 2.0), Turn(3.0, 3.0, 1.0, 4.0)])
    assert timed["ratio"] == 1.5 and timed["processor_ratio"] == 3.0
    assert timed["slowest_turn"] == 1.0 and timed["fastest_turn"] == 3.0


def lm_eval_items(task, **changes):
    return [replace(item, task=task, meta={"family": task}, **changes) for item in load_items({"exam": EXAM}, limit=3)]


def documents(folder, name):
    return [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]


def test_lm_eval_gets_our_items_in_its_own_shapes(tmp_path):
    items = lm_eval_items("medqa")
    assert write_task(tmp_path, tmp_path / "lm", items, "letters") == {"parity_medqa_letters": items}
    first = documents(tmp_path, "parity_medqa_letters")[0]
    assert first["sent1"] == items[0].question and first["label"] == items[0].answer_index
    assert [first[f"ending{n}"] for n in range(4)] == list(items[0].options)
    text = (tmp_path / "parity_medqa_letters.yaml").read_text()
    assert f"include: {tmp_path}/lm/medqa/medqa.yaml" in text and "test_split: test" in text
    write_task(tmp_path, tmp_path / "lm", items, "text")
    assert documents(tmp_path, "parity_medqa_text")[0]["choices"] == list(items[0].options)
    assert "include" not in (tmp_path / "parity_medqa_text.yaml").read_text()


def test_mmlu_is_a_task_for_each_subject_and_unknown_tasks_are_refused(tmp_path):
    items = [*lm_eval_items("mmlu", stratum="anatomy"), *lm_eval_items("mmlu", stratum="virology")]
    made = write_task(tmp_path, tmp_path / "lm", items, "letters")
    assert list(made) == ["parity_mmlu_anatomy_letters", "parity_mmlu_virology_letters"]
    with pytest.raises(DataError, match="expected MedQA, MedMCQA, PubMedQA with passages or MMLU"):
        write_task(tmp_path, tmp_path / "lm", load_items({"exam": EXAM}), "letters")


class FakeHarness:
    """Answers as lm-eval's process does, with what our scorer found for the same documents."""

    def __init__(self, scorer, items, method):
        self.asked = []
        self._outcomes = list(scorer.score(items))
        self._items, self._method = items, method

    def answer(self, task, start, stop):
        self.asked.append((task, start, stop))
        rows, judged = [], {}
        for number in range(start, stop):
            item, outcome = self._items[number], self._outcomes[number]
            rows += [[number, place, outcome.scores[f"loglikelihood/{place}"]] for place in (3, 1, 0, 2)]
            prompt = build_prompt(item, (0, 1, 2, 3), style="lm_eval", method=self._method)
            shown = json.dumps([prompt.text, [" " + answer for answer in prompt.answers]])
            judged[str(number)] = {"prompt": hashlib.sha256(shown.encode()).hexdigest(), "acc": float(outcome.correct)}
        return {"seconds": 1.0, "processor_s": 1.0, "rows": rows, "documents": judged}


def test_turns_cover_all_items_and_pair_what_belongs_together(tmp_path):
    save_tiny(tmp_path)
    scorer = LoglikelihoodScorer(str(tmp_path), LoglikelihoodConfig(method="text"))
    items = load_items({"exam": EXAM}, limit=10)
    theirs = FakeHarness(scorer, items, "text")
    pairs, turns = compare(scorer, theirs, {"task": items}, method="text", turns=4)
    assert theirs.asked == [("task", 0, 3), ("task", 3, 6), ("task", 6, 9), ("task", 9, 10)]
    assert [pair.item_id for pair in pairs] == [item.id for item in items] and len(turns) == 4
    agreed = agreement(pairs)
    assert agreed["same_prompt"] == agreed["identical"] == 10 and agreed["largest_difference"] < 1e-4


WORKER = """
import json, sys
print(json.dumps({"ready": {"lm_eval": "0"}}), flush=True)
for line in sys.stdin:
    print(json.dumps({"echo": json.loads(line), "arguments": sys.argv[2:]}), flush=True)
    if json.loads(line)["task"] == "end": break
"""


def test_the_process_of_lm_eval_is_asked_by_lines_and_gone_afterwards(tmp_path, monkeypatch):
    worker = tmp_path / "worker.py"
    worker.write_text(WORKER)
    monkeypatch.setattr(parity_run, "_WORKER", worker)
    with harness(parity_run.Path(sys.executable), tmp_path, "model", batch=2, threads=3) as theirs:
        assert theirs.versions == {"lm_eval": "0"}
        found = theirs.answer("t", 1, 2)
        assert found == {"echo": {"task": "t", "start": 1, "stop": 2}, "arguments": ["model", "2", "3"]}
        theirs.answer("end", 0, 0)
        with pytest.raises(CapabilityError, match="process ended"):
            theirs.answer("t", 1, 2)


def test_a_python_without_lm_eval_is_named_as_such(tmp_path):
    with pytest.raises(CapabilityError, match="expected a Python that has lm-eval"):
        tasks_folder(tmp_path / "no-python")
    assert main(["--set", f"tasks.exam={EXAM}", "--out", str(tmp_path / "out")]) == 2


def test_configs_and_commands():
    with pytest.raises(ConfigError, match="text_tasks: expected names of tasks, got mmlu"):
        validate(EvaluateParityConfig, {"tasks": {"medqa": "x"}, "text_tasks": ["mmlu"]})
    request = Request("out", False, ("python", "-m", "jobs.evaluate_parity", "--set", "tasks.medqa=../a/b.parquet"))
    assert _command(request) == ["python", "-m", "jobs.evaluate_parity", "--set", "tasks.medqa=b.parquet"]
