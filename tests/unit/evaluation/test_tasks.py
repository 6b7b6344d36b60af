"""Items from exam files: shapes, ids, draws, passages, few-shot examples."""

import json

import pyarrow as pa
import pytest
from pyarrow import parquet

from medray.config import validate
from medray.errors import ConfigError, DataError
from medray.evaluation.tasks import FewShotConfig, TasksConfig, load_items, load_shots, load_task
from medray.evaluation.tasks.few_shot import shots_for

EXAM = "medray/data/sample/exam.jsonl"
OPEN = "medray/data/sample/qa.jsonl"


def lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def medqa_row(number, step="step1"):
    return {
        "question": f"A patient of {number} years has a fever. What is next?",
        "options": {"A": "Wait", "B": "Cool", "C": "Treat", "D": "Refer"},
        "answer": "Treat",
        "answer_idx": "C",
        "meta_info": step,
    }


def article(number, decision="yes"):
    return {
        "QUESTION": f"Does drug {number} help?",
        "CONTEXTS": ["First part.", "Second part."],
        "LONG_ANSWER": "It does help.",
        "final_decision": decision,
    }


def test_medqa_as_downloaded_keeps_the_step_as_stratum(tmp_path):
    file = lines(tmp_path / "dev.jsonl", [medqa_row(1), medqa_row(2, "step2&3")])
    items = load_items({"medqa": file})
    assert [item.stratum for item in items] == ["step1", "step2&3"]
    assert items[0].options == ("Wait", "Cool", "Treat", "Refer") and items[0].answer_index == 2
    assert items[0].answer == "Treat" and items[0].kind == "choice" and items[0].id == "medqa/dev.jsonl#1"


def test_pubmedqa_with_and_without_its_passage(tmp_path):
    file = tmp_path / "ori.json"
    file.write_text(json.dumps({"1": article(1), "2": article(2, "maybe")}))
    seen, unseen = (load_items({name: str(file)}) for name in ("pubmedqa", "pubmedqa_no_context"))
    assert [item.context for item in seen] == ["First part.\nSecond part."] * 2
    assert [item.context for item in unseen] == ["", ""]
    assert seen[1].options == ("yes", "no", "maybe") and seen[1].answer_index == 2
    assert {item.id for item in seen} == {"pubmedqa/1", "pubmedqa/2"}


def test_passages_of_a_table_stay_with_their_rows_over_row_groups_and_rejects(tmp_path):
    rows = [
        {"pmid": str(n), "question": f"Q {n}?", "contexts": [f"c{n}"], "long_answer": "So.", "final_decision": d}
        for n, d in enumerate(["yes", "no", "perhaps", "maybe", "yes"] + ["no"] * 60)
    ]
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "p.parquet", row_group_size=2)
    task = load_task("pubmedqa", str(tmp_path / "p.parquet"))
    assert task.rejected == {"no_key": 1} and len(task.items) == 64
    assert all(item.context == f"c{item.id.removeprefix('pubmedqa/')}" for item in task.items)


def test_a_limit_is_a_nested_seeded_draw_in_file_order():
    few, many, every = (load_items({"exam": EXAM}, limit=limit) for limit in (10, 30, None))
    ids = [item.id for item in every]
    assert len(few) == 10 and {i.id for i in few} < {i.id for i in many} < set(ids)
    assert [i.id for i in many] == [name for name in ids if name in {i.id for i in many}]
    assert {i.id for i in load_items({"exam": EXAM}, limit=10, seed=1)} != {i.id for i in few}
    assert [i.id for i in few] != ids[:10]


def test_a_name_of_ones_own_is_judged_by_its_rows():
    exam, qa = load_items({"ward_exam": EXAM}), load_items({"ward_letters": OPEN})
    assert exam[0].kind == "choice" and exam[0].meta["family"] == "exam"
    assert qa[0].kind == "open" and qa[0].options == () and qa[0].answer_index is None and qa[0].answer


@pytest.mark.parametrize(("name", "file"), [("medqa", OPEN), ("medquad", EXAM)])
def test_a_known_name_over_a_file_of_another_shape_is_refused(name, file):
    with pytest.raises(DataError, match=f"task '{name}': expected"):
        load_items({name: file})


def test_open_questions_and_exams_do_not_mix_in_one_task(tmp_path):
    rows = [
        {"question": "What helps against fever?", "answer": "Rest."},
        {"question": "Which?", "options": ["a", "b"], "answer": 1},
    ]
    with pytest.raises(DataError, match="got both in one task"):
        load_items({"mine": lines(tmp_path / "mixed.jsonl", rows)})


def test_too_many_bad_rows_are_an_error_and_few_are_counted(tmp_path):
    bad = {**medqa_row(0), "answer_idx": "X"}
    with pytest.raises(DataError, match=r"at most 5\.0% bad rows, got 1 of 3"):
        load_task("medqa", lines(tmp_path / "a.jsonl", [bad, medqa_row(1), medqa_row(2)]))
    task = load_task("medqa", lines(tmp_path / "b.jsonl", [bad, *(medqa_row(n) for n in range(1, 31))]))
    assert task.rejected == {"no_key": 1} and len(task.items) == task.available == 30


def test_repeated_ids_are_told_apart(tmp_path):
    rows = [{"qid": "q1", "question": f"Which {n}?", "options": ["a", "b"], "answer": 1} for n in range(3)]
    ids = [item.id for item in load_items({"mine": lines(tmp_path / "x.jsonl", rows)})]
    assert len(set(ids)) == 3


def test_few_shot_examples_are_drawn_once_and_never_ask_the_item():
    config = FewShotConfig(shots=3, files={"exam": EXAM}, seed=5)
    shots = load_shots(config, ["exam"])
    assert shots == load_shots(config, ["exam"]) != load_shots(config.model_copy(update={"seed": 6}), ["exam"])
    for item in load_items({"exam": EXAM}):
        shown = shots_for(item, shots["exam"], 3)
        assert len(shown) == 3 and item.question not in {shot.question for shot in shown}
    assert load_shots(FewShotConfig(), ["exam"]) == {}
    with pytest.raises(DataError, match="train split in few_shot"):
        load_shots(config, ["medqa"])
    with pytest.raises(DataError, match="expected 9 train examples"):
        shots_for(load_items({"exam": EXAM})[0], shots["exam"], 9)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"tasks": {"Med QA": "x"}}, "task names of small letters"),
        ({"tasks": {"medqa": ""}}, "each with a file"),
    ],
)
def test_contradictions_are_refused(data, message):
    with pytest.raises(ConfigError, match=message):
        validate(TasksConfig, data)


@pytest.mark.parametrize(
    ("name", "file", "count", "strata"),
    [
        ("medqa", "medqa_us_dev", 352, {"step1", "step2&3"}),
        ("medmcqa", "medmcqa_valid", 428, None),
        ("mmlu", "mmlu_med_dev", 214, None),
        ("pubmedqa", "pubmedqa_train", 500, {""}),
        ("medquad", "medquad_valid", 740, None),
    ],
)
def test_real_corpora(shared_data, name, file, count, strata):
    task = load_task(name, str(shared_data / f"{file}.parquet"))
    assert len(task.items) == count == len({item.id for item in task.items}) and task.rejected == {}
    assert strata is None or {item.stratum for item in task.items} == strata
    assert all(bool(item.context) == (name == "pubmedqa") for item in task.items)
